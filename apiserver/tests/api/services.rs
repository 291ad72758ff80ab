//! Addresses and node ports: given with the Service, unique, given back.

use kuorum_apiserver::config::Config;
use serde_json::{Value, json};

use crate::harness::{MERGE, Server};

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, kind: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"type": kind, "ports": [{"port": 80}]}})
}

#[tokio::test]
async fn an_address_comes_and_goes_with_its_service() {
    let server = Server::start().await;
    let made = server.post(SERVICES, &service("a", "ClusterIP")).await.is(201).json();
    let address = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert_eq!(made["spec"]["clusterIPs"], json!([address]));
    let ip = format!("/apis/networking.k8s.io/v1/ipaddresses/{address}");
    assert_eq!(server.get(&ip).await.is(200).json()["spec"]["parentRef"]["name"], "a");
    let mut taken = service("b", "ClusterIP");
    taken["spec"]["clusterIP"] = json!(address);
    let refused = server.post(SERVICES, &taken).await.is(422);
    assert!(refused.message().contains("provided IP is already allocated"), "{}", refused.message());
    server.delete(&format!("{SERVICES}/a")).await.is(200);
    server.get(&ip).await.is(404);
    server.post(SERVICES, &taken).await.is(201);
}

#[tokio::test]
async fn node_ports_follow_the_type() {
    let server = Server::start().await;
    let made = server.post(SERVICES, &service("a", "NodePort")).await.is(201).json();
    let port = made["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
    assert!((30000..=32767).contains(&port));
    let mut taken = service("b", "NodePort");
    taken["spec"]["ports"][0]["nodePort"] = json!(port);
    assert!(server.post(SERVICES, &taken).await.is(422).message().contains("provided port is already allocated"));
    let path = format!("{SERVICES}/a");
    // An update that does not name the port keeps it.
    let kept = server.put(&path, &service("a", "NodePort")).await.is(200).json();
    assert_eq!(kept["spec"]["ports"][0]["nodePort"], port);
    assert_eq!(kept["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    server.patch(&path, MERGE, &json!({"spec": {"type": "ClusterIP"}})).await.is(200);
    server.post(SERVICES, &taken).await.is(201);
}

#[tokio::test]
async fn a_full_range_says_so() {
    let config = Config { service_cluster_ip_range: vec!["10.9.0.0/29".to_owned()], ..Config::default() };
    let server = Server::with(config).await;
    // Eight addresses: network, broadcast and the kubernetes Service leave five.
    for i in 0..5 {
        server.post(SERVICES, &service(&format!("s{i}"), "ClusterIP")).await.is(201);
    }
    assert!(server.post(SERVICES, &service("more", "ClusterIP")).await.is(500).message().contains("range is full"));
}
