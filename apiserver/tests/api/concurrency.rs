//! Many writers at once: nothing is lost, nothing is given twice.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;

use crate::harness::{CONFIG_MAPS, MERGE, Server, config_map};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_patches_all_count() {
    let server = Arc::new(Server::start().await);
    server.post(CONFIG_MAPS, &config_map("a")).await.is(201);
    let patches = (0..50).map(|i| {
        let server = server.clone();
        tokio::spawn(async move {
            let body = json!({"data": {format!("k{i}"): "v"}});
            server.patch(&format!("{CONFIG_MAPS}/a"), MERGE, &body).await.is(200);
        })
    });
    for patch in patches.collect::<Vec<_>>() {
        patch.await.unwrap();
    }
    let data = server.get(&format!("{CONFIG_MAPS}/a")).await.is(200).json()["data"].clone();
    assert_eq!(data.as_object().unwrap().len(), 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_services_get_different_addresses_and_ports() {
    let server = Arc::new(Server::start().await);
    let creates = (0..40).map(|i| {
        let server = server.clone();
        tokio::spawn(async move {
            let service = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("s{i}")},
                "spec": {"type": "NodePort", "ports": [{"port": 80}]},
            });
            let made = server.post("/api/v1/namespaces/default/services", &service).await.is(201).json();
            (made["spec"]["clusterIP"].to_string(), made["spec"]["ports"][0]["nodePort"].to_string())
        })
    });
    let (mut addresses, mut ports) = (HashSet::new(), HashSet::new());
    for create in creates.collect::<Vec<_>>() {
        let (address, port) = create.await.unwrap();
        assert!(addresses.insert(address) && ports.insert(port));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn front_ends_bootstrap_together() {
    let first = Server::unbootstrapped(Default::default());
    let second = Server::on(Default::default(), first.store.clone());
    tokio::join!(
        kuorum_apiserver::bootstrap::run(first.app.clone(), 6443),
        kuorum_apiserver::bootstrap::run(second.app.clone(), 6443),
    );
    for path in [
        "/api/v1/namespaces/kube-system",
        "/api/v1/namespaces/default/services/kubernetes",
        "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical",
        "/apis/networking.k8s.io/v1/servicecidrs/kubernetes",
    ] {
        first.get(path).await.is(200);
        second.get(path).await.is(200);
    }
}
