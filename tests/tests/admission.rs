//! Admission as a person meets it with kubectl: accounts, limits, pod security, and quotas through two front-ends.

use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use kuorum_tests::cluster::Cluster;
use kuorum_tests::dev::Dev;
use kuorum_tests::kubectl::Kubectl;
use kuorum_tests::{machine, wait};

/// How many pods are created at once, and how many of them there is room for.
const BURST: usize = 12;
const ROOM: usize = 5;

#[test]
fn accounts_limits_and_security() -> Result<()> {
    let _machine = machine();
    let server = Dev::start::<&str>(&[])?;
    let k = Kubectl::newest(&server.kubeconfig())?;
    accounts(&k)?;
    limits(&k)?;
    security(&k)
}

/// A namespace has an account, which a pod gets with a token; one that is not there is named.
fn accounts(k: &Kubectl) -> Result<()> {
    k.run(&["create", "namespace", "accounts"])?;
    let n = ["-n", "accounts"];
    let run = |arguments: &[&str]| k.run(&[&n[..], arguments].concat());
    run(&["run", "a", "--image=example.com/a:1"])?;
    let pod = k.json(&["-n", "accounts", "get", "pod", "a"])?;
    ensure!(pod["spec"]["serviceAccountName"] == "default", "{pod}");
    let mount = &pod["spec"]["containers"][0]["volumeMounts"][0];
    ensure!(mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount", "{mount}");
    ensure!(mount["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-")), "{mount}");
    let sources = &pod["spec"]["volumes"][0]["projected"]["sources"];
    ensure!(sources[0]["serviceAccountToken"]["path"] == "token", "{sources}");
    ensure!(sources[1]["configMap"]["name"] == "kube-root-ca.crt", "{sources}");
    wait::until("kube-root-ca.crt", || Ok(run(&["get", "configmap", "kube-root-ca.crt"]).ok()))?;

    let other = r#"{"spec":{"serviceAccountName":"other"}}"#;
    let create = ["-n", "accounts", "run", "b", "--image=example.com/a:1", "--overrides", other];
    let refused = k.fails(&create)?;
    let why = r#"error looking up service account accounts/other: serviceaccount "other" not found"#;
    ensure!(refused.contains(why), "{refused}");
    run(&["create", "serviceaccount", "other"])?;
    k.run(&create)?;

    run(&["delete", "serviceaccount", "default"])?;
    wait::until("a new account", || Ok(run(&["get", "serviceaccount", "default"]).ok())).map(drop)
}

fn limits(k: &Kubectl) -> Result<()> {
    k.run(&["create", "namespace", "limits"])?;
    let range = r#"{"spec":{"limits":[{"type":"Container","default":{"cpu":"200m"},"max":{"cpu":"300m"}}]}}"#;
    let file = tempfile::NamedTempFile::new()?;
    let range = format!(r#"{{"apiVersion":"v1","kind":"LimitRange","metadata":{{"name":"l"}},{}"#, &range[1..]);
    std::fs::write(file.path(), range)?;
    k.run(&["-n", "limits", "create", "-f", &file.path().display().to_string()])?;
    k.run(&["-n", "limits", "run", "a", "--image=example.com/a:1"])?;
    let pod = k.json(&["-n", "limits", "get", "pod", "a"])?;
    let resources = &pod["spec"]["containers"][0]["resources"];
    ensure!(resources["limits"]["cpu"] == "200m" && resources["requests"]["cpu"] == "200m", "{resources}");
    let much = r#"{"spec":{"containers":[{"name":"b","image":"i","resources":{"limits":{"cpu":"1"}}}]}}"#;
    let refused = k.fails(&["-n", "limits", "run", "b", "--image=i", "--overrides", much])?;
    ensure!(refused.contains("maximum cpu usage per Container is 300m, but limit is 1"), "{refused}");
    Ok(())
}

fn security(k: &Kubectl) -> Result<()> {
    k.run(&["create", "namespace", "safe"])?;
    k.run(&["-n", "safe", "run", "a", "--image=i", "--privileged"])?;
    let levels = ["pod-security.kubernetes.io/enforce=baseline", "pod-security.kubernetes.io/warn=restricted"];
    let (code, _, said) = k.try_run(&["label", "namespace", "safe", levels[0], levels[1]])?;
    let warning = r#"existing pods in namespace "safe" violate the new PodSecurity enforce level "baseline:latest""#;
    ensure!(code == 0 && said.contains(warning) && said.contains("a: privileged"), "{said}");
    let refused = k.fails(&["-n", "safe", "run", "b", "--image=i", "--privileged"])?;
    ensure!(refused.contains(r#"violates PodSecurity "baseline:latest": privileged"#), "{refused}");
    let (code, _, said) = k.try_run(&["-n", "safe", "create", "deployment", "d", "--image=i"])?;
    ensure!(code == 0 && said.contains(r#"would violate PodSecurity "restricted:latest""#), "{code}: {said}");
    let (code, _, said) =
        k.try_run(&["label", "namespace", "safe", "pod-security.kubernetes.io/warn=much", "--overwrite"])?;
    ensure!(code != 0 && said.contains("must be one of privileged, baseline, restricted"), "{said}");
    Ok(())
}

/// A burst through two front-ends fills a quota and no more; what is deleted is given back.
#[test]
fn quotas_through_two_front_ends() -> Result<()> {
    let _machine = machine();
    let cluster = Cluster::start(1, 2)?;
    let kubectls = [1, 2].map(|i| Kubectl::newest(&cluster.kubeconfig_of(i)));
    let [one, two] = kubectls;
    let (one, two) = (one?, two?);
    one.run(&["create", "namespace", "q"])?;
    one.run(&["-n", "q", "create", "quota", "few", &format!("--hard=pods={ROOM}")])?;
    let used = |k: &Kubectl| -> Result<String> {
        k.run(&["-n", "q", "get", "quota", "few", "-o", "jsonpath={.status.used.pods}"])
    };
    wait::until("the quota in force", || Ok((used(&one)? == "0").then_some(())))?;
    let burst: Vec<Child> = (0..BURST)
        .map(|i| {
            let k = if i % 2 == 0 { &one } else { &two };
            let mut run = k.command(&["-n", "q", "run", &format!("p{i}"), "--image=i"]);
            run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("start kubectl")
        })
        .collect::<Result<_>>()?;
    let mut created = 0;
    for mut child in burst {
        created += usize::from(child.wait()?.success());
    }
    ensure!(created == ROOM, "{created} pods were created");
    ensure!(used(&two)? == ROOM.to_string());
    let refused = two.fails(&["-n", "q", "run", "late", "--image=i"])?;
    ensure!(refused.contains("exceeded quota: few, requested: pods=1, used: pods=5, limited: pods=5"), "{refused}");
    two.run(&["-n", "q", "delete", "pod", "--all", "--force", "--grace-period=0"])?;
    wait::until("room again", || Ok((used(&one)? == "0").then_some(())))?;
    two.run(&["-n", "q", "run", "late", "--image=i"])?;
    cluster.check_logs()
}
