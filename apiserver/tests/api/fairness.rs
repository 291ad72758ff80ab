//! Priority and fairness as clients meet it: headers, 429, queues, the objects that configure it, the dumps.

use std::sync::Arc;
use std::time::Duration;

use kuorum_apiserver::config::Config;
use kuorum_apiserver::controllers::flow_control;
use serde_json::{Value, json};

use crate::harness::{CONFIG_MAPS, MERGE, Server, config_map};

const SCHEMAS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
const LEVELS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";
const ALICE: (&str, &str) = ("authorization", "Bearer alice-token");

/// A server with flow control, on so many seats, where everybody may do everything.
async fn server(seats: usize) -> Arc<Server> {
    let server = Server::with(Config {
        max_requests_inflight: seats,
        max_mutating_requests_inflight: 0,
        authorization_mode: vec!["AlwaysAllow".to_owned()],
        ..Config::default()
    })
    .await;
    tokio::spawn(flow_control::run(server.app.clone()));
    let server = Arc::new(server);
    eventually(&server, &format!("{SCHEMAS}/catch-all"), |object| condition(object)["status"] == "False").await;
    server
}

fn condition(schema: &Value) -> &Value {
    &schema["status"]["conditions"][0]
}

/// Waits until an object is as it should be.
async fn eventually(server: &Server, path: &str, is: impl Fn(&Value) -> bool) -> Value {
    let found = async {
        loop {
            let answer = server.get(path).await;
            if answer.code == 200 && is(&answer.json()) {
                return answer.json();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.unwrap_or_else(|_| panic!("{path} never came to be"))
}

/// A level of `queues` queues of `length`, for alice alone; and her schema.
async fn level_for_alice(server: &Server, response: Value) {
    let level = json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "alice"},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0, "limitResponse": response,
        }},
    });
    server.post(LEVELS, &level).await.is(201);
    let schema = json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": "alice"},
        "spec": {
            "matchingPrecedence": 10, "priorityLevelConfiguration": {"name": "alice"},
            "distinguisherMethod": {"type": "ByNamespace"},
            "rules": [{
                "subjects": [{"kind": "User", "user": {"name": "alice"}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
            }],
        },
    });
    server.post(SCHEMAS, &schema).await.is(201);
    eventually(server, &format!("{SCHEMAS}/alice"), |object| condition(object)["status"] == "False").await;
}

/// The ConfigMap that tests get, and enough beside it that a list of them is made while it is sent.
async fn config_maps(server: &Server) {
    for name in ["a", "b", "c"] {
        let mut object = config_map(name);
        object["data"]["payload"] = "x".repeat(80 << 10).into();
        server.post(CONFIG_MAPS, &object).await.is(201);
    }
}

/// A request of alice whose seat stays taken: its answer, a table, is made while it is sent, and nobody reads it.
async fn occupy(server: &Server) -> kuorum_apiserver::verbs::Response {
    let request = http::Request::get(format!("{CONFIG_MAPS}?includeObject=Object"))
        .header(ALICE.0, ALICE.1)
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(kuorum_apiserver::body::Payload::Bytes(bytes::Bytes::new()))
        .unwrap();
    let peer = kuorum_apiserver::auth::Peer::new(([127, 0, 0, 1], 1).into(), Vec::new());
    kuorum_apiserver::layers::stack::handle(&server.app, &peer, request).await
}

async fn alice_gets(server: &Server, name: &str) -> crate::harness::Answer {
    server.call_with("GET", &format!("{CONFIG_MAPS}/{name}"), &[ALICE], None::<String>).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrap_objects_are_kept() {
    let server = server(100).await;
    assert_eq!(server.get(SCHEMAS).await.json()["items"].as_array().map(Vec::len), Some(11));
    assert_eq!(server.get(LEVELS).await.json()["items"].as_array().map(Vec::len), Some(8));
    // A mandatory one that is deleted comes back.
    let exempt = format!("{SCHEMAS}/exempt");
    let before = server.get(&exempt).await.json();
    server.delete(&exempt).await.is(200);
    eventually(&server, &exempt, |object| object["metadata"]["uid"] != before["metadata"]["uid"]).await;
    // One that the server keeps is set right; one that the administrator has taken over is not.
    let system = format!("{LEVELS}/system");
    let shares = |object: &Value| object["spec"]["limited"]["nominalConcurrencyShares"].clone();
    let change = json!({"spec": {"limited": {"nominalConcurrencyShares": 99}}});
    server.patch(&system, MERGE, &change).await.is(200);
    eventually(&server, &system, |object| shares(object) == 30).await;
    let own = json!({
        "metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": "false"}},
        "spec": {"limited": {"nominalConcurrencyShares": 99}},
    });
    server.patch(&system, MERGE, &own).await.is(200);
    let node_high = format!("{LEVELS}/node-high");
    server.patch(&node_high, MERGE, &change).await.is(200);
    eventually(&server, &node_high, |object| shares(object) == 40).await;
    assert_eq!(shares(&server.get(&system).await.json()), 99, "the round that set node-high right left it alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_without_its_level_dangles() {
    let server = server(100).await;
    let schema = json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": "s"},
        "spec": {"priorityLevelConfiguration": {"name": "later"}, "matchingPrecedence": 5000},
    });
    server.post(SCHEMAS, &schema).await.is(201);
    let path = format!("{SCHEMAS}/s");
    let dangling = eventually(&server, &path, |object| condition(object)["type"] == "Dangling").await;
    let message =
        "This FlowSchema references the PriorityLevelConfiguration object named \"later\" but there is no such object";
    assert_eq!(
        (&condition(&dangling)["status"], &condition(&dangling)["reason"], &condition(&dangling)["message"]),
        (&json!("True"), &json!("NotFound"), &json!(message))
    );
    let level = json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "later"}, "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}},
    });
    server.post(LEVELS, &level).await.is(201);
    eventually(&server, &path, |object| condition(object)["reason"] == "Found").await;
    server.delete(&format!("{LEVELS}/later")).await.is(200);
    eventually(&server, &path, |object| condition(object)["reason"] == "NotFound").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_say_how_they_were_classified() {
    let server = server(100).await;
    let uid = |object: Value| object["metadata"]["uid"].as_str().unwrap().to_owned();
    for (token, schema, level) in
        [("admin-token", "exempt", "exempt"), ("alice-token", "global-default", "global-default")]
    {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        let answer = server.call_with("GET", &format!("{CONFIG_MAPS}/none"), &headers, None::<String>).await.is(404);
        let schema = uid(server.get(&format!("{SCHEMAS}/{schema}")).await.json());
        let level = uid(server.get(&format!("{LEVELS}/{level}")).await.json());
        assert_eq!(answer.headers["x-kubernetes-pf-flowschema-uid"], schema.as_str());
        assert_eq!(answer.headers["x-kubernetes-pf-prioritylevel-uid"], level.as_str());
    }
    let refused = server.call_with("GET", CONFIG_MAPS, &[("authorization", "Bearer wrong")], None::<String>).await;
    assert!(refused.is(401).headers.get("x-kubernetes-pf-flowschema-uid").is_none(), "refused before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_that_rejects_answers_429() {
    let server = server(1).await;
    level_for_alice(&server, json!({"type": "Reject"})).await;
    config_maps(&server).await;
    alice_gets(&server, "a").await.is(200);
    let held = occupy(&server).await;
    assert_eq!(held.status(), 200);
    let refused = alice_gets(&server, "a").await.is(429);
    assert_eq!(String::from_utf8_lossy(&refused.body), "Too many requests, please try again later.\n");
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(refused.headers.contains_key("x-kubernetes-pf-prioritylevel-uid"));
    // The administrator is exempt, and so is everybody's probe.
    server.get(&format!("{CONFIG_MAPS}/a")).await.is(200);
    server.call_with("GET", "/livez", &[ALICE], None::<String>).await.is(200);
    drop(held);
    alice_gets(&server, "a").await.is(200);

    let metrics = server.get("/metrics").await.is(200);
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let labels = "flow_schema=\"alice\",priority_level=\"alice\"";
    for line in [
        format!("apiserver_flowcontrol_rejected_requests_total{{{labels},reason=\"concurrency-limit\"}} 1"),
        format!("apiserver_flowcontrol_dispatched_requests_total{{{labels}}} 3"),
    ] {
        assert!(metrics.contains(&line), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_wait_in_queues_and_leave_them() {
    let server = server(1).await;
    let queuing = json!({"queues": 2, "handSize": 1, "queueLengthLimit": 1});
    level_for_alice(&server, json!({"type": "Queue", "queuing": queuing})).await;
    config_maps(&server).await;
    let held = occupy(&server).await;
    let waiting = |server: &Arc<Server>| {
        let server = server.clone();
        tokio::spawn(async move { alice_gets(&server, "a").await.code })
    };
    let dump = async |table: &str| {
        let answer = server.get(&format!("/debug/api_priority_and_fairness/{table}")).await.is(200);
        String::from_utf8(answer.body).unwrap()
    };
    let row = async |count: &str| {
        let found = async {
            loop {
                let text = dump("dump_priority_levels").await;
                let row = text.lines().find(|row| row.starts_with("alice,")).unwrap().to_owned();
                if row.split(',').nth(4).unwrap().trim() == count {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.expect("the queue changes");
    };
    let first = waiting(&server);
    row("1").await;
    let requests = dump("dump_requests?includeRequestDetails=1").await;
    let of_alice: Vec<&str> = requests.lines().filter(|row| row.starts_with("alice,")).collect();
    assert_eq!(of_alice.len(), 2, "{requests}");
    let cells: Vec<&str> = of_alice[0].split(',').map(str::trim).collect();
    assert_eq!((cells[1], cells[3], cells[4]), ("alice", "0", "default"), "{requests}");
    assert_eq!(
        cells[9..],
        [
            "0001-01-01T00:00:00Z",
            "alice",
            "get",
            "/api/v1/namespaces/default/configmaps/a",
            "default",
            "a",
            "v1",
            "configmaps",
            ""
        ]
    );
    // The queue is full.
    alice_gets(&server, "a").await.is(429);
    // A client that goes leaves its queue.
    first.abort();
    row("0").await;
    let second = waiting(&server);
    row("1").await;
    drop(held);
    assert_eq!(second.await.unwrap(), 200);
    // One whose time is over is refused, and told when to come back.
    let held = occupy(&server).await;
    let path = format!("{CONFIG_MAPS}/a?timeout=100ms");
    let late = server.call_with("GET", &path, &[ALICE], None::<String>).await.is(429);
    assert!(late.headers.contains_key("retry-after"));
    drop(held);
    let row = dump("dump_priority_levels").await;
    let row: Vec<&str> = row.lines().find(|row| row.starts_with("alice,")).unwrap().split(',').map(str::trim).collect();
    // Rejected: the full queue, the client that went, the one that was late.
    assert_eq!(row[2..], ["true", "false", "0", "0", "3", "3", "1", "1"], "{row:?}");
}

/// A watch of ConfigMaps by alice.
async fn watch(server: &Server) -> kuorum_apiserver::verbs::Response {
    let peer = kuorum_apiserver::auth::Peer::new(([127, 0, 0, 1], 1).into(), Vec::new());
    let request = http::Request::get(format!("{CONFIG_MAPS}?watch=true"))
        .header(ALICE.0, ALICE.1)
        .body(kuorum_apiserver::body::Payload::Bytes(bytes::Bytes::new()))
        .unwrap();
    let response = kuorum_apiserver::layers::stack::handle(&server.app, &peer, request).await;
    assert_eq!(response.status(), 200);
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_take_seats_by_their_bytes_and_writes_by_their_watchers() {
    let server = server(600).await;
    config_maps(&server).await;
    let held = occupy(&server).await;
    let requests = server.get("/debug/api_priority_and_fairness/dump_requests").await.is(200);
    let requests = String::from_utf8(requests.body).unwrap();
    let row = requests.lines().find(|row| row.starts_with("global-default,")).unwrap();
    assert_eq!(row.split(',').nth(6).unwrap().trim(), "3", "240 KiB: {requests}");
    drop(held);
    let mut watches = Vec::new();
    for _ in 0..20 {
        watches.push(watch(&server).await);
    }
    let body = Some(config_map("watched").to_string());
    server.call_with("POST", CONFIG_MAPS, &[ALICE, ("content-type", "application/json")], body).await.is(201);
    let metrics = server.get("/metrics").await.is(200);
    let labels = "flow_schema=\"global-default\",priority_level=\"global-default\"";
    let counted = format!("apiserver_flowcontrol_watch_count_samples_sum{{{labels}}} 20");
    assert!(String::from_utf8_lossy(&metrics.body).contains(&counted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_takes_a_seat_only_to_begin() {
    let server = server(1).await;
    level_for_alice(&server, json!({"type": "Reject"})).await;
    server.post(CONFIG_MAPS, &config_map("a")).await.is(201);
    let mut watches = Vec::new();
    for _ in 0..20 {
        watches.push(watch(&server).await);
    }
    alice_gets(&server, "a").await.is(200);
}

#[tokio::test]
async fn without_it_there_are_two_limits() {
    let server = Server::with(Config {
        enable_priority_and_fairness: false,
        max_requests_inflight: 1,
        authorization_mode: vec!["AlwaysAllow".to_owned()],
        ..Config::default()
    })
    .await;
    let answer = alice_gets(&server, "none").await.is(404);
    assert!(answer.headers.get("x-kubernetes-pf-flowschema-uid").is_none());
    server.get("/debug/api_priority_and_fairness/dump_queues").await.is(404);
    let metrics = server.get("/metrics").await.is(200);
    assert!(
        String::from_utf8_lossy(&metrics.body)
            .contains("apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1")
    );
}
