use std::sync::LazyLock;

use kuorum_kinds::registry::Registry;
use kuorum_kinds::row::KindRow;
use serde_json::{Value, json};

use super::check::{Excess, Limited, Request, check};
use super::evaluators::Evaluator;
use super::quota::{Quota, Scope};
use crate::admission::Operation;
use crate::admission::amounts::{self, show};

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::builtin().unwrap());

fn row(group: &str, version: &str, plural: &str) -> &'static KindRow {
    &REGISTRY.resource(group, version, plural).unwrap().row
}

fn pods() -> &'static KindRow {
    row("", "v1", "pods")
}

/// What a pod with these requests and limits looks like.
fn pod(requests: Value, limits: Value) -> Value {
    json!({"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {"requests": requests, "limits": limits}}]}})
}

fn usage(row: &KindRow, object: &Value) -> String {
    show(&Evaluator::of(row).unwrap().usage(row, object, 1_000))
}

/// A quota called `q`, in force, with this much used.
fn quota(hard: Value, used: Value) -> Quota {
    Quota { name: "q".to_owned(), scopes: Vec::new(), hard: amounts::read(&hard), used: amounts::read(&used) }
}

fn ask(
    row: &'static KindRow,
    object: &Value,
    old: Option<&Value>,
    quotas: &[Quota],
    limited: &[Limited],
) -> Result<Vec<String>, Excess> {
    let evaluator = Evaluator::of(row).unwrap();
    let request = Request { row, evaluator, subresource: "", object, old, now: 1_000 };
    Ok(check(&request, quotas, limited)?.into_iter().map(|(_, used)| show(&used)).collect())
}

fn forbidden(why: &str) -> Result<Vec<String>, Excess> {
    Err(Excess::Forbidden(why.to_owned()))
}

#[test]
fn objects_use() {
    let claim = row("", "v1", "persistentvolumeclaims");
    let service = row("", "v1", "services");
    let devices = row("resource.k8s.io", "v1", "resourceclaims");
    let rows = [
        (pods(), pod(json!({}), json!({})), "count/pods=1,pods=1"),
        (
            pods(),
            pod(
                json!({"cpu": "500m", "memory": "1Gi", "hugepages-2Mi": "2Mi", "example.com/gpu": "2"}),
                json!({"cpu": "1"}),
            ),
            "count/pods=1,cpu=500m,hugepages-2Mi=2Mi,limits.cpu=1,memory=1Gi,pods=1,requests.cpu=500m,requests.example.com/gpu=2,requests.hugepages-2Mi=2Mi,requests.memory=1Gi",
        ),
        (pods(), json!({"status": {"phase": "Succeeded"}, "spec": {}}), "count/pods=1"),
        // Its time to stop is over, or is not.
        (
            pods(),
            json!({"metadata": {"deletionTimestamp": "1970-01-01T00:15:00Z", "deletionGracePeriodSeconds": 30}, "spec": {}}),
            "count/pods=1",
        ),
        (
            pods(),
            json!({"metadata": {"deletionTimestamp": "1970-01-01T00:16:30Z", "deletionGracePeriodSeconds": 30}, "spec": {}}),
            "count/pods=1,pods=1",
        ),
        (
            service,
            json!({"spec": {"ports": [{}, {}]}}),
            "count/services=1,services=1,services.loadbalancers=0,services.nodeports=0",
        ),
        (
            service,
            json!({"spec": {"type": "NodePort", "ports": [{}, {}]}}),
            "count/services=1,services=1,services.loadbalancers=0,services.nodeports=2",
        ),
        (
            service,
            json!({"spec": {"type": "LoadBalancer", "ports": [{}, {}]}}),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2",
        ),
        (
            service,
            json!({"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{"nodePort": 30000}, {}]}}),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=1",
        ),
        (
            claim,
            json!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}, "status": {"allocatedResources": {"storage": "2Gi"}}}),
            "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/requests.storage=2Gi,persistentvolumeclaims=1,requests.storage=2Gi",
        ),
        (
            claim,
            json!({"spec": {"resources": {"requests": {"storage": "1500m"}}}}),
            "count/persistentvolumeclaims=1,persistentvolumeclaims=1,requests.storage=2",
        ),
        (
            devices,
            json!({"spec": {"devices": {"requests": [
                {"exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}},
                {"exactly": {"deviceClassName": "nic", "allocationMode": "All"}},
                {"firstAvailable": [{"deviceClassName": "gpu", "count": 1}, {"deviceClassName": "gpu", "count": 4}, {"deviceClassName": "tpu", "count": 1}]},
            ]}}}),
            "count/resourceclaims.resource.k8s.io=1,gpu.deviceclass.resource.k8s.io/devices=6,nic.deviceclass.resource.k8s.io/devices=32,tpu.deviceclass.resource.k8s.io/devices=1",
        ),
        (row("", "v1", "configmaps"), json!({}), "configmaps=1,count/configmaps=1"),
        (row("", "v1", "secrets"), json!({}), "count/secrets=1,secrets=1"),
        (row("", "v1", "serviceaccounts"), json!({}), "count/serviceaccounts=1"),
        (row("apps", "v1", "deployments"), json!({}), "count/deployments.apps=1"),
    ];
    for (row, object, expected) in rows {
        assert_eq!(usage(row, &object), expected, "{object}");
    }
    assert_eq!(Evaluator::of(row("", "v1", "events")), None);
}

#[test]
fn requests_that_can_change_what_is_used() {
    use Operation::{Create, Delete, Update};
    let rows = [
        (pods(), Create, "", true),
        (pods(), Update, "", false),
        (pods(), Update, "resize", true),
        (pods(), Update, "ephemeralcontainers", false),
        (pods(), Create, "eviction", false),
        (row("", "v1", "services"), Update, "", true),
        (row("", "v1", "services"), Update, "status", false),
        (row("", "v1", "persistentvolumeclaims"), Update, "status", true),
        (row("", "v1", "configmaps"), Create, "", true),
        (row("", "v1", "configmaps"), Update, "", false),
        (row("", "v1", "configmaps"), Delete, "", false),
        (row("", "v1", "serviceaccounts"), Create, "token", false),
    ];
    for (row, operation, subresource, expected) in rows {
        let handles = Evaluator::of(row).unwrap().handles(operation, subresource);
        assert_eq!(handles, expected, "{} {operation} {subresource}", row.plural);
    }
}

#[test]
fn what_is_used_grows_until_it_is_too_much() {
    let (config_map, hard) = (row("", "v1", "configmaps"), json!({"configmaps": "2", "secrets": "1"}));
    let at = |used: &str| [quota(hard.clone(), json!({"configmaps": used, "secrets": "0"}))];
    assert_eq!(ask(config_map, &json!({}), None, &at("1"), &[]), Ok(vec!["configmaps=2,secrets=0".to_owned()]));
    assert_eq!(
        ask(config_map, &json!({}), None, &at("2"), &[]),
        forbidden("exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2")
    );
    // Nobody's business.
    assert_eq!(ask(row("", "v1", "serviceaccounts"), &json!({}), None, &at("2"), &[]), Ok(vec![]));
    assert_eq!(ask(config_map, &json!({}), None, &[], &[]), Ok(vec![]));
    // Only what exceeds is told, of the first quota that refuses.
    let compute = [quota(
        json!({"requests.cpu": "2", "requests.memory": "1Gi", "pods": "9"}),
        json!({"requests.cpu": "1500m", "requests.memory": "0", "pods": "1"}),
    )];
    let wanted = pod(json!({"cpu": "1", "memory": "2Gi"}), json!({}));
    assert_eq!(
        ask(pods(), &wanted, None, &compute, &[]),
        forbidden(
            "exceeded quota: q, requested: requests.cpu=1,requests.memory=2Gi, used: requests.cpu=1500m,requests.memory=0, limited: requests.cpu=2,requests.memory=1Gi"
        )
    );
    let both = [at("0")[0].clone(), at("2")[0].clone()];
    assert!(ask(config_map, &json!({}), None, &both, &[]).is_err());
}

#[test]
fn a_quota_whose_usage_is_not_known_lets_nothing_pass() {
    let fresh = [quota(json!({"configmaps": "2", "count/configmaps": "3"}), json!({}))];
    assert_eq!(
        ask(row("", "v1", "configmaps"), &json!({}), None, &fresh, &[]),
        forbidden("status unknown for quota: q, resources: configmaps,count/configmaps")
    );
    // Not in force before its controller has seen it.
    assert_eq!(ask(row("", "v1", "configmaps"), &json!({}), None, &[quota(json!({}), json!({}))], &[]), Ok(vec![]));
}

#[test]
fn what_is_counted_must_be_said() {
    let compute = [quota(
        json!({"requests.cpu": "2", "limits.memory": "1Gi", "requests.storage": "1"}),
        json!({"requests.cpu": "0", "limits.memory": "0"}),
    )];
    let mut two = pod(json!({"cpu": "1"}), json!({}));
    two["spec"]["initContainers"] = json!([{"name": "b"}, {"name": "a"}]);
    assert_eq!(
        ask(pods(), &two, None, &compute, &[]),
        forbidden("failed quota: q: must specify limits.memory for: a,b,c; requests.cpu for: a,b")
    );
    // Counting pods, or storage on the node, asks nothing of them.
    let count = [quota(
        json!({"pods": "2", "requests.ephemeral-storage": "1Gi"}),
        json!({"pods": "0", "requests.ephemeral-storage": "0"}),
    )];
    assert_eq!(
        ask(pods(), &pod(json!({}), json!({})), None, &count, &[]),
        Ok(vec!["pods=1,requests.ephemeral-storage=0".to_owned()])
    );
}

#[test]
fn an_update_is_charged_for_what_is_more() {
    let services = row("", "v1", "services");
    let of = |kind: &str, ports: usize| json!({"spec": {"type": kind, "ports": vec![json!({}); ports]}});
    let quotas = [quota(
        json!({"services": "1", "services.nodeports": "3"}),
        json!({"services": "1", "services.nodeports": "2"}),
    )];
    let rows = [
        (of("ClusterIP", 1), of("NodePort", 1), Ok(vec!["services=1,services.nodeports=3".to_owned()])),
        (of("NodePort", 1), of("NodePort", 1), Ok(vec![])),
        (of("NodePort", 2), of("ClusterIP", 2), Ok(vec![])),
        (
            of("ClusterIP", 2),
            of("NodePort", 2),
            forbidden(
                "exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=2, limited: services.nodeports=3",
            ),
        ),
    ];
    for (old, new, expected) in rows {
        assert_eq!(ask(services, &new, Some(&old), &quotas, &[]), expected, "{old} {new}");
    }
}

fn scoped(name: &str, operator: &str, values: &[&str]) -> Scope {
    Scope { name: name.into(), operator: operator.into(), values: values.iter().map(|v| (*v).to_owned()).collect() }
}

#[test]
fn scopes_choose_pods() {
    let plain = pod(json!({}), json!({}));
    let with = |path: &str, value: Value| {
        let mut pod = plain.clone();
        pod["spec"][path] = value;
        pod
    };
    let burstable = pod(json!({"cpu": "1"}), json!({}));
    let term = json!([{"topologyKey": "k", "namespaceSelector": {}}]);
    let reaching =
        with("affinity", json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}));
    let weighted = with(
        "affinity",
        json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": {"namespaces": ["x"]}}]}}),
    );
    let high = with("priorityClassName", json!("high"));
    let rows = [
        (scoped("Terminating", "Exists", &[]), &plain, false),
        (scoped("Terminating", "Exists", &[]), &with("activeDeadlineSeconds", json!(0)), true),
        (scoped("NotTerminating", "Exists", &[]), &plain, true),
        (scoped("BestEffort", "Exists", &[]), &plain, true),
        (scoped("BestEffort", "Exists", &[]), &burstable, false),
        (scoped("NotBestEffort", "Exists", &[]), &burstable, true),
        (scoped("CrossNamespacePodAffinity", "Exists", &[]), &plain, false),
        (scoped("CrossNamespacePodAffinity", "Exists", &[]), &reaching, true),
        (scoped("CrossNamespacePodAffinity", "Exists", &[]), &weighted, true),
        (scoped("PriorityClass", "Exists", &[]), &plain, false),
        (scoped("PriorityClass", "Exists", &[]), &high, true),
        (scoped("PriorityClass", "DoesNotExist", &[]), &plain, true),
        (scoped("PriorityClass", "In", &["low", "high"]), &high, true),
        (scoped("PriorityClass", "In", &["low"]), &high, false),
        (scoped("PriorityClass", "NotIn", &["low"]), &high, true),
        (scoped("PriorityClass", "NotIn", &["low"]), &plain, true),
        (scoped("VolumeAttributesClass", "Exists", &[]), &plain, false),
    ];
    for (scope, pod, expected) in &rows {
        assert_eq!(Evaluator::Pods.covers(scope, pod), *expected, "{scope} {pod}");
    }
    // Every scope of a quota must cover the pod.
    let mut quota = quota(json!({"pods": "0"}), json!({"pods": "0"}));
    quota.scopes = vec![scoped("BestEffort", "Exists", &[]), scoped("PriorityClass", "In", &["high"])];
    assert_eq!(ask(pods(), &plain, None, std::slice::from_ref(&quota), &[]), Ok(vec![]));
    assert!(ask(pods(), &high, None, &[quota], &[]).is_err());
}

#[test]
fn scopes_choose_claims_by_their_attribute_classes() {
    let claim = json!({"spec": {"volumeAttributesClassName": "silver"}, "status": {"currentVolumeAttributesClassName": "gold"}});
    let rows = [
        (scoped("VolumeAttributesClass", "Exists", &[]), true),
        (scoped("VolumeAttributesClass", "In", &["gold"]), true),
        (scoped("VolumeAttributesClass", "In", &["silver"]), true),
        (scoped("VolumeAttributesClass", "In", &["bronze"]), false),
        (scoped("VolumeAttributesClass", "NotIn", &["gold"]), true),
        (scoped("PriorityClass", "Exists", &[]), false),
    ];
    for (scope, expected) in rows {
        assert_eq!(Evaluator::Claims.covers(&scope, &claim), expected, "{scope}");
    }
    // A class that begins to count brings all of the claim with it.
    let claims = row("", "v1", "persistentvolumeclaims");
    let mut quota = quota(json!({"persistentvolumeclaims": "5"}), json!({"persistentvolumeclaims": "1"}));
    quota.scopes = vec![scoped("VolumeAttributesClass", "In", &["gold"])];
    let (without, with) = (json!({"spec": {}}), json!({"spec": {"volumeAttributesClassName": "gold"}}));
    assert_eq!(
        ask(claims, &with, Some(&without), &[quota.clone()], &[]),
        Ok(vec!["persistentvolumeclaims=2".to_owned()])
    );
    assert_eq!(ask(claims, &with, Some(&with), &[quota], &[]), Ok(vec![]));
}

#[test]
fn limited_resources_need_a_quota() {
    let limited: Vec<Limited> = serde_json::from_value(json!([
        {"resource": "pods", "matchScopes": [{"scopeName": "PriorityClass", "operator": "In", "values": ["cluster-services"]}]},
        {"resource": "persistentvolumeclaims", "matchContains": ["requests.storage"]},
    ]))
    .unwrap();
    let claims = row("", "v1", "persistentvolumeclaims");
    let claim = json!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}});
    assert_eq!(
        ask(claims, &claim, None, &[], &limited),
        forbidden("insufficient quota to consume: gold.storageclass.storage.k8s.io/requests.storage,requests.storage")
    );
    let name = "gold.storageclass.storage.k8s.io/requests.storage";
    let covering =
        [quota(json!({"requests.storage": "9Gi", name: "9Gi"}), json!({"requests.storage": "0", name: "0"}))];
    assert!(ask(claims, &claim, None, &covering, &limited).is_ok());
    let mut pod = pod(json!({}), json!({}));
    assert_eq!(ask(pods(), &pod, None, &[], &limited), Ok(vec![]));
    pod["spec"]["priorityClassName"] = json!("cluster-services");
    let why = "insufficient quota to match these scopes: [{PriorityClass In [cluster-services]}]";
    assert_eq!(ask(pods(), &pod, None, &[], &limited), Err(Excess::Plain(why.to_owned())));
    let mut covering = quota(json!({"pods": "5"}), json!({"pods": "0"}));
    covering.scopes = vec![scoped("PriorityClass", "In", &["cluster-services"])];
    assert!(ask(pods(), &pod, None, &[covering], &limited).is_ok());
}
