use serde_json::json;

use super::*;
use crate::user::AUTHENTICATED;

fn role(rules: Value) -> Value {
    json!({"rules": rules})
}

fn read(resources: &[&str]) -> Value {
    json!([{"verbs": ["get"], "apiGroups": [""], "resources": resources}])
}

fn binding(kind: &str, role: &str, subjects: Value) -> Value {
    json!({"roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}, "subjects": subjects})
}

fn user(name: &str, groups: &[&str]) -> User {
    User { name: name.into(), groups: groups.iter().map(|g| g.to_string()).collect(), ..User::default() }
}

fn decide(rbac: &Rbac, user: &User, namespace: &str, resource: &str) -> Decision {
    let attributes = Attributes { namespace, ..Attributes::of_resource(user, "get", "", resource) };
    match rbac.authorize(&attributes) {
        Answer::Now(decision) => decision,
        Answer::Later(_) => panic!("RBAC never waits"),
    }
}

fn allowed(rbac: &Rbac, user: &User, namespace: &str, resource: &str) -> bool {
    decide(rbac, user, namespace, resource).is_allowed()
}

fn reason(decision: Decision) -> String {
    match decision {
        Decision::Allow(reason) => reason.to_string(),
        Decision::Deny(refusal) | Decision::NoOpinion(refusal) => refusal.reason,
    }
}

#[test]
fn subjects_of_every_kind_are_found() {
    let rbac = Rbac::default();
    rbac.put(Kind::Role, "a", "r", &role(read(&["pods"])));
    let subjects = json!([
        {"kind": "User", "name": "alice"},
        {"kind": "Group", "name": "team"},
        {"kind": "ServiceAccount", "name": "sa", "namespace": "b"},
        {"kind": "ServiceAccount", "name": "own"},
        {"kind": "Robot", "name": "x"},
    ]);
    rbac.put(Kind::RoleBinding, "a", "rb", &binding("Role", "r", subjects));
    for (name, groups, why) in [
        ("alice", &[][..], "RBAC: allowed by RoleBinding \"rb/a\" of Role \"r\" to User \"alice\""),
        ("bob", &["x", "team"], "RBAC: allowed by RoleBinding \"rb/a\" of Role \"r\" to Group \"team\""),
        // Found by its name first, and named by the first subject that fits.
        ("alice", &["team"], "RBAC: allowed by RoleBinding \"rb/a\" of Role \"r\" to User \"alice\""),
        (
            "system:serviceaccount:b:sa",
            &[],
            "RBAC: allowed by RoleBinding \"rb/a\" of Role \"r\" to ServiceAccount \"sa/b\"",
        ),
        (
            "system:serviceaccount:a:own",
            &[],
            "RBAC: allowed by RoleBinding \"rb/a\" of Role \"r\" to ServiceAccount \"own/a\"",
        ),
    ] {
        assert_eq!(reason(decide(&rbac, &user(name, groups), "a", "pods")), why);
    }
    for (name, groups) in [("bob", &[][..]), ("team", &[]), ("x", &["alice"]), ("system:serviceaccount:a:sa", &[])] {
        assert!(!allowed(&rbac, &user(name, groups), "a", "pods"), "{name}");
    }
    // Neither in other namespaces nor in all of them.
    let alice = user("alice", &[]);
    assert!(!allowed(&rbac, &alice, "b", "pods"));
    assert!(!allowed(&rbac, &alice, "", "pods"));
}

#[test]
fn a_cluster_role_bound_in_a_namespace_stays_there() {
    let rbac = Rbac::default();
    rbac.put(
        Kind::ClusterRole,
        "",
        "c",
        &role(json!([
            {"verbs": ["get"], "apiGroups": [""], "resources": ["nodes", "pods"]},
            {"verbs": ["get"], "nonResourceURLs": ["/metrics"]},
        ])),
    );
    rbac.put(Kind::RoleBinding, "a", "b", &binding("ClusterRole", "c", json!([{"kind": "User", "name": "u"}])));
    let u = user("u", &[]);
    assert!(allowed(&rbac, &u, "a", "pods"));
    assert!(!allowed(&rbac, &u, "", "nodes"));
    assert!(!allowed(&rbac, &u, "b", "pods"));
    let url = Attributes::of_path(&u, "get", "/metrics");
    assert!(matches!(rbac.authorize(&url), Answer::Now(Decision::NoOpinion(_))));
    rbac.put(Kind::ClusterRoleBinding, "", "b", &binding("ClusterRole", "c", json!([{"kind": "User", "name": "u"}])));
    assert!(allowed(&rbac, &u, "", "nodes"));
    assert!(matches!(rbac.authorize(&url), Answer::Now(Decision::Allow(_))));
    assert_eq!(
        reason(decide(&rbac, &u, "a", "pods")),
        "RBAC: allowed by ClusterRoleBinding \"b\" of ClusterRole \"c\" to User \"u\""
    );
}

#[test]
fn missing_roles_are_named_and_do_not_hinder() {
    let rbac = Rbac::default();
    let everyone = || json!([{"kind": "Group", "name": AUTHENTICATED}]);
    rbac.put(Kind::ClusterRoleBinding, "", "b", &binding("ClusterRole", "none", everyone()));
    rbac.put(Kind::RoleBinding, "a", "b", &binding("Role", "lost", everyone()));
    rbac.put(Kind::RoleBinding, "a", "c", &binding("Role", "lost", everyone()));
    let u = user("u", &[AUTHENTICATED]);
    assert_eq!(
        reason(decide(&rbac, &u, "a", "pods")),
        "RBAC: [clusterrole.rbac.authorization.k8s.io \"none\" not found, role.rbac.authorization.k8s.io \"lost\" not found]"
    );
    assert_eq!(reason(decide(&rbac, &u, "", "pods")), "RBAC: clusterrole.rbac.authorization.k8s.io \"none\" not found");
    rbac.put(Kind::Role, "a", "lost", &role(read(&["pods"])));
    assert!(allowed(&rbac, &u, "a", "pods"));
    assert!(!allowed(&rbac, &u, "a", "secrets"));
    assert_eq!(rbac.rules_for(&u, "a").1.len(), 1);
    // A role of another namespace is not meant, nor a ClusterRole of the name.
    rbac.put(Kind::ClusterRole, "", "only-cluster", &role(read(&["secrets"])));
    rbac.put(Kind::RoleBinding, "a", "d", &binding("Role", "only-cluster", everyone()));
    assert!(!allowed(&rbac, &u, "a", "secrets"));
    assert!(rbac.rules_of("Role", "only-cluster", "a").is_err());
    assert!(rbac.rules_of("Role", "only-cluster", "").is_err());
    assert_eq!(rbac.rules_of("ClusterRole", "only-cluster", "a").unwrap().len(), 1);
}

#[test]
fn changes_are_followed() {
    let rbac = Rbac::default();
    let (u, v) = (user("u", &["g"]), user("v", &[]));
    let to = |name: &str| json!([{"kind": "User", "name": name}, {"kind": "Group", "name": "g"}]);
    rbac.put(Kind::Role, "a", "r", &role(read(&["pods"])));
    rbac.put(Kind::RoleBinding, "a", "b", &binding("Role", "r", to("u")));
    assert!(allowed(&rbac, &u, "a", "pods") && !allowed(&rbac, &v, "a", "pods"));
    // Other subjects.
    rbac.put(Kind::RoleBinding, "a", "b", &binding("Role", "r", json!([{"kind": "User", "name": "v"}])));
    assert!(!allowed(&rbac, &u, "a", "pods") && allowed(&rbac, &v, "a", "pods"));
    // Other rules.
    rbac.put(Kind::Role, "a", "r", &role(read(&["secrets"])));
    assert!(!allowed(&rbac, &v, "a", "pods") && allowed(&rbac, &v, "a", "secrets"));
    // No role, no binding, no matter in which order.
    rbac.remove(Kind::Role, "a", "r");
    assert!(!allowed(&rbac, &v, "a", "secrets"));
    rbac.put(Kind::Role, "a", "r", &role(read(&["secrets"])));
    assert!(allowed(&rbac, &v, "a", "secrets"));
    rbac.remove(Kind::RoleBinding, "a", "b");
    rbac.remove(Kind::RoleBinding, "a", "b");
    assert!(!allowed(&rbac, &v, "a", "secrets"));
    rbac.put(Kind::RoleBinding, "a", "b", &binding("Role", "r", to("v")));
    rbac.put(Kind::ClusterRole, "", "c", &role(read(&["nodes"])));
    rbac.put(Kind::ClusterRoleBinding, "", "c", &binding("ClusterRole", "c", to("v")));
    rbac.clear(Kind::RoleBinding);
    assert!(!allowed(&rbac, &v, "a", "secrets") && allowed(&rbac, &v, "", "nodes"));
    rbac.clear(Kind::ClusterRole);
    assert!(!allowed(&rbac, &v, "", "nodes"));
}

/// The index against the plain reading of the objects, under random changes.
#[test]
fn the_index_says_what_a_scan_says() {
    use std::collections::BTreeMap;
    let mut random = 12345u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) % below
    };
    let rbac = Rbac::default();
    let mut roles: BTreeMap<(String, String), Value> = BTreeMap::new();
    let mut bindings: BTreeMap<(String, String), Value> = BTreeMap::new();
    for _ in 0..2000 {
        let namespace = ["", "a", "b"][next(3) as usize];
        let name = format!("n{}", next(4));
        let is_role = next(2) == 0;
        let kind = match (is_role, namespace.is_empty()) {
            (true, true) => Kind::ClusterRole,
            (true, false) => Kind::Role,
            (false, true) => Kind::ClusterRoleBinding,
            (false, false) => Kind::RoleBinding,
        };
        let key = (namespace.to_owned(), name.clone());
        if next(3) == 0 {
            rbac.remove(kind, namespace, &name);
            if is_role {
                roles.remove(&key)
            } else {
                bindings.remove(&key)
            };
        } else if is_role {
            let object = role(read(&[["pods", "secrets", "nodes"][next(3) as usize]]));
            rbac.put(kind, namespace, &name, &object);
            roles.insert(key, object);
        } else {
            let subject = ["User", "Group"][next(2) as usize];
            let subjects = json!([{"kind": subject, "name": format!("s{}", next(3))}, {"kind": "ServiceAccount", "name": "sa", "namespace": "a"}]);
            let role_kind = if namespace.is_empty() || next(2) == 0 { "ClusterRole" } else { "Role" };
            let object = binding(role_kind, &format!("n{}", next(4)), subjects);
            rbac.put(kind, namespace, &name, &object);
            bindings.insert(key, object);
        }
        let who = user(["s0", "s1", "system:serviceaccount:a:sa"][next(3) as usize], &[["s0", "s2"][next(2) as usize]]);
        for (namespace, resource) in [("", "pods"), ("a", "secrets"), ("b", "nodes")] {
            let scan = bindings.iter().any(|((bound_in, _), b)| {
                let applies = b["subjects"].as_array().unwrap().iter().any(|s| match s["kind"].as_str().unwrap() {
                    "User" => s["name"] == who.name.as_str(),
                    "Group" => who.groups.iter().any(|g| s["name"] == g.as_str()),
                    _ => who.name == "system:serviceaccount:a:sa",
                });
                let of = if b["roleRef"]["kind"] == "ClusterRole" { "" } else { bound_in.as_str() };
                let role = roles.get(&(of.to_owned(), b["roleRef"]["name"].as_str().unwrap().to_owned()));
                let in_scope = bound_in.is_empty() || bound_in == namespace;
                applies && in_scope && role.is_some_and(|r| r["rules"][0]["resources"][0] == resource)
            });
            assert_eq!(allowed(&rbac, &who, namespace, resource), scan, "{who:?} {namespace} {resource}");
        }
    }
}
