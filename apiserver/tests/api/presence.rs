//! The `kubernetes` Service leads to the front-ends that live, and to no others.

use kuorum_apiserver::bootstrap;
use kuorum_apiserver::config::Config;
use kuorum_cache::Txn;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::harness::Server;

const ENDPOINTS: &str = "/api/v1/namespaces/default/endpoints/kubernetes";
const SLICE: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
const SERVICE: &str = "/api/v1/namespaces/default/services/kubernetes";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

fn at(address: &str) -> Config {
    Config { advertise_address: Some(address.parse().unwrap()), ..Default::default() }
}

/// Addresses in Endpoints and EndpointSlice, which must agree.
async fn addresses(server: &Server) -> Vec<String> {
    let texts = |items: &Value, pointer: &str| -> Vec<String> {
        let address = |item: &Value| item.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        items.as_array().unwrap().iter().map(address).collect()
    };
    let endpoints = server.get(ENDPOINTS).await.is(200).json();
    let slice = server.get(SLICE).await.is(200).json();
    let found = texts(&endpoints["subsets"][0]["addresses"], "/ip");
    assert_eq!(found, texts(&slice["endpoints"], "/addresses/0"));
    found
}

#[tokio::test]
async fn endpoints_follow_the_front_ends_that_live() {
    let one = Server::unbootstrapped(at("10.1.0.1"));
    let two = Server::on(at("10.1.0.2"), one.store.clone());
    bootstrap::run(two.app.clone(), 6443).await;
    assert_eq!(addresses(&one).await, ["10.1.0.2"]);
    bootstrap::run(one.app.clone(), 6443).await;
    assert_eq!(addresses(&one).await, ["10.1.0.1", "10.1.0.2"]);

    // Somebody's changes are undone.
    let mut endpoints = two.get(ENDPOINTS).await.is(200).json();
    endpoints["subsets"] = json!([{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 1}]}]);
    two.put(ENDPOINTS, &endpoints).await.is(200);
    let mut service = two.get(SERVICE).await.is(200).json();
    service["spec"]["ports"][0]["targetPort"] = json!(1);
    two.put(SERVICE, &service).await.is(200);
    two.delete(SLICE).await.is(200);
    bootstrap::run(two.app.clone(), 6443).await;
    assert_eq!(addresses(&one).await, ["10.1.0.1", "10.1.0.2"]);
    assert_eq!(one.get(SERVICE).await.is(200).json()["spec"]["ports"][0]["targetPort"], 6443);

    // One stops in good order.
    one.app.shutdown.cancel();
    bootstrap::keep(one.app.clone(), 6443).await;
    assert_eq!(addresses(&two).await, ["10.1.0.2"]);

    // One dies: its lease expires, and the next to look takes it out.
    bootstrap::run(one.app.clone(), 6443).await;
    let expired = Txn::new().delete("/registry/kuorum/masterleases/10.1.0.2:6443");
    one.store.commit(expired, Instant::now() + Duration::from_secs(5)).await.unwrap();
    bootstrap::run(one.app.clone(), 6443).await;
    assert_eq!(addresses(&one).await, ["10.1.0.1"]);

    // The last one leaves its address behind.
    bootstrap::keep(one.app.clone(), 6443).await;
    assert_eq!(addresses(&two).await, ["10.1.0.1"]);
}

#[tokio::test]
async fn a_front_end_has_one_lease_that_a_restart_renews() {
    let one = Server::unbootstrapped(at("10.1.0.1"));
    bootstrap::run(one.app.clone(), 6443).await;
    let two = Server::on(at("10.1.0.2"), one.store.clone());
    bootstrap::run(two.app.clone(), 6443).await;
    let restarted = Server::on(at("10.1.0.1"), one.store.clone());
    bootstrap::run(restarted.app.clone(), 6443).await;
    let leases = one.get(LEASES).await.is(200).json();
    let leases = leases["items"].as_array().unwrap();
    assert_eq!(leases.len(), 2);
    for lease in leases {
        assert_eq!(lease["metadata"]["labels"]["apiserver.kubernetes.io/identity"], "kube-apiserver");
        assert_eq!(lease["spec"]["leaseDurationSeconds"], 3600);
        let (name, holder) = (&lease["metadata"]["name"], &lease["spec"]["holderIdentity"]);
        assert!(holder.as_str().unwrap().starts_with(name.as_str().unwrap()), "{lease}");
    }
}
