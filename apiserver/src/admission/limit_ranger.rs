//! LimitRanger: containers that say nothing get the defaults of the namespace's LimitRanges; pods, containers and
//! claims stay within their bounds.

use kuorum_kinds::value as json;
use kuorum_schema::quantity::Quantity;
use serde_json::Value;

use super::amounts::{self, Amounts};
use super::read::{Name, decide};
use super::{Attributes, Operation, Plugin, Verdict, aggregate, refuse};

pub struct LimitRanger;

const RANGES: Name = Name("", "v1", "limitranges");
/// Where a pod says what was set here.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";
/// The largest number that can be compared in thousandths.
const MILLI_VALUE_MAX: i64 = i64::MAX / 1000;

impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.is("", "Pod") || !is_limited(attributes, old) {
            return None;
        }
        let pod = object?;
        match RANGES.in_namespace::<Value>(attributes.call, attributes.namespace) {
            Ok(ranges) => {
                ranges.iter().for_each(|range| set_defaults(pod, range));
                None
            }
            Err(error) => Some(refuse(error)),
        }
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !is_limited(attributes, old) {
            return None;
        }
        let object = object?;
        let is_pod = attributes.is("", "Pod");
        decide(attributes.call, move || {
            for range in RANGES.in_namespace::<Value>(attributes.call, attributes.namespace)? {
                let complaints = if is_pod { check_pod(object, &range) } else { check_claim(object, &range) };
                if !complaints.is_empty() {
                    return Err(attributes.forbidden(aggregate(&complaints)));
                }
            }
            Ok(())
        })
    }
}

/// Pods when they are made and resized, claims also when they change. What is on its way out is left alone.
fn is_limited(attributes: &Attributes<'_>, old: Option<&Value>) -> bool {
    if old.is_some_and(|old| json::is_set(old, "metadata.deletionTimestamp")) {
        return false;
    }
    let resizes = attributes.operation == Operation::Update && attributes.subresource == "resize";
    attributes.creates("", "Pod")
        || (attributes.is("", "Pod") && resizes)
        || attributes.does(&[Operation::Create, Operation::Update], "", "PersistentVolumeClaim")
}

/// The limits of one type (`Container`, `Pod`, `PersistentVolumeClaim`) in a LimitRange.
fn limits<'a>(range: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    json::items(range, "spec.limits").iter().filter(move |limit| json::text(limit, "type") == kind)
}

/// Gives containers what the range has as default, and notes what was given.
fn set_defaults(pod: &mut Value, range: &Value) {
    let (mut requests, mut maxima) = (Amounts::new(), Amounts::new());
    for limit in limits(range, "Container") {
        requests.extend(amounts::read(json::get(limit, "defaultRequest")));
        maxima.extend(amounts::read(json::get(limit, "default")));
    }
    if requests.is_empty() && maxima.is_empty() {
        return;
    }
    let mut notes = Vec::new();
    let Some(spec) = json::existing(pod, "spec") else { return };
    for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
        for container in json::items_mut(spec, list) {
            let name = json::text(container, "name").to_owned();
            let Some(resources) = json::child(container, "resources") else { continue };
            // Limits are filled first, but told last.
            let limits = fill(resources, "limits", &maxima);
            for (set, kind) in [(fill(resources, "requests", &requests), "request"), (limits, "limit")] {
                if !set.is_empty() {
                    notes.push(format!("{} {kind} for {what} {name}", set.join(", ")));
                }
            }
        }
    }
    if notes.is_empty() {
        return;
    }
    if let Some(annotations) = json::child(pod, "metadata").and_then(|m| json::child(m, "annotations")) {
        json::set(annotations, ANNOTATION, format!("LimitRanger plugin set: {}", notes.join("; ")));
    }
}

/// Adds the amounts that a list lacks; returns their names.
fn fill<'a>(resources: &mut Value, list: &str, defaults: &'a Amounts) -> Vec<&'a str> {
    let has = |name: &str| json::get(resources, list).get(name).is_some_and(|v| !v.is_null());
    let missing: Vec<(&str, Quantity)> =
        defaults.iter().filter(|(name, _)| !has(name)).map(|(name, amount)| (name.as_str(), *amount)).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    if let Some(amounts) = json::child(resources, list) {
        for (name, amount) in &missing {
            json::set(amounts, name, amount.canonical());
        }
    }
    missing.into_iter().map(|(name, _)| name).collect()
}

fn check_pod(pod: &Value, range: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    for limit in json::items(range, "spec.limits") {
        match json::text(limit, "type") {
            kind @ "Container" => {
                for list in ["containers", "initContainers"] {
                    for container in json::items(json::get(pod, "spec"), list) {
                        let amounts = |which| amounts::read(json::get(json::get(container, "resources"), which));
                        check(limit, kind, &amounts("requests"), &amounts("limits"), &mut complaints);
                    }
                }
            }
            kind @ "Pod" => {
                let amounts = |which| amounts::of_pod(pod, which);
                check(limit, kind, &amounts("requests"), &amounts("limits"), &mut complaints);
            }
            _ => {}
        }
    }
    complaints
}

fn check(limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts, complaints: &mut Vec<String>) {
    let bounds = |which| amounts::read(json::get(limit, which));
    for (name, bound) in bounds("min") {
        complaints.extend(minimum(kind, &name, bound, requests.get(&name), limits.get(&name)));
    }
    for (name, bound) in bounds("max") {
        complaints.extend(maximum(kind, &name, bound, requests.get(&name), limits.get(&name)));
    }
    for (name, bound) in bounds("maxLimitRequestRatio") {
        complaints.extend(ratio(kind, &name, bound, requests.get(&name), limits.get(&name)));
    }
}

/// A claim has no limits: its request is held against both bounds.
fn check_claim(claim: &Value, range: &Value) -> Vec<String> {
    const KIND: &str = "PersistentVolumeClaim";
    let requests = amounts::read(json::get(claim, "spec.resources.requests"));
    let mut complaints = Vec::new();
    for limit in limits(range, KIND) {
        for (name, bound) in amounts::read(json::get(limit, "min")) {
            complaints.extend(minimum(KIND, &name, bound, requests.get(&name), None));
        }
        for (name, bound) in amounts::read(json::get(limit, "max")) {
            let what = format!("maximum {name} usage per {KIND} is {}", bound.canonical());
            match requests.get(&name) {
                None => complaints.push(format!("{what}.  No request is specified")),
                Some(request) if *request > bound => {
                    complaints.push(format!("{what}, but request is {}", request.canonical()));
                }
                Some(_) => {}
            }
        }
    }
    complaints
}

fn minimum(
    kind: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let what = format!("minimum {name} usage per {kind} is {}", bound.canonical());
    match (request, limit) {
        (None, _) => Some(format!("{what}.  No request is specified")),
        (Some(request), _) if *request < bound => Some(format!("{what}, but request is {}", request.canonical())),
        (_, Some(limit)) if *limit < bound => Some(format!("{what}, but limit is {}", limit.canonical())),
        _ => None,
    }
}

fn maximum(
    kind: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let what = format!("maximum {name} usage per {kind} is {}", bound.canonical());
    match (request, limit) {
        (_, None) => Some(format!("{what}.  No limit is specified")),
        (_, Some(limit)) if *limit > bound => Some(format!("{what}, but limit is {}", limit.canonical())),
        (Some(request), _) if *request > bound => Some(format!("{what}, but request is {}", request.canonical())),
        _ => None,
    }
}

fn ratio(
    kind: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let what = format!("{name} max limit to request ratio per {kind} is {}", bound.canonical());
    let Some(request) = request.filter(|r| !r.is_zero()) else {
        return Some(format!("{what}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(|l| !l.is_zero()) else {
        return Some(format!("{what}, but no limit is specified or limit is 0"));
    };
    let fine = request.value().max(limit.value()) <= MILLI_VALUE_MAX;
    let number = |q: &Quantity| if fine { q.milli_value() as f64 } else { q.value() as f64 };
    let observed = number(limit) / number(request);
    let (compared, most) = if bound.value() <= MILLI_VALUE_MAX {
        (observed * 1000.0, bound.milli_value() as f64)
    } else {
        (observed, bound.value() as f64)
    };
    (compared > most).then(|| format!("{what}, but provided ratio is {observed:.6}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn range(limits: Value) -> Value {
        json!({"spec": {"limits": limits}})
    }

    fn pod(resources: Value) -> Value {
        json!({"metadata": {}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
    }

    #[test]
    fn defaults_are_set_and_noted() {
        let range = range(json!([
            {"type": "Container", "default": {"cpu": "500m", "memory": "1Gi"}, "defaultRequest": {"cpu": "200m"}},
            {"type": "Pod", "default": {"cpu": "9"}},
        ]));
        let mut bare = json!({"metadata": {}, "spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}}]}});
        set_defaults(&mut bare, &range);
        assert_eq!(
            bare["spec"]["containers"][0]["resources"],
            json!({"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "200m"}})
        );
        assert_eq!(bare["spec"]["initContainers"][0]["resources"]["limits"], json!({"cpu": "1", "memory": "1Gi"}));
        assert_eq!(
            bare["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: cpu request for container c; cpu, memory limit for container c; memory limit for init container i"
        );
        let mut full = pod(json!({"limits": {"cpu": "1", "memory": "1"}, "requests": {"cpu": "1"}}));
        let before = full.clone();
        set_defaults(&mut full, &range);
        assert_eq!(full, before);
    }

    #[test]
    fn bounds_hold() {
        let bounds = json!({"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "4"}});
        let rows: [(Value, &[&str]); 8] = [
            (json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}), &[]),
            (
                json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "200m"}}),
                &["minimum cpu usage per Container is 100m, but request is 50m"],
            ),
            (
                json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "50m"}}),
                &["minimum cpu usage per Container is 100m, but limit is 50m"],
            ),
            (
                json!({"requests": {"cpu": "1"}, "limits": {"cpu": "3"}}),
                &["maximum cpu usage per Container is 2, but limit is 3"],
            ),
            (
                json!({"requests": {"cpu": "3"}, "limits": {"cpu": "2"}}),
                &["maximum cpu usage per Container is 2, but request is 3"],
            ),
            (
                json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}),
                &["cpu max limit to request ratio per Container is 4, but provided ratio is 10.000000"],
            ),
            (
                json!({"requests": {"cpu": "300m"}, "limits": {"cpu": "1250m"}}),
                &["cpu max limit to request ratio per Container is 4, but provided ratio is 4.166667"],
            ),
            (
                json!({}),
                &[
                    "minimum cpu usage per Container is 100m.  No request is specified",
                    "maximum cpu usage per Container is 2.  No limit is specified",
                    "cpu max limit to request ratio per Container is 4, but no request is specified or request is 0",
                ],
            ),
        ];
        for (resources, expected) in rows {
            assert_eq!(check_pod(&pod(resources.clone()), &range(json!([bounds]))), expected, "{resources}");
        }
    }

    #[test]
    fn a_pod_is_the_sum_of_its_containers() {
        let cpu = |amount: &str| json!({"limits": {"cpu": amount}});
        let range = range(json!([{"type": "Pod", "max": {"cpu": "3"}}]));
        let two = json!({"spec": {"containers": [{"resources": cpu("2")}, {"resources": cpu("2")}]}});
        assert_eq!(check_pod(&two, &range), ["maximum cpu usage per Pod is 3, but limit is 4"]);
        let in_turn =
            json!({"spec": {"containers": [{"resources": cpu("2")}], "initContainers": [{"resources": cpu("2")}]}});
        assert!(check_pod(&in_turn, &range).is_empty());
        let whole = json!({"spec": {"resources": cpu("4"), "containers": [{"resources": cpu("1")}]}});
        assert_eq!(check_pod(&whole, &range), ["maximum cpu usage per Pod is 3, but limit is 4"]);
    }

    #[test]
    fn claims_are_bounded_by_their_request() {
        let range =
            range(json!([{"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}}]));
        let claim = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
        assert!(check_claim(&claim("2Gi"), &range).is_empty());
        assert_eq!(
            check_claim(&claim("1Mi"), &range),
            ["minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"]
        );
        assert_eq!(
            check_claim(&claim("6Gi"), &range),
            ["maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi"]
        );
    }
}
