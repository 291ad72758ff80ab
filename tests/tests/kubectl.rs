//! kubectl against `kuorum dev`: the walk that a person takes, with the newest kubectl of the machine and with
//! Debian's, which is years older than the server.

use std::io::Read;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kuorum_tests::dev::Dev;
use kuorum_tests::kubectl::Kubectl;
use kuorum_tests::{machine, paths, wait};

/// From this minor version on, kubectl has what the later parts of the walk use.
const SUBRESOURCE_FLAG_SINCE: u32 = 24;

/// From this minor version on, kubectl describes CronJobs and autoscalers by versions that are still served.
const BATCH_V1_SINCE: u32 = 23;

const MANIFESTS: [&str; 3] = ["platform.yaml", "web-app.yaml", "data.yaml"];

/// The address that the `kubernetes` Service leads to; loopback would be left out.
const FLAGS: [&str; 1] = ["--advertise-address=192.0.2.10"];

fn manifest(name: &str) -> String {
    paths::repository().join("tests/manifests").join(name).display().to_string()
}

#[test]
fn newest() -> Result<()> {
    let _machine = machine();
    let server = Dev::start(&FLAGS)?;
    walk(server, |server| Kubectl::newest(&server.kubeconfig()))
}

#[test]
fn debians_old_one() -> Result<()> {
    let _machine = machine();
    let server = Dev::start(&FLAGS)?;
    if Kubectl::oldest(&server.kubeconfig()).is_none() {
        println!("SKIPPED: Debian's kubernetes-client is not in {}", paths::tools().display());
        return Ok(());
    }
    walk(server, |server| Kubectl::oldest(&server.kubeconfig()).context("Debian's kubectl"))
}

/// One stage of the walk, on what the stages before it left.
type Step = fn(&Kubectl) -> Result<()>;

fn walk(mut server: Dev, choose: impl Fn(&Dev) -> Result<Kubectl>) -> Result<()> {
    let k = choose(&server)?;
    let steps: [(&str, Step); 13] = [
        ("discovery", discovery),
        ("apply", apply),
        ("read", read),
        ("server-side apply", server_side_apply),
        ("edit", edit),
        ("pods", pods),
        ("scale and roll out", scale_and_roll_out),
        ("watch and wait", watch_and_wait),
        ("pages and selectors", pages_and_selectors),
        ("explain", explain),
        ("proxy", proxy),
        ("errors", errors),
        ("delete", delete),
    ];
    // All that is wrong is worth knowing, not only the first of it.
    let mut failures = Vec::new();
    for (name, step) in steps {
        match step(&k) {
            Ok(()) => println!("  {name}: ok"),
            Err(error) => {
                println!("  {name}: FAILED: {error:#}");
                failures.push(name);
            }
        }
        server.check_alive()?;
    }
    ensure!(failures.is_empty(), "kubectl {}.{}: {}", k.version.0, k.version.1, failures.join(", "));
    Ok(())
}

fn discovery(k: &Kubectl) -> Result<()> {
    let version = k.json(&["version"])?;
    ensure!(version["serverVersion"]["minor"].as_str().is_some_and(|minor| minor.starts_with("36")), "{version}");
    let resources = k.run(&["api-resources"])?;
    for name in ["pods", "deployments", "horizontalpodautoscalers", "priorityclasses", "csidrivers", "leases"] {
        ensure!(resources.contains(name), "{name} is not in {resources}");
    }
    ensure!(resources.lines().any(|line| line.starts_with("configmaps") && line.contains("cm")), "{resources}");
    let names = k.run(&["api-resources", "--namespaced=false", "-o", "name"])?;
    ensure!(names.lines().any(|line| line == "clusterroles.rbac.authorization.k8s.io"), "{names}");
    ensure!(!names.lines().any(|line| line == "pods"), "{names}");
    let versions = k.run(&["api-versions"])?;
    for version in ["v1", "apps/v1", "autoscaling/v2", "batch/v1", "rbac.authorization.k8s.io/v1"] {
        ensure!(versions.lines().any(|line| line == version), "{version} is not in {versions}");
    }
    ensure!(k.run(&["get", "--raw", "/"])?.contains("/api/v1"));
    ensure!(k.run(&["get", "--raw", "/readyz"])? == "ok");
    ensure!(k.run(&["get", "--raw", "/readyz?verbose"])?.contains("[+]ping ok"));
    let namespaces = k.run(&["get", "ns", "-o", "name"])?;
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        ensure!(namespaces.contains(&format!("namespace/{name}")), "{namespaces}");
    }
    ensure!(k.run(&["get", "svc", "kubernetes"])?.contains("ClusterIP"));
    ensure!(k.run(&["get", "endpointslices", "kubernetes"])?.contains("IPv4"));
    k.run(&["cluster-info"]).map(drop)
}

fn apply(k: &Kubectl) -> Result<()> {
    let files = MANIFESTS.map(manifest);
    for file in &files {
        let said = k.run(&["apply", "-f", file])?;
        ensure!(said.lines().all(|line| line.ends_with("created")), "{file}: {said}");
    }
    for file in &files {
        // kubectl sends a patch for every list with defaults in it; none may change anything, not even the version.
        let versions = "jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{\"\\n\"}{end}";
        let before = k.run(&["get", "-f", file, "-o", versions])?;
        k.run(&["apply", "-f", file])?;
        let after = k.run(&["get", "-f", file, "-o", versions])?;
        let changed: Vec<_> = before.lines().zip(after.lines()).filter(|(old, new)| old != new).collect();
        ensure!(changed.is_empty() && !before.is_empty(), "{file}, applied again: {changed:?}");
        let (code, difference, said) = k.try_run(&["diff", "-f", file])?;
        ensure!(code == 0, "{file} differs after it was applied: {difference}{said}");
    }
    let service = k.json(&["get", "-n", "shop", "svc", "web"])?;
    ensure!(service["spec"]["clusterIP"].as_str().is_some_and(|ip| ip.starts_with("10.")), "{service}");
    let ports = k.json(&["get", "-n", "shop", "svc", "web-public"])?;
    ensure!(ports["spec"]["ports"][0]["nodePort"].as_u64().is_some_and(|port| port >= 30_000), "{ports}");
    let secret = k.json(&["get", "-n", "shop", "secret", "web-tls"])?;
    ensure!(secret["data"]["password"] == "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==", "stringData becomes data");
    Ok(())
}

fn read(k: &Kubectl) -> Result<()> {
    let table = k.run(&["get", "-n", "shop", "deploy", "web"])?;
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    ensure!(header == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"], "{table}");
    ensure!(lines.next().unwrap_or_default().split_whitespace().nth(1) == Some("0/3"), "{table}");
    let wide = k.run(&["get", "-n", "shop", "deploy", "web", "-o", "wide"])?;
    ensure!(wide.contains("nginx,exporter") && wide.contains("app=web"), "{wide}");
    ensure!(k.run(&["get", "-n", "shop", "deploy", "web", "-o", "yaml"])?.contains("kind: Deployment"));
    ensure!(k.run(&["get", "-n", "shop", "deploy", "web", "-o", "name"])?.trim() == "deployment.apps/web");
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    ensure!(k.run(&["get", "-n", "shop", "deploy", "web", "-o", image])? == "nginx:1.27");
    let template = "go-template={{.spec.replicas}}";
    ensure!(k.run(&["get", "-n", "shop", "deploy", "web", "-o", template])? == "3");
    let columns = "custom-columns=NAME:.metadata.name,REPLICAS:.spec.replicas";
    ensure!(k.run(&["get", "-n", "shop", "deploy", "-o", columns])?.contains("REPLICAS"));
    ensure!(k.run(&["get", "all", "-n", "shop"])?.contains("deployment.apps/web"));
    ensure!(k.run(&["get", "cm,secret,ing,hpa,pdb,netpol", "-n", "shop"])?.contains("shop.example.com"));
    ensure!(k.run(&["get", "pods", "-A"])?.contains("shell"));
    let labels = k.run(&["get", "pods", "-A", "--show-labels", "--sort-by=.metadata.name"])?;
    ensure!(labels.contains("purpose=debugging"), "{labels}");
    for (namespace, what) in [
        ("shop", "deploy/web"),
        ("shop", "svc/web"),
        ("shop", "ing/web"),
        ("shop", "cm/web-config"),
        ("shop", "secret/web-tls"),
        ("shop", "networkpolicy/web"),
        ("shop", "hpa/web"),
        ("data", "sts/postgres"),
        ("data", "cronjob/backup"),
        ("data", "pvc/backup"),
        ("data", "pod/shell"),
    ] {
        // An old kubectl asks for beta versions of these two, which no server of today has.
        if k.version.1 < BATCH_V1_SINCE && (what.starts_with("hpa") || what.starts_with("cronjob")) {
            continue;
        }
        let said = k.run(&["describe", "-n", namespace, what])?;
        ensure!(said.contains("Name:"), "{what}: {said}");
    }
    ensure!(k.run(&["describe", "node", "worker-0"])?.contains("topology.kubernetes.io/zone=a"));
    Ok(())
}

/// Owners, conflicts and the way from client-side to server-side apply.
fn server_side_apply(k: &Kubectl) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = |name: &str, replicas: u32, image: &str| -> Result<String> {
        let path = directory.path().join(name);
        let manifest = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: owned, namespace: default, labels: {{app: owned}}}}\n\
             spec:\n  replicas: {replicas}\n  selector: {{matchLabels: {{app: owned}}}}\n  template:\n    \
             metadata: {{labels: {{app: owned}}}}\n    spec:\n      containers:\n      - {{name: web, image: '{image}'}}\n"
        );
        std::fs::write(&path, manifest)?;
        Ok(path.display().to_string())
    };
    let (one, two) = (file("one.yaml", 1, "example.com/web:1")?, file("two.yaml", 2, "example.com/web:2")?);

    // What was applied by the client belongs to kubectl, and goes over to it without a conflict.
    k.run(&["apply", "-f", &one])?;
    let said = k.run(&["apply", "--server-side", "-f", &two])?;
    ensure!(said.contains("serverside-applied"), "{said}");
    // Before kubectl 1.21 they were always shown.
    let owned = k
        .json(&["get", "deploy", "owned", "--show-managed-fields"])
        .or_else(|_| k.json(&["get", "deploy", "owned"]))?;
    let owners = owned["metadata"]["managedFields"].as_array().context("managedFields")?;
    ensure!(owned["spec"]["replicas"] == 2, "{owned}");
    ensure!(owners.iter().any(|o| o["manager"] == "kubectl" && o["operation"] == "Apply"), "{owners:?}");
    let version = |k: &Kubectl| k.run(&["get", "deploy", "owned", "-o", "jsonpath={.metadata.resourceVersion}"]);
    let before = version(k)?;
    k.run(&["apply", "--server-side", "-f", &two])?;
    ensure!(version(k)? == before, "applied again, and nothing has changed");
    let (code, difference, said) = k.try_run(&["diff", "--server-side", "-f", &two])?;
    ensure!(code == 0, "{difference}{said}");
    let (code, difference, _) = k.try_run(&["diff", "--server-side", "-f", &one])?;
    ensure!(code == 1 && difference.contains("example.com/web:1"), "{code}: {difference}");

    // Somebody else scales it: a conflict, until it is forced.
    k.run(&["scale", "deploy", "owned", "--replicas=5"])?;
    let refused = k.fails(&["apply", "--server-side", "-f", &two])?;
    ensure!(refused.contains("Apply failed with 1 conflict"), "{refused}");
    ensure!(refused.contains(r#"with subresource "scale" using apps/v1: .spec.replicas"#), "{refused}");
    k.run(&["apply", "--server-side", "--force-conflicts", "-f", &two])?;
    let owned = k.json(&["get", "deploy", "owned"])?;
    ensure!(owned["spec"]["replicas"] == 2, "{owned}");
    let (asks, ..) = k.try_run(&["get", "deploy", "owned", "--show-managed-fields"])?;
    ensure!(asks != 0 || owned["metadata"].get("managedFields").is_none(), "kubectl shows owners only when asked");
    k.run(&["apply", "--server-side", "--field-manager=other", "--dry-run=server", "-f", &two])?;
    k.run(&["delete", "deploy", "owned"]).map(drop)
}

fn edit(k: &Kubectl) -> Result<()> {
    let n = ["-n", "shop"];
    let run = |arguments: &[&str]| k.run(&[&n[..], arguments].concat());
    ensure!(run(&["create", "configmap", "notes", "--from-literal=a=1"])?.contains("configmap/notes created"));
    run(&["label", "cm", "notes", "stage=draft"])?;
    run(&["label", "cm", "notes", "stage=final", "--overwrite"])?;
    run(&["annotate", "cm", "notes", "example.com/owner=jane"])?;
    run(&["patch", "cm", "notes", "--type=merge", "-p", r#"{"data":{"b":"2"}}"#])?;
    run(&["patch", "cm", "notes", "--type=json", "-p", r#"[{"op":"remove","path":"/data/a"}]"#])?;
    let notes = k.json(&["-n", "shop", "get", "cm", "notes"])?;
    ensure!(notes["data"] == serde_json::json!({"b": "2"}), "{notes}");
    ensure!(notes["metadata"]["labels"]["stage"] == "final", "{notes}");
    // Containers are merged by name: the exporter stays.
    let strategic = r#"{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"nginx:1.28"}]}}}}"#;
    run(&["patch", "deploy", "web", "-p", strategic])?;
    let web = k.json(&["-n", "shop", "get", "deploy", "web"])?;
    let containers = &web["spec"]["template"]["spec"]["containers"];
    ensure!(containers[0]["image"] == "nginx:1.28" && containers[1]["name"] == "exporter", "{containers}");
    ensure!(web["metadata"]["generation"].as_u64() > Some(1), "{}", web["metadata"]);
    // `kubectl edit` with an editor that changes one word.
    let mut edit = k.command(&["-n", "shop", "edit", "cm", "notes"]);
    let edited = edit.env("KUBE_EDITOR", "sed -i s/jane/joe/").output()?;
    ensure!(edited.status.success(), "{}", String::from_utf8_lossy(&edited.stderr));
    ensure!(run(&["get", "cm", "notes", "-o", "yaml"])?.contains("joe"));
    // A replace with an old version is refused.
    let path = std::env::temp_dir().join(format!("kuorum-notes-{}.json", std::process::id()));
    std::fs::write(&path, notes.to_string())?;
    let refused = k.fails(&["-n", "shop", "replace", "-f", &path.display().to_string()]);
    std::fs::remove_file(&path)?;
    ensure!(refused?.contains("the object has been modified"));
    run(&["delete", "cm", "notes"]).map(drop)
}

fn pods(k: &Kubectl) -> Result<()> {
    k.run(&["run", "one", "--image=busybox", "--restart=Never", "--labels=x=y"])?;
    let pod = k.json(&["get", "pod", "one"])?;
    ensure!(pod["status"]["phase"] == "Pending" && pod["status"]["qosClass"] == "BestEffort", "{}", pod["status"]);
    ensure!(pod["spec"]["containers"][0]["imagePullPolicy"] == "Always", "{}", pod["spec"]);
    // No node, so no kubelet: the error is the server's, and prompt.
    let (_, _, said) = k.try_run(&["logs", "one"])?;
    ensure!(!said.contains("Internal") && !said.contains("panic"), "{said}");
    if k.version.1 >= SUBRESOURCE_FLAG_SINCE {
        let status = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
        k.run(&["patch", "pod", "one", "--subresource=status", "--type=strategic", "-p", status])?;
        k.run(&["wait", "--for=condition=Ready", "pod/one", "--timeout=10s"])?;
    }
    k.run(&["expose", "pod", "one", "--port=80", "--name=one-svc"])?;
    k.run(&["delete", "pod", "one", "--force", "--grace-period=0"])?;
    ensure!(k.fails(&["get", "pod", "one"])?.contains("NotFound"));
    k.run(&["delete", "svc", "one-svc"]).map(drop)
}

fn scale_and_roll_out(k: &Kubectl) -> Result<()> {
    k.run(&["-n", "shop", "scale", "deploy/web", "--replicas=5"])?;
    ensure!(k.run(&["-n", "shop", "get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"])? == "5");
    let wrong = k.fails(&["-n", "shop", "scale", "deploy/web", "--current-replicas=3", "--replicas=1"])?;
    ensure!(wrong.contains("xpected"), "{wrong}");
    k.run(&["-n", "shop", "set", "image", "deploy/web", "nginx=nginx:1.29"])?;
    k.run(&["-n", "shop", "set", "env", "deploy/web", "COLOR=blue"])?;
    k.run(&["-n", "shop", "rollout", "restart", "deploy/web"])?;
    let web = k.json(&["-n", "shop", "get", "deploy", "web"])?;
    let template = &web["spec"]["template"];
    ensure!(template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"].is_string(), "{template}");
    // There is no controller here, so the history is made by hand: a ReplicaSet that belongs to the Deployment.
    let history = serde_json::json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": "web-1", "namespace": "shop", "labels": {"app": "web", "tier": "frontend"},
            "annotations": {"deployment.kubernetes.io/revision": "1", "kubernetes.io/change-cause": "first"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": true,
                                 "uid": web["metadata"]["uid"]}],
        },
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    });
    let path = std::env::temp_dir().join(format!("kuorum-history-{}.json", std::process::id()));
    std::fs::write(&path, history.to_string())?;
    let created = k.run(&["create", "-f", &path.display().to_string()]);
    std::fs::remove_file(&path)?;
    created?;
    let said = k.run(&["-n", "shop", "rollout", "history", "deploy/web"])?;
    ensure!(said.contains("REVISION") && said.contains("first"), "{said}");
    k.run(&["-n", "shop", "autoscale", "deploy", "web", "--name=second", "--min=1", "--max=3"]).map(drop)
}

fn watch_and_wait(k: &Kubectl) -> Result<()> {
    let log = std::env::temp_dir().join(format!("kuorum-watch-{}.log", std::process::id()));
    k.run(&["create", "cm", "seen-0"])?;
    let watch = k.spawn(&["get", "cm", "-w", "-o", "name"], &log)?;
    wait::until("the first object of the watch", || Ok(watch.output().contains("configmap/seen-0").then_some(())))?;
    for i in 1..=3 {
        k.run(&["create", "cm", &format!("seen-{i}")])?;
        wait::until(format!("event {i} of the watch"), || {
            Ok(watch.output().contains(&format!("configmap/seen-{i}")).then_some(()))
        })?;
    }
    drop(watch);
    std::fs::remove_file(&log)?;
    // A wait that ends because of a change, and one that ends because nothing is there any more.
    let mut waiting = k.spawn(&["wait", "--for=delete", "cm/seen-1", "--timeout=30s"], &log)?;
    k.run(&["delete", "cm", "seen-0", "seen-1", "seen-2", "seen-3"])?;
    wait::until("the end of kubectl wait", || waiting.is_over())?;
    let said = waiting.output();
    // It may have looked only when nothing was there any more, which some versions call an error, and others nothing.
    let told = ["condition met", "NotFound", "no matching resources"].iter().any(|end| said.contains(end));
    ensure!(told || said.trim().is_empty(), "{said}");
    drop(waiting);
    std::fs::remove_file(&log).map_err(Into::into)
}

fn pages_and_selectors(k: &Kubectl) -> Result<()> {
    let whole = k.run(&["get", "cm,svc,sa", "-A", "-o", "name"])?;
    ensure!(k.run(&["get", "cm,svc,sa", "-A", "-o", "name", "--chunk-size=1"])? == whole);
    ensure!(k.run(&["get", "pods", "-A", "-l", "purpose=debugging", "-o", "name"])?.trim() == "pod/shell");
    ensure!(k.run(&["get", "pods", "-A", "-l", "purpose notin (debugging)", "-o", "name"])?.trim().is_empty());
    let field = "--field-selector=metadata.name=shell,status.phase=Pending";
    ensure!(k.run(&["get", "pods", "-A", field, "-o", "name"])?.trim() == "pod/shell");
    ensure!(k.fails(&["get", "cm", "--field-selector=data.x=1"])?.contains("not a known field selector"));
    Ok(())
}

fn explain(k: &Kubectl) -> Result<()> {
    let said = k.run(&["explain", "pod.spec.containers"])?;
    ensure!(said.contains("imagePullPolicy") && said.contains("Image pull policy."), "{said}");
    let said = k.run(&["explain", "deployments.spec.strategy", "--recursive"])?;
    ensure!(said.contains("maxSurge"), "{said}");
    k.run(&["explain", "hpa"]).map(drop)
}

fn proxy(k: &Kubectl) -> Result<()> {
    let log = std::env::temp_dir().join(format!("kuorum-proxy-{}.log", std::process::id()));
    let proxy = k.spawn(&["proxy", "--port=0"], &log)?;
    let address = wait::until("kubectl proxy", || {
        Ok(proxy.output().lines().find_map(|line| line.strip_prefix("Starting to serve on ").map(str::to_owned)))
    })?;
    let mut curl = Command::new("curl");
    curl.args(["-sf", "-m", "10", &format!("http://{address}/api/v1/namespaces/default")]);
    let answer = curl.output()?;
    std::fs::remove_file(&log)?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).context("through kubectl proxy")?;
    ensure!(answer["kind"] == "Namespace", "{answer}");
    Ok(())
}

fn errors(k: &Kubectl) -> Result<()> {
    ensure!(k.fails(&["get", "pod", "no-such-pod"])?.contains(r#"pods "no-such-pod" not found"#));
    ensure!(k.fails(&["get", "nonsense"])?.contains("doesn't have a resource type"));
    ensure!(k.fails(&["create", "ns", "default"])?.contains("AlreadyExists"));
    ensure!(k.fails(&["-n", "nowhere", "create", "cm", "x"])?.contains(r#"namespaces "nowhere" not found"#));
    ensure!(k.fails(&["create", "cm", "Not_A_Name"])?.contains("RFC 1123"));
    let said = create_from_stdin(k, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatas: {a: b}\n")?;
    ensure!(said.contains("datas"), "an unknown field is refused: {said}");
    let said = create_from_stdin(k, "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {type: Nonsense}\n")?;
    ensure!(said.contains("Nonsense"), "{said}");
    Ok(())
}

/// What `kubectl create -f -` says when it fails.
fn create_from_stdin(k: &Kubectl, text: &str) -> Result<String> {
    use std::io::Write;
    use std::process::Stdio;
    let mut create = k.command(&["create", "-f", "-"]);
    let mut child = create.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("stdin")?.write_all(text.as_bytes())?;
    let mut said = String::new();
    child.stderr.take().context("stderr")?.read_to_string(&mut said)?;
    let status = child.wait()?;
    ensure!(!status.success(), "created: {text}");
    Ok(said)
}

fn delete(k: &Kubectl) -> Result<()> {
    // The garbage collector and the volume controllers are not the API server's: what they would do is done by hand.
    k.run(&["-n", "data", "delete", "sts", "postgres", "--cascade=orphan", "--wait=false"])?;
    let orphaning = k.json(&["-n", "data", "get", "sts", "postgres"])?;
    let metadata = &orphaning["metadata"];
    ensure!(metadata["finalizers"][0] == "orphan" && metadata["deletionTimestamp"].is_string(), "{metadata}");
    let free = ["--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#];
    k.run(&[&["-n", "data", "patch", "sts", "postgres"], &free[..]].concat())?;
    ensure!(k.fails(&["-n", "data", "get", "sts", "postgres"])?.contains("NotFound"));
    k.run(&[&["-n", "data", "patch", "pvc", "backup"], &free[..]].concat())?;
    k.run(&[&["patch", "pv", "archive-0"], &free[..]].concat())?;
    k.run(&["delete", "-f", &manifest("platform.yaml"), "--timeout=60s"])?;
    // A namespace goes with all that is in it.
    k.run(&["delete", "ns", "shop", "data", "--timeout=60s"])?;
    ensure!(k.fails(&["get", "ns", "shop"])?.contains("NotFound"));
    ensure!(k.run(&["get", "deploy,svc,cm,secret", "-n", "shop", "-o", "name"])?.trim().is_empty());
    let refused = k.fails(&["delete", "ns", "default"])?;
    ensure!(refused.contains("forbidden"), "{refused}");
    Ok(())
}
