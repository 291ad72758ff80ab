//! The arithmetic of requests and limits: rounding, sums over containers, quality of service.

use std::collections::BTreeMap;

use kuorum_schema::quantity::Quantity;
use serde_json::Value;

use super::defaults::CONTAINER_LISTS;
use crate::value::{child, entries, get, items, items_mut, set, text};

/// A quantity in an object; unparsable ones (refused by the decoder) count as none.
pub fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}

/// Rounds the quantities of a resource list up to thousandths, which is the finest that Kubernetes keeps.
pub fn round_up(list: Option<&mut Value>) {
    let Some(map) = list.and_then(Value::as_object_mut) else { return };
    for value in map.values_mut() {
        // Only these notations can hold less than a thousandth; the common ones are left alone.
        let fine = value.as_str().is_some_and(|t| t.bytes().any(|b| matches!(b, b'.' | b'n' | b'u' | b'e' | b'E')));
        if fine && let Some(parsed) = quantity(value) {
            let rounded = parsed.round_up(-3);
            if rounded != parsed {
                *value = rounded.canonical().into();
            }
        }
    }
}

/// Requests that are not given are what the limits are, in each container of a Pod (not in templates).
pub fn requests_from_limits(spec: &mut Value) {
    for list in ["containers", "initContainers"] {
        for container in items_mut(spec, list) {
            let Some(resources) = container.get_mut("resources") else { continue };
            fill_requests(resources, |_| true);
        }
    }
}

fn fill_requests(resources: &mut Value, wanted: impl Fn(&str) -> bool) {
    let missing: Vec<(String, Value)> = entries(resources, "limits")
        .filter(|(name, _)| wanted(name) && get(resources, "requests").get(name).is_none())
        .map(|(name, limit)| (name.to_owned(), limit.clone()))
        .collect();
    if missing.is_empty() {
        return;
    }
    if let Some(requests) = child(resources, "requests") {
        for (name, limit) in missing {
            set(requests, &name, limit);
        }
    }
}

/// Pod-level requests that are not given come from the containers, else from the pod-level limits.
pub fn pod_level_requests(spec: &mut Value) {
    if !spec.get("resources").is_some_and(Value::is_object) {
        return;
    }
    let from_containers = aggregate(spec, "requests");
    let Some(resources) = child(spec, "resources") else { return };
    for (name, total) in from_containers {
        if is_pod_level(&name)
            && !name.starts_with("hugepages-")
            && get(resources, "requests").get(&name).is_none()
            && let Some(requests) = child(resources, "requests")
        {
            set(requests, &name, total.canonical());
        }
    }
    fill_requests(resources, is_pod_level);
}

/// Resources that may be given for a whole pod.
pub fn is_pod_level(name: &str) -> bool {
    name == "cpu" || name == "memory" || name.starts_with("hugepages-")
}

/// What all containers together need: the sum of those that run side by side, or the largest init container with
/// the sidecars started before it, whichever is more.
pub fn aggregate(spec: &Value, which: &str) -> BTreeMap<String, Quantity> {
    let mut total: BTreeMap<String, Quantity> = BTreeMap::new();
    for container in items(spec, "containers") {
        add(&mut total, get(get(container, "resources"), which));
    }
    let mut sidecars: BTreeMap<String, Quantity> = BTreeMap::new();
    let mut largest: BTreeMap<String, Quantity> = BTreeMap::new();
    for container in items(spec, "initContainers") {
        let own = get(get(container, "resources"), which);
        if text(container, "restartPolicy") == "Always" {
            add(&mut total, own);
            add(&mut sidecars, own);
            raise(&mut largest, &sidecars);
        } else {
            let mut with_sidecars = sidecars.clone();
            add(&mut with_sidecars, own);
            raise(&mut largest, &with_sidecars);
        }
    }
    raise(&mut total, &largest);
    total
}

fn add(total: &mut BTreeMap<String, Quantity>, list: &Value) {
    for (name, value) in list.as_object().into_iter().flatten() {
        let Some(parsed) = quantity(value) else { continue };
        match total.remove(name) {
            Some(sum) => total.insert(name.clone(), sum + parsed),
            None => total.insert(name.clone(), parsed),
        };
    }
}

fn raise(total: &mut BTreeMap<String, Quantity>, floor: &BTreeMap<String, Quantity>) {
    for (name, value) in floor {
        match total.get(name) {
            Some(have) if have >= value => {}
            _ => {
                total.insert(name.clone(), *value);
            }
        }
    }
}

/// The quality of service class of a pod: `Guaranteed`, `Burstable` or `BestEffort`.
pub fn qos_class(pod: &Value) -> &'static str {
    let spec = get(pod, "spec");
    if spec.get("resources").is_some_and(Value::is_object) {
        return pod_level_qos(get(spec, "resources"));
    }
    let mut any = false;
    let mut guaranteed = true;
    for list in &CONTAINER_LISTS[..2] {
        for container in items(spec, list) {
            let resources = get(container, "resources");
            for name in ["cpu", "memory"] {
                let request = positive(get(resources, "requests").get(name));
                let limit = positive(get(resources, "limits").get(name));
                any |= request.is_some() || limit.is_some();
                guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
            }
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn pod_level_qos(resources: &Value) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    for name in ["cpu", "memory"] {
        let request = positive(get(resources, "requests").get(name));
        let limit = positive(get(resources, "limits").get(name));
        any |= request.is_some() || limit.is_some();
        guaranteed &= limit.is_some() && request == limit;
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn positive(value: Option<&Value>) -> Option<Quantity> {
    quantity(value?).filter(|q| q.sign() > 0)
}
