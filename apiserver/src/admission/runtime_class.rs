//! RuntimeClass: a new pod gets its RuntimeClass's overhead, node selector and tolerations; it can name no class that
//! is not there, and bring no overhead of its own.

use kuorum_kinds::value as json;
use kuorum_schema::quantity::Quantity;
use serde_json::Value;

use super::read::{Name, decide};
use super::tolerations::merge;
use super::{Attributes, Plugin, Verdict};
use crate::app::Call;
use crate::status::ApiError;

pub struct RuntimeClass;

const CLASSES: Name = Name("node.k8s.io", "v1", "runtimeclasses");
const MISMATCH: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.creates("", "Pod") {
            return None;
        }
        let pod = object.filter(|pod| class_name(pod).is_some())?;
        let attributes: &'a Attributes<'_> = attributes;
        decide(attributes.call, move || {
            let class = class_of(attributes.call, pod)?;
            apply(pod, class.as_ref()).map_err(|why| attributes.refusal(pod, why))
        })
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let creates = attributes.creates("", "Pod");
        let concerns = |pod: &&Value| class_name(pod).is_some() || json::get(pod, "spec.overhead").is_object();
        let pod = object.filter(|pod| creates && concerns(pod))?;
        decide(attributes.call, move || {
            let class = class_of(attributes.call, pod)?;
            check(pod, class.as_ref()).map_err(|why| attributes.refusal(pod, why))
        })
    }
}

fn class_name(pod: &Value) -> Option<&str> {
    json::get(pod, "spec.runtimeClassName").as_str()
}

/// The class that the pod names, if it is there.
fn class_of(call: &Call<'_>, pod: &Value) -> Result<Option<Value>, ApiError> {
    class_name(pod).map_or(Ok(None), |name| CLASSES.get(call, name))
}

/// Gives the pod what its class (`None`: there is none of that name) says.
fn apply(pod: &mut Value, class: Option<&Value>) -> Result<(), String> {
    let class = class.ok_or_else(|| not_found(pod))?;
    let overhead = json::get(class, "overhead.podFixed");
    let has_overhead = json::get(class, "overhead").is_object();
    let own = json::get(pod, "spec.overhead");
    if has_overhead && own.is_object() && !same_amounts(overhead, own) {
        return Err(MISMATCH.to_owned());
    }
    let selector = json::get(class, "scheduling.nodeSelector");
    for (key, value) in json::entries(class, "scheduling.nodeSelector") {
        if let Some(own) = json::get(pod, "spec.nodeSelector").get(key).filter(|own| *own != value) {
            let (value, own) = (value.as_str().unwrap_or_default(), own.as_str().unwrap_or_default());
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
            ));
        }
    }
    // Nothing is refused from here on.
    let Some(spec) = json::child(pod, "spec") else { return Ok(()) };
    if has_overhead && overhead.is_object() {
        json::set(spec, "overhead", overhead.clone());
    }
    if let Some(selector) = selector.as_object().filter(|s| !s.is_empty())
        && let Some(own) = json::child(spec, "nodeSelector")
    {
        for (key, value) in selector {
            json::set(own, key, value.clone());
        }
    }
    let tolerations = json::items(class, "scheduling.tolerations");
    if json::get(class, "scheduling").is_object() {
        let merged = merge(json::items(spec, "tolerations"), tolerations);
        if !merged.is_empty() {
            json::set(spec, "tolerations", merged);
        }
    }
    Ok(())
}

/// Whether the finished pod has the overhead of its class, and none without.
fn check(pod: &Value, class: Option<&Value>) -> Result<(), String> {
    if class.is_none() && class_name(pod).is_some() {
        return Err(not_found(pod));
    }
    let own = json::get(pod, "spec.overhead");
    match class.map(|c| json::get(c, "overhead")).filter(|o| o.is_object()) {
        Some(overhead) if !same_amounts(json::get(overhead, "podFixed"), own) => Err(MISMATCH.to_owned()),
        None if own.is_object() => {
            Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".to_owned())
        }
        _ => Ok(()),
    }
}

fn not_found(pod: &Value) -> String {
    format!("pod rejected: RuntimeClass {:?} not found", class_name(pod).unwrap_or_default())
}

/// Whether two resource lists name the same resources in the same amounts, however they are written.
fn same_amounts(a: &Value, b: &Value) -> bool {
    let amount = |v: &Value| v.as_str().and_then(|text| text.parse::<Quantity>().ok());
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else {
        return a.as_object().or(b.as_object()).is_none_or(|list| list.is_empty());
    };
    a.len() == b.len()
        && a.iter()
            .all(|(key, a)| b.get(key).is_some_and(|b| a == b || (amount(a).is_some() && amount(a) == amount(b))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_class_is_applied() {
        let class = json!({
            "overhead": {"podFixed": {"cpu": "100m"}},
            "scheduling": {"nodeSelector": {"k": "v"}, "tolerations": [{"key": "t", "operator": "Exists"}]},
        });
        let rows = [
            (
                json!({}),
                json!({"overhead": {"cpu": "100m"}, "nodeSelector": {"k": "v"}, "tolerations": [{"key": "t", "operator": "Exists"}]}),
            ),
            (
                json!({"overhead": {"cpu": "0.1"}, "nodeSelector": {"k": "v", "a": "b"}, "tolerations": [{"key": "o"}]}),
                json!({
                    "overhead": {"cpu": "100m"}, "nodeSelector": {"k": "v", "a": "b"},
                    "tolerations": [{"key": "o"}, {"key": "t", "operator": "Exists"}],
                }),
            ),
        ];
        for (mut spec, mut expected) in rows {
            spec["runtimeClassName"] = json!("c");
            expected["runtimeClassName"] = json!("c");
            let mut pod = json!({ "spec": spec });
            apply(&mut pod, Some(&class)).unwrap();
            check(&pod, Some(&class)).unwrap();
            assert_eq!(pod["spec"], expected);
        }
    }

    #[test]
    fn conflicts_are_refused_and_change_nothing() {
        let overhead = json!({"overhead": {"podFixed": {"cpu": "100m"}}});
        let selector =
            json!({"overhead": {"podFixed": {"cpu": "1"}}, "scheduling": {"nodeSelector": {"a": "b", "k": "v"}}});
        let rows = [
            (json!({"runtimeClassName": "c"}), None, "pod rejected: RuntimeClass \"c\" not found"),
            (json!({"overhead": {"cpu": "2"}}), Some(&overhead), MISMATCH),
            (json!({"overhead": {}}), Some(&overhead), MISMATCH),
            (
                json!({"nodeSelector": {"k": "w"}}),
                Some(&selector),
                "conflict: runtimeClass.scheduling.nodeSelector[k] = v; pod.spec.nodeSelector[k] = w",
            ),
        ];
        for (spec, class, why) in rows {
            let mut pod = json!({ "spec": spec });
            let before = pod.clone();
            assert_eq!(apply(&mut pod, class).unwrap_err(), why);
            assert_eq!(pod, before);
        }
    }

    #[test]
    fn overhead_needs_a_class_that_has_it() {
        let without = json!({"handler": "h"});
        let with = json!({"overhead": {"podFixed": {"cpu": "1"}}});
        let alien = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
        let rows = [
            (json!({}), None, None),
            (json!({"overhead": {"cpu": "1"}}), None, Some(alien)),
            (json!({"overhead": {"cpu": "1"}, "runtimeClassName": "c"}), Some(&without), Some(alien)),
            (json!({"overhead": {"cpu": "1000m"}, "runtimeClassName": "c"}), Some(&with), None),
            (json!({"runtimeClassName": "c"}), Some(&with), Some(MISMATCH)),
            (json!({"runtimeClassName": "c"}), Some(&without), None),
        ];
        for (spec, class, expected) in rows {
            assert_eq!(check(&json!({ "spec": spec }), class).err().as_deref(), expected, "{spec}");
        }
    }
}
