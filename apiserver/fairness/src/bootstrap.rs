//! The objects that every cluster has: those that must be as they are, and those that are a suggestion.

use serde_json::{Map, Value, json};

use crate::spec::{CATCH_ALL, EXEMPT};

/// Whether the server keeps the spec of an object as it has it: `true` or `false`.
pub const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

const API_VERSION: &str = "flowcontrol.apiserver.k8s.io/v1";

/// An object that should be there.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    pub name: &'static str,
    /// Whatever users do to it, it is set right again.
    pub mandatory: bool,
    pub object: Value,
}

fn bootstrap(kind: &str, name: &'static str, spec: Value) -> Bootstrap {
    let object = json!({
        "apiVersion": API_VERSION, "kind": kind,
        "metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}},
        "spec": spec,
    });
    Bootstrap { name, mandatory: name == EXEMPT || name == CATCH_ALL, object }
}

/// All PriorityLevelConfigurations.
pub fn priority_levels() -> Vec<Bootstrap> {
    let level = |name, spec| bootstrap("PriorityLevelConfiguration", name, spec);
    let limited = |shares: u32, lendable: u32, response: Value| {
        json!({"type": "Limited", "limited": {
            "nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response,
        }})
    };
    // Name, shares, lendable per cent, queues, hand.
    let queued = [
        ("system", 30, 33, 64, 6),
        ("node-high", 40, 25, 64, 6),
        ("leader-election", 10, 0, 16, 4),
        ("workload-high", 40, 50, 128, 6),
        ("workload-low", 100, 90, 128, 6),
        ("global-default", 20, 50, 128, 6),
    ]
    .map(|(name, shares, lendable, queues, hand): (_, u32, u32, u32, u32)| {
        let queuing = json!({"queues": queues, "handSize": hand, "queueLengthLimit": 50});
        level(name, limited(shares, lendable, json!({"type": "Queue", "queuing": queuing})))
    });
    let exempt = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
    let mut all = vec![level(EXEMPT, exempt)];
    all.extend(queued);
    all.push(level(CATCH_ALL, limited(5, 0, json!({"type": "Reject"}))));
    all
}

/// All FlowSchemas, in the order in which they are tried.
pub fn flow_schemas() -> Vec<Bootstrap> {
    let user = |name: &str| json!({"kind": "User", "user": {"name": name}});
    let group = |name: &str| json!({"kind": "Group", "group": {"name": name}});
    let accounts =
        |namespace: &str| json!({"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": namespace}});
    let everybody = || json!([group("system:unauthenticated"), group("system:authenticated")]);
    let all_resources = json!({
        "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true,
    });
    let all_paths = json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
    let everything = |subjects: Value| json!({"subjects": subjects, "resourceRules": [all_resources], "nonResourceRules": [all_paths]});
    let leases = |verbs: Value| json!({"verbs": verbs, "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "namespaces": ["*"]});
    let (by_user, by_namespace) = (Some("ByUser"), Some("ByNamespace"));
    [
        (EXEMPT, 1, EXEMPT, None, everything(json!([group("system:masters")]))),
        (
            "probes",
            2,
            EXEMPT,
            None,
            json!({
                "subjects": everybody(),
                "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}],
            }),
        ),
        (
            "system-leader-election",
            100,
            "leader-election",
            by_user,
            json!({
                "subjects": [
                    user("system:kube-controller-manager"), user("system:kube-scheduler"), accounts("kube-system"),
                ],
                "resourceRules": [leases(json!(["get", "create", "update"]))],
            }),
        ),
        (
            "system-node-high",
            400,
            "node-high",
            by_user,
            json!({
                "subjects": [group("system:nodes")],
                "resourceRules": [
                    {
                        "verbs": ["*"], "apiGroups": [""], "resources": ["nodes", "nodes/status"],
                        "namespaces": ["*"], "clusterScope": true,
                    },
                    leases(json!(["*"])),
                ],
            }),
        ),
        ("system-nodes", 500, "system", by_user, everything(json!([group("system:nodes")]))),
        (
            "kube-controller-manager",
            800,
            "workload-high",
            by_namespace,
            everything(json!([user("system:kube-controller-manager")])),
        ),
        ("kube-scheduler", 800, "workload-high", by_namespace, everything(json!([user("system:kube-scheduler")]))),
        (
            "kube-system-service-accounts",
            900,
            "workload-high",
            by_namespace,
            everything(json!([accounts("kube-system")])),
        ),
        ("service-accounts", 9000, "workload-low", by_user, everything(json!([group("system:serviceaccounts")]))),
        ("global-default", 9900, "global-default", by_user, everything(everybody())),
        (CATCH_ALL, 10_000, CATCH_ALL, by_user, everything(everybody())),
    ]
    .map(|(name, precedence, level, method, rule)| {
        let mut spec = Map::new();
        spec.insert("matchingPrecedence".into(), json!(precedence));
        spec.insert("priorityLevelConfiguration".into(), json!({"name": level}));
        if let Some(method) = method {
            spec.insert("distinguisherMethod".into(), json!({"type": method}));
        }
        spec.insert("rules".into(), json!([rule]));
        bootstrap("FlowSchema", name, Value::Object(spec))
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{FlowSchema, PriorityLevel};

    #[test]
    fn every_schema_finds_its_level() {
        let levels: Vec<PriorityLevel> =
            priority_levels().iter().map(|level| PriorityLevel::from_json(&level.object).unwrap()).collect();
        assert_eq!(levels.len(), 8);
        let schemas = flow_schemas();
        assert_eq!(schemas.len(), 11);
        for schema in &schemas {
            let schema = FlowSchema::from_json(&schema.object).unwrap();
            let level = &schema.spec.priority_level_configuration.name;
            assert!(levels.iter().any(|l| l.metadata.name == *level), "{level}");
        }
        let mandatory: Vec<&str> = schemas.iter().filter(|s| s.mandatory).map(|s| s.name).collect();
        assert_eq!(mandatory, [EXEMPT, CATCH_ALL]);
    }
}
