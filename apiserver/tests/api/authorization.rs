//! Who may do what, through all layers: every kind and verb, grants, nodes, the bootstrap policy, known holes.

use http::{Method, Request};
use http_body_util::BodyExt;
use kuorum_apiserver::auth::Peer;
use kuorum_apiserver::body::Payload;
use kuorum_apiserver::config::Config;
use kuorum_apiserver::layers::stack;
use kuorum_kinds::row::Scope;
use serde_json::{Value, json};

use crate::harness::{Answer, MERGE, Server};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// A request of somebody, in a group of everybody.
async fn as_user(server: &Server, user: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
    typed(server, user, method, path, "application/json", body).await
}

async fn typed(server: &Server, user: &str, method: &str, path: &str, kind: &str, body: Option<&Value>) -> Answer {
    let headers = [("impersonate-user", user), ("content-type", kind)];
    server.call_with(method, path, &headers, body.map(|b| b.to_string())).await
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

fn role(name: &str, rules: &[Value]) -> Value {
    json!({"metadata": {"name": name}, "rules": rules})
}

fn binding(name: &str, kind: &str, role: &str, user: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    })
}

/// Gives a user rules in all namespaces.
async fn grant(server: &Server, user: &str, rules: &[Value]) {
    server.post(&format!("{RBAC}/clusterroles"), &role(user, rules)).await.is(201);
    server.post(&format!("{RBAC}/clusterrolebindings"), &binding(user, "ClusterRole", user, user)).await.is(201);
}

/// Gives a user rules in one namespace.
async fn grant_in(server: &Server, namespace: &str, user: &str, rules: &[Value]) {
    let base = format!("{RBAC}/namespaces/{namespace}");
    server.post(&format!("{base}/roles"), &role(user, rules)).await.is(201);
    server.post(&format!("{base}/rolebindings"), &binding(user, "Role", user, user)).await.is(201);
}

/// One cell of the matrix.
struct Cell {
    group: String,
    /// `pods`, `pods/log`
    resource: String,
    verb: &'static str,
    path: String,
}

/// Every verb of every built-in resource and subresource.
fn cells(server: &Server) -> Vec<Cell> {
    let served = server.app.kinds.load();
    let mut cells = Vec::new();
    for kind in served.registry.iter() {
        let row = &kind.row;
        let base = if row.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}", kind.api_version) };
        let scope = if row.scope == Scope::Namespaced { "/namespaces/default" } else { "" };
        let collection = format!("{base}{scope}/{}", row.plural);
        for verb in row.verbs {
            let path = match *verb {
                "list" | "create" => collection.clone(),
                // In earnest, the roles that the matrix needs would go.
                "deletecollection" => format!("{collection}?dryRun=All"),
                "watch" => format!("{collection}?watch=1"),
                _ => format!("{collection}/x"),
            };
            cells.push(Cell { group: row.group.into(), resource: row.plural.into(), verb, path });
        }
        for sub in row.subresources {
            for verb in sub.verbs {
                let resource = format!("{}/{}", row.plural, sub.name);
                cells.push(Cell {
                    group: row.group.into(),
                    resource,
                    verb,
                    path: format!("{collection}/x/{}", sub.name),
                });
            }
        }
    }
    cells
}

/// Whether the authorizers refused: 403 in their words. Bodies of watches are not read.
async fn refused(server: &Server, user: &str, cell: &Cell) -> bool {
    let method = match cell.verb {
        "create" => Method::POST,
        "update" => Method::PUT,
        "patch" => Method::PATCH,
        "delete" | "deletecollection" => Method::DELETE,
        _ => Method::GET,
    };
    let request = Request::builder()
        .method(method)
        .uri(&cell.path)
        .header("authorization", "Bearer admin-token")
        .header("impersonate-user", user)
        .header("content-type", if cell.verb == "patch" { MERGE } else { "application/json" })
        // With a body, a deletion would not look at its query.
        .body(Payload::Bytes(if cell.verb.starts_with("delete") { "" } else { "{}" }.into()))
        .unwrap();
    let peer = Peer::new(([127, 0, 0, 1], 1234).into(), Vec::new());
    let response = stack::handle(&server.app, &peer, request).await;
    if response.status() != 403 {
        return false;
    }
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let status: Value = serde_json::from_slice(&body).unwrap();
    let scope = match cell.path.strip_prefix("/api/v1/namespaces/x") {
        // A namespace is in itself.
        Some(_) => "in the namespace \"x\"",
        None if cell.path.contains("/namespaces/default/") => "in the namespace \"default\"",
        None => "at the cluster scope",
    };
    let words = format!(
        "User \"{user}\" cannot {} resource \"{}\" in API group \"{}\" {scope}",
        cell.verb, cell.resource, cell.group
    );
    // Admission, which comes later, has other words.
    let message = status["message"].as_str().unwrap();
    assert!(message.ends_with(&words) || !message.contains(&format!("User \"{user}\" cannot")), "{words}: {status}");
    message.ends_with(&words)
}

#[tokio::test]
async fn every_verb_of_every_resource_needs_its_right_and_no_other() {
    let server = Server::start().await;
    let cells = cells(&server);
    assert!(cells.len() > 500, "{} cells", cells.len());
    // What everybody may ask about themselves.
    let is_open = |cell: &Cell| cell.verb == "create" && cell.resource.starts_with("selfsubject");
    assert_eq!(cells.iter().filter(|cell| is_open(cell)).count(), 3);
    for (i, cell) in cells.iter().enumerate() {
        if is_open(cell) {
            assert!(!refused(&server, "nobody", cell).await, "{}", cell.path);
            continue;
        }
        let (what, user) = (format!("{} {} ({})", cell.verb, cell.resource, cell.path), format!("user-{i}"));
        assert!(refused(&server, "nobody", cell).await, "{what} is open to everybody");
        grant(&server, &user, &[rule(&[cell.verb], &cell.group, &[&cell.resource])]).await;
        assert!(!refused(&server, &user, cell).await, "{what} is closed to who has the right");
        // The right to the neighbour is another one.
        let next = &cells[(i + 1) % cells.len()];
        let same = (&next.group, &next.resource, next.verb) == (&cell.group, &cell.resource, cell.verb);
        assert!(
            same || is_open(next) || refused(&server, &user, next).await,
            "{what} also allows {} {}",
            next.verb,
            next.resource
        );
    }
}

#[tokio::test]
async fn nobody_gives_what_they_lack_on_any_way_to_write() {
    let server = Server::start().await;
    let own = [
        rule(&["create", "update", "patch", "get", "list"], "rbac.authorization.k8s.io", &["roles", "rolebindings"]),
        rule(&["get"], "", &["pods"]),
    ];
    grant_in(&server, "default", "eve", &own).await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    let more = rule(&["get"], "", &["secrets"]);
    let less = rule(&["get"], "", &["pods"]);
    let eve = async |method: &str, path: &str, kind: &str, body: &Value| {
        typed(&server, "eve", method, path, kind, Some(body)).await
    };
    const JSON: &str = "application/json";
    let lacks = "is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}";

    eve("POST", &roles, JSON, &role("ok", std::slice::from_ref(&less))).await.is(201);
    let answer = eve("POST", &roles, JSON, &role("more", std::slice::from_ref(&more))).await.is(403);
    assert!(answer.message().ends_with(lacks), "{}", answer.message());
    for (method, path, kind, body) in [
        ("PUT", format!("{roles}/ok"), JSON, role("ok", std::slice::from_ref(&more))),
        // PUT creates what is absent.
        ("PUT", format!("{roles}/new"), JSON, role("new", std::slice::from_ref(&more))),
        ("PATCH", format!("{roles}/ok"), MERGE, json!({"rules": [more]})),
        ("PATCH", format!("{roles}/ok"), "application/strategic-merge-patch+json", json!({"rules": [more]})),
        (
            "PATCH",
            format!("{roles}/ok"),
            "application/json-patch+json",
            json!([{"op": "add", "path": "/rules/0", "value": more}]),
        ),
        (
            "PATCH",
            format!("{roles}/ok?fieldManager=m&force=true"),
            "application/apply-patch+yaml",
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "ok"}, "rules": [more]}),
        ),
        (
            "PATCH",
            format!("{roles}/applied?fieldManager=m"),
            "application/apply-patch+yaml",
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "applied"}, "rules": [more]}),
        ),
        ("POST", format!("{roles}?dryRun=All"), JSON, role("dry", std::slice::from_ref(&more))),
    ] {
        let answer = eve(method, &path, kind, &body).await.is(403);
        assert!(answer.message().ends_with(lacks), "{method} {path} {kind}: {}", answer.message());
    }
    // A stored role that holds more may be finalized, and nothing else; what the body says of the old one is nothing.
    server.post(&roles, &role("strong", std::slice::from_ref(&more))).await.is(201);
    let finalizers = json!({"metadata": {"finalizers": ["example.com/x"]}});
    eve("PATCH", &format!("{roles}/strong"), MERGE, &finalizers).await.is(200);
    let mut stored = server.get(&format!("{roles}/strong")).await.is(200).json();
    stored["metadata"]["labels"] = json!({"a": "b"});
    eve("PUT", &format!("{roles}/strong"), JSON, &stored).await.is(403);

    eve("POST", &bindings, JSON, &binding("ok", "Role", "ok", "x")).await.is(201);
    for (kind, role) in
        [("Role", "strong"), ("ClusterRole", "cluster-admin"), ("ClusterRole", "system:aggregate-to-view")]
    {
        eve("POST", &bindings, JSON, &binding("b", kind, role, "eve")).await.is(403);
    }
    eve("POST", &bindings, JSON, &binding("b", "Role", "none", "eve")).await.is(404);
    // Neither elsewhere nor everywhere.
    eve(
        "POST",
        &format!("{RBAC}/namespaces/kube-system/rolebindings"),
        JSON,
        &binding("b", "ClusterRole", "view", "eve"),
    )
    .await
    .is(403);
    eve("POST", &format!("{RBAC}/clusterrolebindings"), JSON, &binding("b", "ClusterRole", "view", "eve"))
        .await
        .is(403);
    // With `escalate` and `bind`, on what they name.
    let named = |verb: &str, resource: &str, name: &str| json!({"verbs": [verb], "apiGroups": ["rbac.authorization.k8s.io"], "resources": [resource], "resourceNames": [name]});
    server.post(&roles, &role("free", &[])).await.is(201);
    grant_in(&server, "default", "extra", &[named("escalate", "roles", "free"), named("bind", "roles", "strong")])
        .await;
    server.post(&bindings, &binding("extra-eve", "Role", "extra", "eve")).await.is(201);
    eve("PUT", &format!("{roles}/free"), JSON, &role("free", std::slice::from_ref(&more))).await.is(200);
    eve("PUT", &format!("{roles}/ok"), JSON, &role("ok", std::slice::from_ref(&more))).await.is(403);
    eve("POST", &bindings, JSON, &binding("strong", "Role", "strong", "x")).await.is(201);
    eve("POST", &bindings, JSON, &binding("admin", "ClusterRole", "cluster-admin", "x")).await.is(403);
}

#[tokio::test]
async fn aggregation_needs_every_right() {
    let server = Server::start().await;
    grant(
        &server,
        "eve",
        &[
            rule(&["*"], "rbac.authorization.k8s.io", &["clusterroles/x"]),
            rule(&["create", "update", "patch", "get"], "rbac.authorization.k8s.io", &["clusterroles"]),
        ],
    )
    .await;
    let roles = format!("{RBAC}/clusterroles");
    let mut aggregating = role("agg", &[]);
    aggregating["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    let text = "clusterroles.rbac.authorization.k8s.io \"agg\" is forbidden: must have cluster-admin privileges to use the aggregationRule";
    assert_eq!(as_user(&server, "eve", "POST", &roles, Some(&aggregating)).await.is(403).message(), text);
    server.post(&roles, &aggregating).await.is(201);
    let without = json!({"aggregationRule": null});
    assert_eq!(
        typed(&server, "eve", "PATCH", &format!("{roles}/agg"), MERGE, Some(&without)).await.is(403).message(),
        text
    );
}

#[tokio::test]
async fn what_a_namespace_gives_does_not_reach_the_cluster() {
    let server = Server::start().await;
    grant_in(&server, "default", "eve", &[rule(&["*"], "*", &["*"])]).await;
    // A path that puts a cluster-scoped resource into the namespace leads nowhere.
    for path in ["nodes", "nodes/x", "persistentvolumes", "namespaces"] {
        as_user(&server, "eve", "GET", &format!("/api/v1/namespaces/default/{path}"), None).await.is(404);
    }
    for path in ["/api/v1/nodes", "/api/v1/namespaces", "/api/v1/namespaces/kube-system", "/api/v1/secrets", "/metrics"]
    {
        as_user(&server, "eve", "GET", path, None).await.is(403);
    }
    as_user(&server, "eve", "GET", "/api/v1/namespaces/default", None).await.is(200);
    as_user(&server, "eve", "GET", "/api/v1/namespaces/default/secrets", None).await.is(200);
    as_user(&server, "eve", "GET", "/api/v1/namespaces/kube-system/secrets", None).await.is(403);
    as_user(
        &server,
        "eve",
        "POST",
        &format!("{RBAC}/clusterrolebindings"),
        Some(&binding("b", "ClusterRole", "cluster-admin", "eve")),
    )
    .await
    .is(403);
}

#[tokio::test]
async fn rights_on_names_hold_for_lists_of_one_name() {
    let server = Server::start().await;
    let mut one = rule(&["get", "list", "watch"], "", &["configmaps"]);
    one["resourceNames"] = json!(["mine"]);
    grant_in(&server, "default", "eve", &[one]).await;
    let maps = "/api/v1/namespaces/default/configmaps";
    as_user(&server, "eve", "GET", &format!("{maps}?fieldSelector=metadata.name%3Dmine"), None).await.is(200);
    for path in [
        maps.to_owned(),
        format!("{maps}?fieldSelector=metadata.name%3Dother"),
        format!("{maps}?fieldSelector=metadata.name!%3Dmine"),
        format!("{maps}/other"),
    ] {
        as_user(&server, "eve", "GET", &path, None).await.is(403);
    }
    as_user(&server, "eve", "GET", &format!("{maps}/mine"), None).await.is(404);
}

#[tokio::test]
async fn reviews_say_why_and_list_rules() {
    let server = Server::start().await;
    grant_in(&server, "default", "eve", &[rule(&["get"], "", &["pods"])]).await;
    let review = json!({"spec": {"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"}}});
    let status = server
        .call_with(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            &[("impersonate-user", "eve")],
            Some(review.to_string()),
        )
        .await
        .is(201)
        .json();
    assert_eq!(
        status["status"],
        json!({"allowed": true, "reason": "RBAC: allowed by RoleBinding \"eve/default\" of Role \"eve\" to User \"eve\""})
    );
    let rules = json!({"spec": {"namespace": "default"}});
    let list = as_user(&server, "eve", "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", Some(&rules))
        .await
        .is(201)
        .json();
    let own = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
    assert!(list["status"]["resourceRules"].as_array().unwrap().contains(&own), "{list}");
    assert_eq!(list["status"]["incomplete"], false);
    assert!(list["status"]["nonResourceRules"].as_array().is_some_and(|rules| !rules.is_empty()), "{list}");
}

#[tokio::test]
async fn the_bootstrap_policy_is_completed_at_each_start() {
    let server = Server::start().await;
    let role = |name: &str| format!("{RBAC}/clusterroles/{name}");
    let before = server.get(&role("system:discovery")).await.is(200).json();
    server.patch(&role("system:discovery"), MERGE, &json!({"rules": []})).await.is(200);
    let protected =
        json!({"metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}, "rules": []});
    server.patch(&role("system:public-info-viewer"), MERGE, &protected).await.is(200);
    let binding = format!("{RBAC}/clusterrolebindings/system:discovery");
    server
        .patch(
            &binding,
            MERGE,
            &json!({"subjects": [{"kind": "User", "name": "own", "apiGroup": "rbac.authorization.k8s.io"}]}),
        )
        .await
        .is(200);
    server.delete(&role("system:basic-user")).await.is(200);
    let again = Server::on(Config::default(), server.store.clone());
    kuorum_apiserver::bootstrap::run(again.app.clone(), 6443).await;
    let after = again.get(&role("system:discovery")).await.is(200).json();
    let parts = |role: &Value| -> usize {
        let count = |rule: &Value| rule["nonResourceURLs"].as_array().map_or(0, Vec::len);
        role["rules"].as_array().map_or(0, |rules| rules.iter().map(count).sum())
    };
    assert_eq!(parts(&after), parts(&before));
    assert_eq!(parts(&again.get(&role("system:public-info-viewer")).await.is(200).json()), 0);
    let subjects = again.get(&binding).await.is(200).json()["subjects"].clone();
    assert_eq!(
        subjects.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["own", "system:authenticated"]
    );
    again.get(&role("system:basic-user")).await.is(200);
    let health = again.get("/readyz?verbose").await.is(200);
    assert!(String::from_utf8_lossy(&health.body).contains("[+]poststarthook/rbac/bootstrap-roles ok"));
}

#[tokio::test]
async fn a_node_follows_its_pods() {
    let server = Server::start().await;
    let node = async |method: &str, path: &str| {
        let headers = [("impersonate-user", "system:node:n1"), ("impersonate-group", "system:nodes")];
        server.call_with(method, path, &headers, None::<String>).await.code
    };
    let secret = "/api/v1/namespaces/default/secrets/s";
    server.post("/api/v1/namespaces/default/secrets", &json!({"metadata": {"name": "s"}})).await.is(201);
    assert_eq!(node("GET", secret).await, 403);
    let pod = json!({"metadata": {"name": "p"}, "spec": {
        "containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
        "automountServiceAccountToken": false,
    }});
    let account = json!({"metadata": {"name": "default"}});
    server.post("/api/v1/namespaces/default/serviceaccounts", &account).await;
    server.post("/api/v1/namespaces/default/pods", &pod).await.is(201);
    assert_eq!(node("GET", secret).await, 403, "the pod is not bound yet");
    let bind = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    server.post("/api/v1/namespaces/default/pods/p/binding", &bind).await.is(201);
    assert_eq!(node("GET", secret).await, 200);
    assert_eq!(node("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await, 200);
    assert_eq!(node("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn2").await, 403);
    assert_eq!(node("GET", "/api/v1/namespaces/default/pods/p").await, 200);
    server.delete("/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0").await.is(200);
    assert_eq!(node("GET", secret).await, 403);
}

#[tokio::test]
async fn modes_are_asked_in_order() {
    let closed = Server::with(Config { authorization_mode: vec!["AlwaysDeny".to_owned()], ..Config::default() }).await;
    let answer = as_user(&closed, "eve", "GET", "/api/v1/nodes", None).await.is(403);
    assert!(answer.message().ends_with("at the cluster scope: Everything is forbidden."), "{}", answer.message());
    closed.get("/api/v1/nodes").await.is(200);
    let open = Server::with(Config {
        authorization_mode: vec!["RBAC".to_owned(), "AlwaysAllow".to_owned()],
        ..Config::default()
    })
    .await;
    as_user(&open, "eve", "GET", "/api/v1/nodes", None).await.is(200);
    // Where everything is allowed, somebody must still be somebody.
    let stranger = [("authorization", "")];
    open.call_with("GET", "/api/v1/nodes", &stranger, None::<String>).await.is(401);
    closed.call_with("GET", "/api/v1/nodes", &stranger, None::<String>).await.is(403);
}

#[tokio::test]
async fn a_websocket_into_a_pod_needs_create() {
    let server = Server::start().await;
    let streams = ["pods/exec", "pods/attach", "pods/portforward"];
    grant_in(&server, "default", "reader", &[rule(&["get"], "", &streams)]).await;
    grant_in(&server, "default", "writer", &[rule(&["get", "create"], "", &streams)]).await;
    let open = async |user: &str, stream: &str, upgrade: &[(&str, &str)]| {
        let headers: Vec<_> = [("impersonate-user", user)].iter().chain(upgrade).copied().collect();
        let path = format!("/api/v1/namespaces/default/{}", stream.replace('/', "/none/"));
        server.call_with("GET", &path, &headers, None::<String>).await
    };
    let websocket = [("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade")];
    for stream in streams {
        let refused = open("reader", stream, &websocket).await.is(403).message();
        let words = format!("cannot create resource \"{stream}\" in API group \"\" in the namespace \"default\"");
        assert!(refused.ends_with(&words), "{refused}");
        open("writer", stream, &websocket).await.is(404);
        open("reader", stream, &[]).await.is(404);
    }
}

#[tokio::test]
async fn updates_and_patches_that_create_need_create() {
    let server = Server::start().await;
    let change = rule(&["update", "patch", "get"], "", &["endpoints", "configmaps"]);
    grant_in(&server, "default", "changer", &[change]).await;
    grant_in(&server, "default", "maker", &[rule(&["update", "patch", "create"], "", &["endpoints", "configmaps"])])
        .await;
    let endpoints = "/api/v1/namespaces/default/endpoints/e";
    let map = "/api/v1/namespaces/default/configmaps/m?fieldManager=t";
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    for (user, code) in [("changer", 403), ("maker", 201)] {
        let put = as_user(&server, user, "PUT", endpoints, Some(&json!({"metadata": {"name": "e"}}))).await.is(code);
        let apply = typed(&server, user, "PATCH", map, "application/apply-patch+yaml", Some(&applied)).await.is(code);
        if code == 403 {
            assert!(put.message().contains("cannot create resource \"endpoints\""), "{}", put.message());
            assert!(apply.message().contains("cannot create resource \"configmaps\""), "{}", apply.message());
        }
    }
    as_user(&server, "changer", "PUT", endpoints, Some(&json!({"metadata": {"name": "e"}}))).await.is(200);
}
