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

/// Each eviction takes its disruption from the budget in the transaction in which its pod begins to go.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_evictions_never_exceed_the_budget() {
    const PODS: &str = "/api/v1/namespaces/default/pods";
    const BUDGET: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/web";
    let server = Arc::new(Server::start().await);
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"minAvailable": 7, "selector": {"matchLabels": {"app": "web"}}},
    });
    server.post(BUDGET.trim_end_matches("/web"), &budget).await.is(201);
    for i in 0..10 {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("web-{i}"), "labels": {"app": "web"}},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
        });
        server.post(PODS, &pod).await.is(201);
        let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        server.patch(&format!("{PODS}/web-{i}/status"), MERGE, &status).await.is(200);
    }
    let status = json!({"status": {
        "observedGeneration": 1, "disruptionsAllowed": 3, "currentHealthy": 10, "desiredHealthy": 7, "expectedPods": 10,
    }});
    server.patch(&format!("{BUDGET}/status"), MERGE, &status).await.is(200);

    let evictions = (0..10).map(|i| {
        let server = server.clone();
        tokio::spawn(async move {
            let name = format!("web-{i}");
            let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
            let answer = server.post(&format!("{PODS}/{name}/eviction"), &eviction).await;
            let evicted = answer.code == 201;
            assert!(evicted || answer.code == 429, "{}", answer.message());
            evicted.then_some(name)
        })
    });
    let mut evicted = HashSet::new();
    for eviction in evictions.collect::<Vec<_>>() {
        evicted.extend(eviction.await.unwrap());
    }
    assert_eq!(evicted.len(), 3);
    let budget = server.get(BUDGET).await.is(200).json();
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    let charged: HashSet<String> = budget["status"]["disruptedPods"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(charged, evicted);
    for i in 0..10 {
        let pod = server.get(&format!("{PODS}/web-{i}")).await.is(200).json();
        let going = pod["metadata"]["deletionTimestamp"].is_string();
        assert_eq!(going, evicted.contains(&format!("web-{i}")));
        let conditions = pod["status"]["conditions"].as_array().unwrap();
        assert_eq!(conditions.iter().any(|c| c["type"] == "DisruptionTarget"), going);
    }
}
