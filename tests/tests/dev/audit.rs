//! The audit log of a real server: who asked, with kubectl under several identities.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use kuorum_tests::dev::Dev;
use kuorum_tests::kubectl::Kubectl;
use kuorum_tests::machine;
use serde_json::{Value, json};

fn events(log: &Path) -> Result<Vec<Value>> {
    fs::read_to_string(log)?.lines().map(|line| serde_json::from_str(line).context("a line of the audit log")).collect()
}

/// The complete events of a user about a resource.
fn of<'a>(events: &'a [Value], user: &'a str, verb: &'a str, resource: &'a str) -> Vec<&'a Value> {
    let fits = |event: &&Value| {
        event["stage"] == "ResponseComplete"
            && event["user"]["username"] == user
            && event["verb"] == verb
            && event["objectRef"]["resource"] == resource
    };
    events.iter().filter(fits).collect()
}

#[test]
fn everyone_is_in_the_audit_log_and_no_secret_is() -> Result<()> {
    let _machine = machine();
    let dir = tempfile::tempdir()?;
    let (policy, tokens, log) =
        (dir.path().join("policy.yaml"), dir.path().join("tokens.csv"), dir.path().join("logs/audit.log"));
    fs::write(
        &policy,
        "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, nonResourceURLs: ['/healthz*', '/readyz*', '/livez*', /version, '/openapi*', '/api*']}
- {level: Metadata, resources: [{group: '', resources: [secrets]}]}
- {level: RequestResponse, resources: [{group: '', resources: [configmaps]}]}
- {level: Metadata}
",
    )?;
    fs::write(&tokens, "alice-token,alice,alice-uid,dev\nbob-token,bob,bob-uid\n")?;
    let server = Dev::start(&[
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", log.display()),
        format!("--token-auth-file={}", tokens.display()),
    ])?;
    let k = Kubectl::newest(&server.kubeconfig())?;
    // Without the administrator's certificate, a token is who asks.
    let nobody = dir.path().join("nobody");
    fs::write(&nobody, "{apiVersion: v1, kind: Config, clusters: [], users: [], contexts: []}")?;
    let stranger = k.with_kubeconfig(&nobody);
    let endpoint = server.endpoint().to_owned();
    let run_as = |token: &str, arguments: &[&str]| {
        let (token, server) = (format!("--token={token}"), format!("--server={endpoint}"));
        let mut all = vec![token.as_str(), server.as_str(), "--insecure-skip-tls-verify"];
        all.extend(arguments);
        stranger.try_run(&all)
    };
    k.run(&["create", "secret", "generic", "s", "--from-literal=password=planted"])?;
    k.run(&["create", "configmap", "c", "--from-literal=a=1"])?;
    k.run(&["create", "rolebinding", "alice", "--clusterrole=cluster-admin", "--user=alice"])?;
    ensure!(run_as("alice-token", &["get", "configmap", "c"])?.0 == 0);
    ensure!(run_as("bob-token", &["get", "secret", "s"])?.0 != 0);
    ensure!(run_as("wrong-token", &["get", "secret", "s"])?.0 != 0);
    ensure!(server.stop()?.success());

    let all = events(&log)?;
    let admin = "kubernetes-admin";
    let created = of(&all, admin, "create", "secrets");
    ensure!(created.len() == 1 && created[0]["objectRef"]["name"] == "s", "{created:?}");
    ensure!(created[0]["user"]["groups"] == json!(["system:masters", "system:authenticated"]));
    ensure!(created[0]["userAgent"].as_str().is_some_and(|agent| agent.starts_with("kubectl")));
    ensure!(created[0]["responseStatus"]["code"] == 201 && created[0]["requestObject"].is_null());
    let created = of(&all, admin, "create", "configmaps");
    ensure!(created[0]["requestObject"]["data"] == json!({"a": "1"}));
    ensure!(created[0]["responseObject"]["metadata"]["uid"].is_string());
    let allowed = of(&all, "alice", "get", "configmaps");
    ensure!(allowed.len() == 1 && allowed[0]["annotations"]["authorization.k8s.io/decision"] == "allow");
    let reason = allowed[0]["annotations"]["authorization.k8s.io/reason"].as_str().unwrap_or_default();
    ensure!(
        reason.starts_with("RBAC: allowed by RoleBinding \"alice/default\" of ClusterRole \"cluster-admin\""),
        "{reason}"
    );
    let refused = of(&all, "bob", "get", "secrets");
    ensure!(refused[0]["responseStatus"]["code"] == 403, "{refused:?}");
    ensure!(refused[0]["annotations"]["authorization.k8s.io/decision"] == "forbid");
    ensure!(all.iter().any(|e| e["responseStatus"]["code"] == 401 && e["user"] == json!({})), "nobody is there, too");
    // Names are there, values are not; and every event has its own line and id.
    let text = fs::read_to_string(&log)?;
    ensure!(!text.contains("planted") && !text.contains("cGxhbnRlZA"));
    ensure!(all.iter().all(|event| event["auditID"].as_str().is_some_and(|id| !id.is_empty())));
    Ok(())
}
