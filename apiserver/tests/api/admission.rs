//! Namespaces: what may be created in them, and how they end.

use serde_json::json;

use crate::harness::{Server, config_map};

#[tokio::test]
async fn nothing_is_created_in_an_absent_or_terminating_namespace() {
    let server = Server::start().await;
    let missing = server.post("/api/v1/namespaces/none/configmaps", &config_map("a")).await.is(404);
    assert_eq!(missing.message(), r#"namespaces "none" not found"#);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}});
    server.post("/api/v1/namespaces", &namespace).await.is(201);
    server.post("/api/v1/namespaces/going/configmaps", &config_map("a")).await.is(201);
    let marked = server.delete("/api/v1/namespaces/going").await.is(200).json();
    assert_eq!(marked["status"]["phase"], "Terminating");
    let refused = server.post("/api/v1/namespaces/going/configmaps", &config_map("b")).await.is(403).json();
    assert_eq!(refused["details"]["causes"][0]["reason"], "NamespaceTerminating");
    // What is there can still be changed.
    server.delete("/api/v1/namespaces/going/configmaps/a").await.is(200);
}

#[tokio::test]
async fn three_namespaces_stay() {
    let server = Server::start().await;
    for name in ["default", "kube-system", "kube-public"] {
        let refused = server.delete(&format!("/api/v1/namespaces/{name}")).await.is(403);
        assert_eq!(refused.message(), format!("namespaces {name:?} is forbidden: this namespace may not be deleted"));
    }
}

#[tokio::test]
async fn the_controller_empties_and_finalizes() {
    let server = Server::start().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}});
    server.post("/api/v1/namespaces", &namespace).await.is(201);
    for name in ["a", "b"] {
        server.post("/api/v1/namespaces/going/configmaps", &config_map(name)).await.is(201);
    }
    let controller = tokio::spawn(kuorum_apiserver::controllers::namespace::run(server.app.clone()));
    server.delete("/api/v1/namespaces/going").await.is(200);
    let gone = async {
        while server.get("/api/v1/namespaces/going").await.code != 404 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.expect("the namespace goes");
    server.app.drain.cancel();
    controller.await.unwrap();
    assert!(server.store.resource("/registry/core/configmaps/").unwrap().get("going", "a").is_none());
}
