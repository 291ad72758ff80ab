//! What admission plugins decide about pods and their subresources, through the whole front-end.

use serde_json::{Value, json};

use crate::harness::{MERGE, Server, without_accounts};

const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "a", "image": "x", "resources": {"requests": {"cpu": "100m"}}}]}})
}

/// A quota of the default namespace that is in force.
async fn limit(server: &Server, hard: Value) {
    let path = "/api/v1/namespaces/default/resourcequotas";
    let quota =
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": hard}});
    server.post(path, &quota).await.is(201);
    let used: serde_json::Map<String, Value> =
        hard.as_object().unwrap().keys().map(|name| (name.clone(), json!("0"))).collect();
    let status = json!({"status": {"hard": hard, "used": used}});
    server.patch(&format!("{path}/few/status"), MERGE, &status).await.is(200);
}

async fn used(server: &Server, name: &str) -> Value {
    server.get("/api/v1/namespaces/default/resourcequotas/few").await.is(200).json()["status"]["used"][name].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_burst_through_two_front_ends_passes_a_quota() {
    let one = std::sync::Arc::new(Server::start().await);
    let two = std::sync::Arc::new(Server::on(without_accounts(), one.store.clone()));
    limit(&one, json!({"pods": "7"})).await;
    let burst: Vec<_> = (0..40)
        .map(|i| {
            let server = if i % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move { server.post(PODS, &pod(&format!("p{i}"))).await.code })
        })
        .collect();
    let mut codes = Vec::new();
    for request in burst {
        codes.push(request.await.unwrap());
    }
    let with = |code| codes.iter().filter(|&&c| c == code).count();
    assert_eq!((with(201), with(403)), (7, 33), "{codes:?}");
    assert_eq!(used(&one, "pods").await, "7");
    assert_eq!(one.get(PODS).await.json()["items"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn only_what_is_written_is_charged() {
    let server = Server::start().await;
    limit(&server, json!({"pods": "2"})).await;
    server.post(PODS, &pod("a")).await.is(201);
    server.post(PODS, &pod("a")).await.is(409);
    server.post(&format!("{PODS}?dryRun=All"), &pod("b")).await.is(201);
    assert_eq!(used(&server, "pods").await, "1");
    server.post(PODS, &pod("b")).await.is(201);
    let refused = server.post(PODS, &pod("c")).await.is(403);
    assert_eq!(
        refused.message(),
        r#"pods "c" is forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2"#
    );
    server.post(&format!("{PODS}?dryRun=All"), &pod("c")).await.is(403);
}

#[tokio::test]
async fn ephemeral_containers_keep_to_the_namespaces_level() {
    let server = Server::start().await;
    server.post(PODS, &pod("a")).await.is(201);
    let level = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}});
    server.patch("/api/v1/namespaces/default", MERGE, &level).await.is(200);
    let debugged = |privileged: bool| json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "x", "securityContext": {"privileged": privileged}}]}});
    let path = format!("{PODS}/a/ephemeralcontainers");
    let refused = server.patch(&path, MERGE, &debugged(true)).await.is(403);
    assert_eq!(
        refused.message(),
        r#"pods "a" is forbidden: violates PodSecurity "baseline:latest": privileged (container "debug" must not set securityContext.privileged=true)"#
    );
    server.patch(&path, MERGE, &debugged(false)).await.is(200);
}

#[tokio::test]
async fn ephemeral_containers_are_pulled_always() {
    let mut config = without_accounts();
    config.enable_admission_plugins.push("AlwaysPullImages".to_owned());
    let server = Server::with(config).await;
    let mut pinned = pod("a");
    pinned["spec"]["containers"][0]["imagePullPolicy"] = json!("Never");
    let made = server.post(PODS, &pinned).await.is(201).json();
    assert_eq!(made["spec"]["containers"][0]["imagePullPolicy"], "Always");
    let debugged = json!({"spec": {"ephemeralContainers": [{"name": "d", "image": "y", "imagePullPolicy": "Never"}]}});
    let made = server.patch(&format!("{PODS}/a/ephemeralcontainers"), MERGE, &debugged).await.is(200).json();
    assert_eq!(made["spec"]["ephemeralContainers"][0]["imagePullPolicy"], "Always");
}

#[tokio::test]
async fn a_resize_keeps_to_quotas_and_limits() {
    let server = Server::start().await;
    limit(&server, json!({"requests.cpu": "500m"})).await;
    server.post(PODS, &pod("a")).await.is(201);
    let limits = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"},
        "spec": {"limits": [{"type": "Container", "min": {"cpu": "50m"}}]}});
    server.post("/api/v1/namespaces/default/limitranges", &limits).await.is(201);
    let resized =
        |cpu: &str| json!([{"op": "replace", "path": "/spec/containers/0/resources/requests/cpu", "value": cpu}]);
    let (path, kind) = (format!("{PODS}/a/resize"), "application/json-patch+json");
    let refused = server.patch(&path, kind, &resized("600m")).await.is(403).message();
    assert!(refused.contains("exceeded quota: few, requested: requests.cpu=500m"), "{refused}");
    let refused = server.patch(&path, kind, &resized("20m")).await.is(403).message();
    assert!(refused.contains("minimum cpu usage per Container is 50m, but request is 20m"), "{refused}");
    server.patch(&path, kind, &resized("400m")).await.is(200);
    assert_eq!(used(&server, "requests.cpu").await, "400m");
}
