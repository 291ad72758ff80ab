//! kubectl under many identities against `kuorum dev`: what RBAC gives, and how refusals read.

use anyhow::{Context, Result, ensure};
use kuorum_tests::dev::Dev;
use kuorum_tests::kubectl::Kubectl;
use kuorum_tests::{machine, paths, wait};

const USER: &str = "--as=system:serviceaccount:default:read-only-user";

/// A pod that needs no node and no token.
const POD: &str = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "kube-system"},
    "spec": {"automountServiceAccountToken": false, "containers": [{"name": "c", "image": "i"}]}}"#;

fn apply(k: &Kubectl, name: &str, text: &str) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join(name);
    std::fs::write(&file, text)?;
    k.run(&["apply", "-f", &file.display().to_string()])
}

/// kubectl's answer to a question is its exit code, too.
fn can_i(k: &Kubectl, arguments: &[&str]) -> Result<bool> {
    let arguments: Vec<&str> = ["auth", "can-i"].iter().chain(arguments).copied().collect();
    let (code, said, error) = k.try_run(&arguments)?;
    match (code, said.trim()) {
        (0, "yes") => Ok(true),
        (1, "no") => Ok(false),
        _ => anyhow::bail!("{arguments:?}: {code} {said}{error}"),
    }
}

#[test]
fn a_read_only_user() -> Result<()> {
    let _machine = machine();
    let server = Dev::start::<&str>(&[])?;
    let k = Kubectl::newest(&server.kubeconfig())?;
    let manifest = paths::repository().join("tests/manifests/read-only-user.yaml").display().to_string();
    let said = k.run(&["apply", "-f", &manifest])?;
    ensure!(said.lines().count() == 3 && said.lines().all(|line| line.ends_with("created")), "{said}");
    let role = k.json(&["get", "clusterrole", "read-only-user"])?;
    ensure!(role["metadata"].get("namespace").is_none(), "{role}");
    wait::until("the service account of kube-system", || {
        Ok((k.try_run(&["get", "-n", "kube-system", "serviceaccount", "default"])?.0 == 0).then_some(()))
    })?;
    apply(&k, "pod.json", POD)?;

    let pods = k.run(&[USER, "get", "pods", "-A"])?;
    ensure!(pods.contains("kube-system") && pods.contains('x'), "{pods}");
    let refused = k.fails(&[USER, "describe", "pod", "-n", "kube-system", "x"])?;
    let words = "Error from server (Forbidden): pods \"x\" is forbidden: User \
                 \"system:serviceaccount:default:read-only-user\" cannot get resource \"pods\" in API group \"\" in the \
                 namespace \"kube-system\"";
    ensure!(refused.contains(words), "{refused}");
    ensure!(can_i(&k, &["get", "pods", "-A"])?);
    ensure!(!can_i(&k, &["get", "pods", "-A", USER])?);
    ensure!(can_i(&k, &["list", "pods", "-A", USER])?);
    let list = k.run(&["auth", "can-i", "--list", USER])?;
    let pods = list.lines().find(|line| line.starts_with("pods ")).context("pods are listed")?;
    ensure!(pods.contains("[list]"), "{list}");
    ensure!(list.contains("selfsubjectrulesreviews.authorization.k8s.io") && list.contains("/healthz"), "{list}");
    Ok(())
}

#[test]
fn default_roles_are_filled_and_kept() -> Result<()> {
    let _machine = machine();
    let server = Dev::start::<&str>(&[])?;
    let k = Kubectl::newest(&server.kubeconfig())?;
    k.run(&["create", "namespace", "shop"])?;
    for (role, user) in [("view", "vera"), ("edit", "ed"), ("admin", "ada")] {
        let (role, user) = (format!("--clusterrole={role}"), format!("--user={user}"));
        k.run(&["create", "rolebinding", "-n", "shop", &user[7..], &role, &user])?;
    }
    // The aggregation controller needs a moment.
    wait::until("rules of admin, edit and view", || {
        let (ada, vera) = (["create", "roles", "-n", "shop", "--as=ada"], ["get", "pods", "-n", "shop", "--as=vera"]);
        Ok((can_i(&k, &ada)? && can_i(&k, &vera)?).then_some(()))
    })?;
    for (user, verb, resource, allowed) in [
        ("vera", "list", "deployments.apps", true),
        ("vera", "get", "secrets", false),
        ("vera", "delete", "pods", false),
        ("ed", "create", "deployments.apps", true),
        ("ed", "get", "secrets", true),
        ("ed", "create", "rolebindings.rbac.authorization.k8s.io", false),
        ("ada", "create", "rolebindings.rbac.authorization.k8s.io", true),
        ("ada", "update", "resourcequotas", false),
    ] {
        let question = [verb, resource, "-n", "shop", &format!("--as={user}")];
        ensure!(can_i(&k, &question)? == allowed, "{user} {verb} {resource}");
        ensure!(!can_i(&k, &[verb, resource, "-n", "default", &format!("--as={user}")])?, "{user} in default");
    }
    // Ada gives what she has, and no more.
    k.run(&["create", "rolebinding", "-n", "shop", "more", "--clusterrole=edit", "--user=bob", "--as=ada"])?;
    let refused = k.fails(&[
        "create",
        "rolebinding",
        "-n",
        "shop",
        "most",
        "--clusterrole=cluster-admin",
        "--user=bob",
        "--as=ada",
    ])?;
    ensure!(refused.contains("is attempting to grant RBAC permissions not currently held:"), "{refused}");
    // `auth reconcile` adds what is missing, and says what it did.
    let manifest = paths::repository().join("tests/manifests/read-only-user.yaml").display().to_string();
    let said = k.run(&["auth", "reconcile", "-f", &manifest])?;
    ensure!(said.contains("clusterrole.rbac.authorization.k8s.io/read-only-user reconciled"), "{said}");
    k.run(&["patch", "clusterrole", "read-only-user", "--type=merge", "-p", r#"{"rules": []}"#])?;
    let (_, said, more) = k.try_run(&["auth", "reconcile", "-f", &manifest])?;
    ensure!(more.contains("missing rules added"), "{said}{more}");
    ensure!(can_i(&k, &["list", "pods", "-A", USER])?);
    Ok(())
}
