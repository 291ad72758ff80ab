//! Objects through their life, and the documents that describe them.

use serde_json::json;

use crate::harness::{CONFIG_MAPS, MERGE, Server, config_map};

#[tokio::test]
async fn an_object_through_its_life() {
    let server = Server::start().await;
    let created = server.post(CONFIG_MAPS, &config_map("a")).await.is(201).json();
    assert_eq!(created["metadata"]["namespace"], "default");
    let path = format!("{CONFIG_MAPS}/a");
    assert_eq!(server.get(&path).await.is(200).json(), created);
    server.post(CONFIG_MAPS, &config_map("a")).await.is(409);

    let mut changed = created.clone();
    changed["data"]["k"] = json!("w");
    let changed = server.put(&path, &changed).await.is(200).json();
    assert_ne!(changed["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    assert_eq!(changed["metadata"]["uid"], created["metadata"]["uid"]);
    // The first version is outdated now.
    assert!(server.put(&path, &created).await.is(409).message().contains("the object has been modified"));
    // What changes nothing is not written.
    let same = server.put(&path, &changed).await.is(200).json();
    assert_eq!(same, changed);

    let patched = server.patch(&path, MERGE, &json!({"data": {"x": "y", "k": null}})).await.is(200).json();
    assert_eq!(patched["data"], json!({"x": "y"}));
    assert_eq!(server.delete(&path).await.is(200).json()["details"]["name"], "a");
    server.get(&path).await.is(404);
}

#[tokio::test]
async fn dry_run_changes_nothing() {
    let server = Server::start().await;
    let revision = server.store.revision();
    let shown = server.post(&format!("{CONFIG_MAPS}?dryRun=All"), &config_map("a")).await.is(201).json();
    assert!(shown["metadata"].get("resourceVersion").is_none());
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}});
    server.post("/api/v1/namespaces/default/services?dryRun=All", &service).await.is(201);
    server.delete("/api/v1/namespaces/kube-node-lease?dryRun=All").await.is(200);
    assert_eq!(server.store.revision(), revision);
}

#[tokio::test]
async fn generated_names_are_unique() {
    let server = Server::start().await;
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "gen-"}});
    let mut names = std::collections::HashSet::new();
    for _ in 0..20 {
        let name = server.post(CONFIG_MAPS, &object).await.is(201).json()["metadata"]["name"].to_string();
        assert!(names.insert(name));
    }
}

#[tokio::test]
async fn discovery_says_what_is_served() {
    let server = Server::start().await;
    let groups = server.get("/apis").await.is(200).json();
    assert!(groups["groups"].as_array().unwrap().iter().any(|g| g["name"] == "apps"));
    let resources = server.get("/api/v1").await.is(200).json();
    let names: Vec<&str> =
        resources["resources"].as_array().unwrap().iter().filter_map(|r| r["name"].as_str()).collect();
    for name in ["pods", "pods/status", "namespaces/finalize", "configmaps"] {
        assert!(names.contains(&name), "{name}");
    }
    server.get("/apis/nothing.example.com").await.is(404);
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let ask = |tag: &str| {
        let headers = [("accept".to_owned(), v2.to_owned()), ("if-none-match".to_owned(), tag.to_owned())];
        let server = &server;
        async move {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            server.call_with("GET", "/apis", &headers, None::<String>).await
        }
    };
    let first = ask("none").await.is(200);
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(first.json()["kind"], "APIGroupDiscoveryList");
    assert!(ask(&tag).await.is(304).body.is_empty());
    assert_eq!(server.get("/version").await.is(200).json()["minor"], "36");
}

#[tokio::test]
async fn health_follows_the_state() {
    let server = Server::unbootstrapped(Default::default());
    server.get("/readyz").await.is(500);
    let server = Server::start().await;
    assert_eq!(server.get("/readyz").await.is(200).body, b"ok");
    let verbose = server.get("/readyz?verbose&exclude=ping").await.is(200);
    let text = String::from_utf8(verbose.body).unwrap();
    assert!(text.contains("[+]ping excluded: ok\n") && text.ends_with("readyz check passed\n"), "{text}");
    server.get("/livez/nothing").await.is(404);
}

#[tokio::test]
async fn only_masters_pass_the_authorizer() {
    let server = Server::start().await;
    let refused = server
        .call_with("GET", "/api/v1/namespaces/default/pods", &[("authorization", "Bearer alice-token")], None::<String>)
        .await
        .is(403);
    assert_eq!(
        refused.message(),
        r#"pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "default""#
    );
    server.call_with("GET", "/api/v1/pods", &[("authorization", "Bearer wrong")], None::<String>).await.is(401);
    server.call_with("GET", "/healthz", &[("authorization", "")], None::<String>).await.is(200);
}
