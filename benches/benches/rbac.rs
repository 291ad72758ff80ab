//! RBAC decisions from the index, with many bindings: what a request pays must not depend on how many there are.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use kuorum_auth::authz::rbac::{Kind, Rbac};
use kuorum_auth::authz::{Answer, Attributes, Authorizer, policy};
use kuorum_auth::user::User;
use serde_json::json;

/// The bootstrap policy, and `bindings` of one user each, spread over a hundred namespaces and the cluster.
fn rbac(bindings: usize) -> Rbac {
    let rbac = Rbac::default();
    for object in policy::objects().expect("the policy of this build") {
        rbac.put(object.kind, object.namespace(), object.name(), &object.object);
    }
    let pods = json!({"rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "configmaps"]}]});
    rbac.put(Kind::ClusterRole, "", "reader", &pods);
    for i in 0..bindings {
        let subjects = json!([{"kind": "User", "name": format!("user-{i}")}, {"kind": "Group", "name": format!("team-{}", i % 50)}]);
        let binding = json!({"roleRef": {"kind": "ClusterRole", "name": "reader"}, "subjects": subjects});
        let (kind, namespace) = match i % 10 {
            0 => (Kind::ClusterRoleBinding, String::new()),
            _ => (Kind::RoleBinding, format!("ns-{}", i % 100)),
        };
        rbac.put(kind, &namespace, &format!("binding-{i}"), &binding);
    }
    rbac
}

fn decisions(c: &mut Criterion) {
    let groups = vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()];
    let allowed = User { name: "user-7".to_owned(), groups: groups.clone(), ..User::default() };
    let refused = User { name: "nobody".to_owned(), groups, ..User::default() };
    let mut group = c.benchmark_group("rbac");
    for bindings in [10, 1_000, 10_000] {
        let rbac = rbac(bindings);
        for (name, user, is_allowed) in [("allowed", &allowed, true), ("refused", &refused, false)] {
            let asked =
                Attributes { namespace: "ns-7", name: "x", ..Attributes::of_resource(user, "get", "", "configmaps") };
            group.bench_function(BenchmarkId::new(name, bindings), |b| {
                b.iter(|| match rbac.authorize(std::hint::black_box(&asked)) {
                    Answer::Now(decision) => assert_eq!(decision.is_allowed(), is_allowed),
                    Answer::Later(_) => unreachable!("RBAC never waits"),
                });
            });
        }
        let changed = json!({"roleRef": {"kind": "ClusterRole", "name": "reader"}, "subjects": [{"kind": "User", "name": "user-7"}]});
        group.bench_function(BenchmarkId::new("change", bindings), |b| {
            b.iter(|| rbac.put(Kind::RoleBinding, "ns-7", "binding-7", std::hint::black_box(&changed)));
        });
    }
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
