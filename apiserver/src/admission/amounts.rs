//! Amounts by the name of their resource, as `resources`, quotas and limits have them.

use std::collections::BTreeMap;

use kuorum_kinds::pod_template::resources::{aggregate, is_pod_level, quantity};
use kuorum_kinds::value as json;
use kuorum_schema::quantity::Quantity;
use serde_json::{Map, Value};

/// `cpu` to `500m`, and so on, sorted by name.
pub type Amounts = BTreeMap<String, Quantity>;

/// Reads a resource list. What is no quantity was refused by the decoder.
pub fn read(list: &Value) -> Amounts {
    let entries = list.as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), quantity(value)?))).collect()
}

/// As an object carries it.
pub fn write(amounts: &Amounts) -> Value {
    amounts.iter().map(|(name, amount)| (name.clone(), Value::from(amount.canonical()))).collect::<Map<_, _>>().into()
}

/// `cpu=1,memory=2Gi`
pub fn show(amounts: &Amounts) -> String {
    amounts.iter().map(|(name, amount)| format!("{name}={}", amount.canonical())).collect::<Vec<_>>().join(",")
}

pub fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total.get(name).map_or(*amount, |have| *have + *amount);
        total.insert(name.clone(), sum);
    }
}

/// What `a` has more than `b`, nothing below zero.
pub fn beyond(a: &Amounts, b: &Amounts) -> Amounts {
    let more = |(name, amount): (&String, &Quantity)| {
        let rest = b.get(name).map_or(*amount, |less| *amount - *less);
        (rest.sign() > 0).then(|| (name.clone(), rest))
    };
    a.iter().filter_map(more).collect()
}

/// Only those that `keep` says yes to.
pub fn only(amounts: &Amounts, keep: impl Fn(&str) -> bool) -> Amounts {
    amounts.iter().filter(|(name, _)| keep(name)).map(|(name, amount)| (name.clone(), *amount)).collect()
}

/// What a pod asks for (`requests`) or may take (`limits`): its containers together, or what it says for itself as a
/// whole, and what its runtime adds. While a pod is resized, the larger of what it has and what it is to have counts.
pub fn of_pod(pod: &Value, which: &str) -> Amounts {
    let resized = with_status(pod, which);
    let spec = resized.as_ref().unwrap_or(json::get(pod, "spec"));
    let mut total = aggregate(spec, which);
    for (name, amount) in read(json::get(json::get(spec, "resources"), which)) {
        if is_pod_level(&name) {
            total.insert(name, amount);
        }
    }
    for (name, amount) in read(json::get(spec, "overhead")) {
        let have = total.get(&name).copied();
        // A limit that is not there does not appear because the runtime takes something.
        if which == "requests" || have.is_some_and(|have| !have.is_zero()) {
            total.insert(name, have.map_or(amount, |have| have + amount));
        }
    }
    total
}

/// The spec in which each container has the larger of its own amounts and those that its node reports; `None`: none
/// are reported.
fn with_status(pod: &Value, which: &str) -> Option<Value> {
    const LISTS: [(&str, &str); 2] =
        [("containers", "status.containerStatuses"), ("initContainers", "status.initContainerStatuses")];
    let reported = |statuses: &[Value], name: &str| {
        let status = statuses.iter().find(|status| json::text(status, "name") == name)?;
        let mut amounts = read(json::get(json::get(status, "resources"), which));
        if which == "requests" {
            raise(&mut amounts, &read(json::get(status, "allocatedResources")));
        }
        (!amounts.is_empty()).then_some(amounts)
    };
    let any = LISTS.iter().any(|(_, statuses)| {
        let has = |s: &Value| json::is_set(s, "resources") || json::is_set(s, "allocatedResources");
        json::items(pod, statuses).iter().any(has)
    });
    if !any {
        return None;
    }
    let mut spec = json::get(pod, "spec").clone();
    for (list, statuses) in LISTS {
        let statuses = json::items(pod, statuses);
        for container in json::items_mut(&mut spec, list) {
            let Some(floor) = reported(statuses, json::text(container, "name")) else { continue };
            let mut amounts = read(json::get(json::get(container, "resources"), which));
            raise(&mut amounts, &floor);
            if let Some(resources) = json::child(container, "resources") {
                json::set(resources, which, write(&amounts));
            }
        }
    }
    Some(spec)
}

fn raise(amounts: &mut Amounts, floor: &Amounts) {
    for (name, least) in floor {
        if amounts.get(name).is_none_or(|have| have < least) {
            amounts.insert(name.clone(), *least);
        }
    }
}

/// Whether it is a resource that Kubernetes knows itself.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether nodes offer it under a name of their own: `example.com/gpu`.
pub fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && kuorum_schema::names::qualified_name(&format!("requests.{name}")).is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_are_summed() {
        let container =
            |cpu: &str| json!({"name": "c", "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}});
        let sidecar =
            |cpu: &str| json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
        let rows = [
            (json!({"containers": [container("1"), container("500m")]}), "cpu=1500m"),
            (json!({"containers": [container("1")], "initContainers": [container("3")]}), "cpu=3"),
            (json!({"containers": [container("1")], "initContainers": [sidecar("1"), container("500m")]}), "cpu=2"),
            (json!({"containers": [container("1")], "resources": {"requests": {"cpu": "4", "x.y/z": "1"}}}), "cpu=4"),
            (
                json!({"containers": [container("1")], "overhead": {"cpu": "100m", "memory": "1Mi"}}),
                "cpu=1100m,memory=1Mi",
            ),
        ];
        for (spec, expected) in rows {
            assert_eq!(show(&of_pod(&json!({"spec": spec}), "requests")), expected, "{spec}");
        }
        let pod = json!({"spec": {"containers": [container("1")], "overhead": {"cpu": "100m", "memory": "1Mi"}}});
        assert_eq!(show(&of_pod(&pod, "limits")), "cpu=1100m");
    }

    #[test]
    fn a_resize_counts_the_larger_amount() {
        let pod = |status: Value| {
            json!({
                "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}}]},
                "status": {"containerStatuses": [status]},
            })
        };
        let rows = [
            (json!({"name": "c"}), "cpu=1", "cpu=2"),
            (json!({"name": "c", "resources": {"requests": {"cpu": "3"}, "limits": {"cpu": "4"}}}), "cpu=3", "cpu=4"),
            (
                json!({"name": "c", "allocatedResources": {"cpu": "2"}, "resources": {"requests": {"cpu": "500m"}}}),
                "cpu=2",
                "cpu=2",
            ),
            (json!({"name": "other", "allocatedResources": {"cpu": "2"}}), "cpu=1", "cpu=2"),
        ];
        for (status, requests, limits) in rows {
            let pod = pod(status);
            assert_eq!(
                (show(&of_pod(&pod, "requests")), show(&of_pod(&pod, "limits"))),
                (requests.into(), limits.into())
            );
        }
    }

    #[test]
    fn arithmetic() {
        let amounts = |list: Value| read(&list);
        let mut total = amounts(json!({"cpu": "0", "pods": "1"}));
        add(&mut total, &amounts(json!({"cpu": "1500m", "memory": "1Gi"})));
        assert_eq!(show(&total), "cpu=1500m,memory=1Gi,pods=1");
        let more = beyond(&amounts(json!({"a": "3", "b": "1", "c": "1"})), &amounts(json!({"a": "1", "b": "2"})));
        assert_eq!(show(&more), "a=2,c=1");
        assert_eq!(write(&only(&total, |name| name == "cpu")), json!({"cpu": "1500m"}));
    }

    #[test]
    fn extended_resources_have_a_domain() {
        for (name, expected) in [
            ("cpu", false),
            ("example.com/gpu", true),
            ("kubernetes.io/x", false),
            ("requests.example.com/gpu", false),
            ("hugepages-2Mi", false),
            ("bad name/x", false),
        ] {
            assert_eq!(is_extended(name), expected, "{name}");
        }
    }
}
