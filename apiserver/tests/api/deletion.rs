//! Deletions: finalizers, preconditions, graceful pods, collections.

use serde_json::json;

use crate::harness::{CONFIG_MAPS, MERGE, Server, config_map};

#[tokio::test]
async fn a_finalizer_holds_an_object() {
    let server = Server::start().await;
    let mut object = config_map("a");
    object["metadata"]["finalizers"] = json!(["example.com/f"]);
    server.post(CONFIG_MAPS, &object).await.is(201);
    let path = format!("{CONFIG_MAPS}/a");
    let marked = server.delete(&path).await.is(200).json();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    server.patch(&path, MERGE, &json!({"metadata": {"finalizers": ["example.com/g"]}})).await.is(422);
    server.patch(&path, MERGE, &json!({"metadata": {"finalizers": null}})).await.is(200);
    server.get(&path).await.is(404);
}

#[tokio::test]
async fn preconditions_are_checked() {
    let server = Server::start().await;
    let created = server.post(CONFIG_MAPS, &config_map("a")).await.is(201).json();
    let path = format!("{CONFIG_MAPS}/a");
    let options = |p: serde_json::Value| json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": p});
    server.call("DELETE", &path, Some(&options(json!({"uid": "other"})))).await.is(409);
    server.call("DELETE", &path, Some(&options(json!({"resourceVersion": "1"})))).await.is(409);
    server.call("DELETE", &path, Some(&options(json!({"uid": created["metadata"]["uid"]})))).await.is(200);
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let server = Server::start().await;
    for (name, label) in [("a", "1"), ("b", "1"), ("c", "2")] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"g": label});
        server.post(CONFIG_MAPS, &object).await.is(201);
    }
    let list = server.delete(&format!("{CONFIG_MAPS}?labelSelector=g%3D1")).await.is(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    server.get(&format!("{CONFIG_MAPS}/a")).await.is(404);
    server.get(&format!("{CONFIG_MAPS}/c")).await.is(200);
}

#[tokio::test]
async fn a_scheduled_pod_is_terminated_gracefully() {
    let server = Server::start().await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
    });
    server.post("/api/v1/namespaces/default/pods", &pod).await.is(201);
    let path = "/api/v1/namespaces/default/pods/p";
    assert_eq!(server.delete(path).await.is(200).json()["metadata"]["deletionGracePeriodSeconds"], 30);
    server.get(path).await.is(200);
    server.delete(&format!("{path}?gracePeriodSeconds=0")).await.is(200);
    server.get(path).await.is(404);
}
