use serde_json::{Value, json};

use super::*;
use crate::bootstrap;

fn schema(name: &str, precedence: i64, rules: Value) -> FlowSchema {
    let spec = json!({"matchingPrecedence": precedence, "priorityLevelConfiguration": {"name": "l"}, "rules": rules});
    FlowSchema::from_json(&json!({"metadata": {"name": name}, "spec": spec})).unwrap()
}

/// The name of the schema that takes a request.
fn taken<'a>(schemas: &'a mut [FlowSchema], request: &Attributes<'_>) -> Option<&'a str> {
    order(schemas);
    Classifier::new(schemas.iter()).find(request).map(|number| schemas[number].metadata.name.as_str())
}

fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn subjects() {
    let everything =
        json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}]);
    let groups = groups(&["dev", "system:authenticated"]);
    let user = |name: &str| json!({"kind": "User", "user": {"name": name}});
    let group = |name: &str| json!({"kind": "Group", "group": {"name": name}});
    let account = |namespace: &str, name: &str| json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}});
    for (subject, name, matches) in [
        (user("alice"), "alice", true),
        (user("alice"), "bob", false),
        (user("*"), "bob", true),
        (group("dev"), "bob", true),
        (group("ops"), "bob", false),
        (group("*"), "bob", true),
        (account("kube-system", "*"), "system:serviceaccount:kube-system:job", true),
        (account("kube-system", "*"), "system:serviceaccount:kube-systems:job", false),
        (account("kube-system", "*"), "kube-system:job", false),
        (account("a", "b"), "system:serviceaccount:a:b", true),
        (account("a", "b"), "system:serviceaccount:a:bc", false),
        (account("a", "b"), "a:b", false),
    ] {
        let mut schemas = [schema("s", 1, json!([{"subjects": [subject], "resourceRules": everything}]))];
        let request = Attributes {
            user: name,
            groups: &groups,
            verb: "get",
            is_resource: true,
            resource: "pods",
            ..Default::default()
        };
        assert_eq!(taken(&mut schemas, &request).is_some(), matches, "{subject} {name}");
    }
}

#[test]
fn resources() {
    let base = || json!({"verbs": ["get", "list"], "apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "namespaces": ["a", "b"]});
    let with = |key: &str, value: Value| {
        let mut rule = base();
        rule[key] = value;
        rule
    };
    // verb, group, resource, subresource, namespace
    let plain = ["get", "apps", "deployments", "", "a"];
    for (rule, request, matches) in [
        (base(), plain, true),
        (base(), ["watch", "apps", "deployments", "", "a"], false),
        (base(), ["get", "", "deployments", "", "a"], false),
        (base(), ["get", "apps", "daemonsets", "", "a"], false),
        (base(), ["get", "apps", "deployments", "scale", "b"], true),
        (base(), ["get", "apps", "deployments", "status", "b"], false),
        (base(), ["get", "apps", "deployments", "", "c"], false),
        (base(), ["list", "apps", "deployments", "", ""], false),
        (with("clusterScope", json!(true)), ["list", "apps", "deployments", "", ""], true),
        (with("namespaces", json!(["*"])), ["get", "apps", "deployments", "", "c"], true),
        (with("namespaces", json!(["*"])), ["list", "apps", "deployments", "", ""], false),
        (with("verbs", json!(["*"])), ["patch", "apps", "deployments", "", "a"], true),
        (with("apiGroups", json!(["*"])), ["get", "", "deployments", "", "a"], true),
        (with("resources", json!(["*"])), ["get", "apps", "x", "y", "a"], true),
        (with("resources", json!(["deployments"])), ["get", "apps", "deployments", "scale", "a"], false),
    ] {
        let rules = json!([{"subjects": [{"kind": "User", "user": {"name": "*"}}], "resourceRules": [rule]}]);
        let [verb, group, resource, subresource, namespace] = request;
        let attributes =
            Attributes { verb, is_resource: true, group, resource, subresource, namespace, ..Default::default() };
        assert_eq!(taken(&mut [schema("s", 1, rules)], &attributes).is_some(), matches, "{rule} {request:?}");
        // A resource is never a path.
        let not_a_resource = Attributes { is_resource: false, path: "/apis", ..attributes };
        assert_eq!(taken(&mut [schema("s", 1, json!([]))], &not_a_resource), None);
    }
}

#[test]
fn paths() {
    for (pattern, path, matches) in [
        ("*", "/anything", true),
        ("/healthz", "/healthz", true),
        ("/healthz", "/healthz/etcd", true),
        ("/healthz", "/healthzz", false),
        ("/debug/*", "/debug/pprof", true),
        ("/debug/*", "/debug", false),
        ("/debug*", "/debug/pprof", true),
        ("/debug*", "/debugger", false),
        ("/", "/version", true),
    ] {
        let rules = json!([{
            "subjects": [{"kind": "User", "user": {"name": "*"}}],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": [pattern]}],
        }]);
        let request = Attributes { verb: "get", path, ..Default::default() };
        assert_eq!(taken(&mut [schema("s", 1, rules.clone())], &request).is_some(), matches, "{pattern} {path}");
        let posted = Attributes { verb: "post", ..request };
        assert_eq!(taken(&mut [schema("s", 1, rules)], &posted), None);
    }
}

#[test]
fn the_smallest_precedence_wins_and_then_the_name() {
    let rules = json!([{
        "subjects": [{"kind": "User", "user": {"name": "*"}}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }]);
    let request = Attributes { verb: "get", path: "/", ..Default::default() };
    let mut schemas = [schema("b", 5, rules.clone()), schema("a", 7, rules.clone()), schema("c", 5, rules.clone())];
    assert_eq!(taken(&mut schemas, &request), Some("b"));
    // More schemas than a word of the set has bits.
    let mut many: Vec<FlowSchema> = (0..200).map(|i| schema(&format!("s{i:03}"), 10_000 - i, json!([]))).collect();
    many.push(schema("found", 9_000, rules.clone()));
    many.push(schema("later", 10_000, rules));
    assert_eq!(taken(&mut many, &request), Some("found"));
}

#[test]
fn the_bootstrap_schemas() {
    let mut schemas: Vec<FlowSchema> =
        bootstrap::flow_schemas().iter().map(|schema| FlowSchema::from_json(&schema.object).unwrap()).collect();
    let everybody = &["system:authenticated"][..];
    // user, groups, verb, group, resource, subresource, namespace, path where it is no resource
    for (user, own, request, want) in [
        ("admin", &["system:masters"][..], ["delete", "", "pods", "", "a", ""], "exempt"),
        ("alice", everybody, ["get", "", "pods", "", "a", ""], "global-default"),
        ("alice", everybody, ["get", "", "", "", "", "/healthz"], "probes"),
        ("alice", everybody, ["get", "", "", "", "", "/readyz/etcd"], "probes"),
        ("alice", everybody, ["get", "", "", "", "", "/version"], "global-default"),
        ("system:node:n", &["system:nodes"], ["update", "", "nodes", "status", "", ""], "system-node-high"),
        (
            "system:node:n",
            &["system:nodes"],
            ["update", "coordination.k8s.io", "leases", "", "kube-node-lease", ""],
            "system-node-high",
        ),
        ("system:node:n", &["system:nodes"], ["update", "", "pods", "status", "a", ""], "system-nodes"),
        (
            "system:kube-scheduler",
            everybody,
            ["update", "coordination.k8s.io", "leases", "", "kube-system", ""],
            "system-leader-election",
        ),
        ("system:kube-scheduler", everybody, ["list", "", "pods", "", "", ""], "kube-scheduler"),
        ("system:kube-controller-manager", everybody, ["list", "", "pods", "", "", ""], "kube-controller-manager"),
        (
            "system:serviceaccount:kube-system:job",
            &["system:serviceaccounts"],
            ["list", "", "pods", "", "", ""],
            "kube-system-service-accounts",
        ),
        (
            "system:serviceaccount:a:job",
            &["system:serviceaccounts"],
            ["list", "", "pods", "", "", ""],
            "service-accounts",
        ),
        ("system:anonymous", &["system:unauthenticated"], ["get", "", "pods", "", "a", ""], "global-default"),
    ] {
        let own = groups(own);
        let [verb, group, resource, subresource, namespace, path] = request;
        let is_resource = !resource.is_empty();
        let attributes =
            Attributes { user, groups: &own, verb, is_resource, path, group, resource, subresource, namespace };
        assert_eq!(taken(&mut schemas, &attributes), Some(want), "{user} {request:?}");
    }
}
