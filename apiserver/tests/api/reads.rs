//! Lists, pages, tables and watches.

use http::Request;
use http_body_util::BodyExt;
use kuorum_apiserver::auth::Peer;
use kuorum_apiserver::body::{Body, Payload};
use kuorum_apiserver::layers::stack;
use serde_json::{Value, json};

use crate::harness::{CONFIG_MAPS, MERGE, Server, config_map};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list");
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// A watch that is read line by line.
struct Watching {
    body: Body,
    text: Vec<u8>,
}

impl Watching {
    async fn start(server: &Server, query: &str, accept: &str) -> Self {
        let request = Request::builder()
            .uri(format!("{CONFIG_MAPS}?watch=1&{query}"))
            .header("authorization", "Bearer admin-token")
            .header("accept", accept);
        let peer = Peer::new(([127, 0, 0, 1], 1234).into(), Vec::new());
        let response =
            stack::handle(&server.app, &peer, request.body(Payload::Bytes(Default::default())).unwrap()).await;
        assert_eq!(response.status(), 200);
        Watching { body: response.into_body(), text: Vec::new() }
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.text.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let part = self.body.frame().await?.unwrap().into_data().ok()?;
            self.text.extend_from_slice(&part.into_bytes());
        }
    }

    /// Type and name of the next events.
    async fn events(&mut self, count: usize) -> Vec<(String, String)> {
        let mut seen = Vec::new();
        for _ in 0..count {
            let event = self.next().await.expect("an event");
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            seen.push((text(&event["type"]), text(&event["object"]["metadata"]["name"])));
        }
        seen
    }
}

fn pairs(events: &[(&str, &str)]) -> Vec<(String, String)> {
    events.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned())).collect()
}

#[tokio::test]
async fn pages_show_one_state() {
    let server = Server::start().await;
    let all: Vec<String> = (0..7).map(|i| format!("c{i}")).collect();
    for name in &all {
        server.post(CONFIG_MAPS, &config_map(name)).await.is(201);
    }
    let first = server.get(&format!("{CONFIG_MAPS}?limit=3")).await.is(200).json();
    assert_eq!(first["metadata"]["remainingItemCount"], 4);
    // What happens meanwhile is not seen by the later pages.
    server.delete(&format!("{CONFIG_MAPS}/c4")).await.is(200);
    server.post(CONFIG_MAPS, &config_map("c33")).await.is(201);
    let mut seen = names(&first);
    let mut page = first.clone();
    while let Some(token) = page["metadata"]["continue"].as_str() {
        page = server.get(&format!("{CONFIG_MAPS}?limit=3&continue={token}")).await.is(200).json();
        assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        seen.extend(names(&page));
    }
    assert_eq!(seen, all);
    // With a selector nobody knows how many remain.
    let selected = server.get(&format!("{CONFIG_MAPS}?limit=2&fieldSelector=metadata.name!%3Dc0")).await.is(200).json();
    assert_eq!(names(&selected), ["c1", "c2"]);
    assert!(selected["metadata"]["remainingItemCount"].is_null() && selected["metadata"]["continue"].is_string());
}

#[tokio::test]
async fn an_expired_list_can_go_on() {
    let server = Server::start().await;
    for i in 0..4 {
        server.post(CONFIG_MAPS, &config_map(&format!("c{i}"))).await.is(201);
    }
    let first = server.get(&format!("{CONFIG_MAPS}?limit=2")).await.is(200).json();
    let token = first["metadata"]["continue"].as_str().unwrap();
    // More lists than are held on to, each of another state; then the history goes.
    for i in 0..20 {
        server.patch(&format!("{CONFIG_MAPS}/c3"), MERGE, &json!({"data": {"n": i.to_string()}})).await.is(200);
        server.get(&format!("{CONFIG_MAPS}?limit=1")).await.is(200);
    }
    server.store.memory_backend().unwrap().compact(u64::MAX);
    let expired = server.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.is(410).json();
    assert_eq!(expired["reason"], "Expired");
    let token = expired["metadata"]["continue"].as_str().expect("a token to go on with");
    let rest = server.get(&format!("{CONFIG_MAPS}?limit=9&continue={token}")).await.is(200).json();
    assert_eq!(names(&rest), ["c2", "c3"]);
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = format!("{CONFIG_MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    assert!(server.get(&exact).await.is(410).message().contains("too old"));
}

#[tokio::test]
async fn a_long_list_is_the_same_in_every_shape() {
    let server = Server::start().await;
    let count = 300;
    for i in 0..count {
        let mut object = config_map(&format!("c{i:03}"));
        // Some are sent from where they lie, some are copied.
        object["data"]["k"] = json!("x".repeat(if i % 3 == 0 { 10 } else { 1500 }));
        server.post(CONFIG_MAPS, &object).await.is(201);
    }
    let list = server.get(CONFIG_MAPS).await.is(200);
    assert!(list.body.ends_with(b"}\n"));
    let list = list.json();
    assert_eq!((&list["kind"], names(&list).len()), (&json!("ConfigMapList"), count));
    assert!(list["items"][0]["kind"].is_null());
    let one = server.get(&format!("{CONFIG_MAPS}/c001")).await.is(200).json();
    assert_eq!((&list["items"][1]["data"], &list["items"][1]["metadata"]), (&one["data"], &one["metadata"]));
    let as_json = async |accept: &str| {
        server.call_with("GET", CONFIG_MAPS, &[("accept", accept)], None::<String>).await.is(200).json()
    };
    let table = as_json(TABLE).await;
    assert_eq!(table["rows"].as_array().unwrap().len(), count);
    assert_eq!(table["rows"][1]["cells"][0], "c001");
    assert_eq!(table["rows"][1]["object"]["metadata"], one["metadata"]);
    let partial = as_json(PARTIAL_LIST).await;
    assert_eq!(names(&partial), names(&list));
    let yaml = server.call_with("GET", CONFIG_MAPS, &[("accept", "application/yaml")], None::<String>).await.is(200);
    assert!(yaml.body.starts_with(b"apiVersion: v1\nitems:\n"));
}

#[tokio::test]
async fn a_selection_turns_changes_into_arrivals_and_departures() {
    let server = Server::start().await;
    let mut object = config_map("a");
    object["metadata"]["labels"] = json!({"on": "1"});
    let created = server.post(CONFIG_MAPS, &object).await.is(201).json();
    let version = created["metadata"]["resourceVersion"].as_str().unwrap();
    let mut on = Watching::start(&server, &format!("resourceVersion={version}&labelSelector=on%3D1"), "*/*").await;
    let mut off = Watching::start(&server, "labelSelector=on%3D0", "*/*").await;
    let path = format!("{CONFIG_MAPS}/a");
    for label in ["0", "0", "1"] {
        let change = json!({"metadata": {"labels": {"on": label}}, "data": {"n": created["metadata"]["uid"]}});
        server.patch(&path, MERGE, &change).await.is(200);
    }
    let last = server.patch(&path, MERGE, &json!({"data": {"n": "x"}})).await.is(200).json();
    server.delete(&path).await.is(200);
    let seen = on.events(3).await;
    assert_eq!(seen, pairs(&[("DELETED", "a"), ("ADDED", "a"), ("MODIFIED", "a")]));
    let deleted = on.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    let revision = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(revision(&deleted["object"]) > revision(&last));
    assert_eq!(off.events(2).await, pairs(&[("ADDED", "a"), ("DELETED", "a")]));
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let server = Server::start().await;
    server.post(CONFIG_MAPS, &config_map("a")).await.is(201);
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut plain = Watching::start(&server, query, "*/*").await;
    let mut table = Watching::start(&server, query, TABLE).await;
    assert_eq!(plain.events(1).await, pairs(&[("ADDED", "a")]));
    let bookmark = plain.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    // Only the first event of a stream of tables describes the columns.
    let (first, second) = (table.next().await.unwrap(), table.next().await.unwrap());
    assert!(first["object"]["columnDefinitions"].is_array());
    assert_eq!((&second["type"], &second["object"]["columnDefinitions"]), (&json!("BOOKMARK"), &Value::Null));
    server.post(CONFIG_MAPS, &config_map("b")).await.is(201);
    assert_eq!(plain.events(1).await, pairs(&[("ADDED", "b")]));
}

#[tokio::test]
async fn what_is_too_old_is_told_in_the_stream() {
    let server = Server::start().await;
    let created = server.post(CONFIG_MAPS, &config_map("a")).await.is(201).json();
    let version = created["metadata"]["resourceVersion"].as_str().unwrap();
    // More events than the ring holds, and no history.
    for i in 0..17_000 {
        let txn = kuorum_cache::Txn::new().put("/registry/core/configmaps/default/a", packed(i));
        let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        server.store.commit(txn, soon).await.unwrap();
    }
    server.store.memory_backend().unwrap().compact(u64::MAX);
    let mut watching = Watching::start(&server, &format!("resourceVersion={version}"), "*/*").await;
    let error = watching.next().await.unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(error["object"]["reason"], "Expired");
    assert_eq!(watching.next().await, None);
}

fn packed(i: usize) -> bytes::Bytes {
    let json = format!(
        r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"a","namespace":"default"}},"data":{{"n":"{i}"}}}}"#
    );
    let offset = json.find(r#""name""#).unwrap();
    kuorum_cache::value::pack(json.as_bytes(), offset as u32)
}

#[tokio::test]
async fn a_drain_ends_watches_cleanly() {
    let server = Server::start().await;
    let mut watching = Watching::start(&server, "resourceVersion=0", "*/*").await;
    server.app.drain.cancel();
    while let Some(event) = watching.next().await {
        assert_eq!(event["type"], "ADDED");
    }
}
