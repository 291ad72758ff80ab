//! Priority: a pod's priority and preemption policy come from its PriorityClass, or from the one that is the default;
//! there is one default, and the system's own classes stay.

use kuorum_kinds::value as json;
use serde::Deserialize;
use serde_json::Value;

use super::read::{Metadata, Name, decide, null_as_default};
use super::{Attributes, Operation, Plugin, Verdict, refuse};
use crate::app::Call;
use crate::status::ApiError;
use crate::verbs::store;

pub struct Priority;

const CLASSES: Name = Name("scheduling.k8s.io", "v1", "priorityclasses");
/// What the JSON of the default class contains.
const DEFAULT_MARK: &str = "\"globalDefault\":true";

/// Where no class is the default.
const DEFAULT_PRIORITY: i64 = 0;
const DEFAULT_POLICY: &str = "PreemptLowerPriority";

/// Classes that cannot be deleted.
const SYSTEM_CLASSES: [&str; 2] = ["system-node-critical", "system-cluster-critical"];

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PriorityClass {
    metadata: Metadata,
    #[serde(deserialize_with = "null_as_default")]
    value: i64,
    #[serde(deserialize_with = "null_as_default")]
    global_default: bool,
    preemption_policy: Option<String>,
}

impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.is("", "Pod") || !attributes.subresource.is_empty() {
            return None;
        }
        let pod = object?;
        match attributes.operation {
            Operation::Create => {
                let attributes: &'a Attributes<'_> = attributes;
                decide(attributes.call, move || {
                    let class = class_of(attributes.call, pod)?;
                    resolve(pod, class).map_err(|why| attributes.refusal(pod, why))
                })
            }
            Operation::Update => {
                keep(pod, old?);
                None
            }
            Operation::Delete | Operation::Connect => None,
        }
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.is("scheduling.k8s.io", "PriorityClass") {
            return None;
        }
        if attributes.operation == Operation::Delete {
            let why = "this is a system priority class and cannot be deleted";
            return SYSTEM_CLASSES.contains(&attributes.name).then(|| refuse(attributes.forbidden(why)));
        }
        let class = object?;
        if !json::flag(class, "globalDefault") {
            return None;
        }
        // Defaults are rare and must not become two: always with what is true now.
        Some(Box::pin(async move {
            store::fence(attributes.call.app, attributes.call.deadline).await?;
            let creates = attributes.operation == Operation::Create;
            match default_class(attributes.call)? {
                Some(other) if creates || other.metadata.name != json::text(class, "metadata.name") => {
                    let name = other.metadata.name;
                    let why = format!("PriorityClass {name} is already marked as default. Only one default can exist");
                    Err(attributes.refusal(class, why))
                }
                _ => Ok(()),
            }
        }))
    }
}

/// What decides over a new pod.
#[derive(Clone, Debug)]
enum Chosen {
    Named(PriorityClass),
    Absent,
    Default(Option<PriorityClass>),
}

fn class_of(call: &Call<'_>, pod: &Value) -> Result<Chosen, ApiError> {
    Ok(match json::text(pod, "spec.priorityClassName") {
        "" => Chosen::Default(default_class(call)?),
        name => CLASSES.get(call, name)?.map_or(Chosen::Absent, Chosen::Named),
    })
}

fn default_class(call: &Call<'_>) -> Result<Option<PriorityClass>, ApiError> {
    Ok(lowest_default(CLASSES.marked(call, DEFAULT_MARK)?))
}

/// Of several defaults, which two writers at once can bring about, the lowest counts.
fn lowest_default(classes: Vec<PriorityClass>) -> Option<PriorityClass> {
    classes.into_iter().filter(|c| c.global_default).min_by_key(|c| c.value)
}

/// Sets a new pod's priority and preemption policy, or says why the pod may not have those it asks for.
fn resolve(pod: &mut Value, chosen: Chosen) -> Result<(), String> {
    let (default_name, priority, policy) = match chosen {
        Chosen::Absent => {
            let name = json::text(pod, "spec.priorityClassName");
            return Err(format!("no PriorityClass with name {name} was found"));
        }
        Chosen::Named(class) => (None, class.value, class.preemption_policy),
        Chosen::Default(Some(class)) => (Some(class.metadata.name), class.value, class.preemption_policy),
        Chosen::Default(None) => (None, DEFAULT_PRIORITY, Some(DEFAULT_POLICY.to_owned())),
    };
    if let Some(given) = json::int(pod, "spec.priority").filter(|given| *given != priority) {
        return Err(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        ));
    }
    if let (Some(policy), Some(given)) = (&policy, json::get(pod, "spec.preemptionPolicy").as_str())
        && policy != given
    {
        return Err(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        ));
    }
    if let Some(spec) = json::child(pod, "spec") {
        if let Some(name) = default_name {
            json::set(spec, "priorityClassName", name);
        }
        json::set(spec, "priority", priority);
        if let Some(policy) = policy {
            json::set(spec, "preemptionPolicy", policy);
        }
    }
    Ok(())
}

/// A change that leaves out what was resolved at creation does not change it.
fn keep(pod: &mut Value, old: &Value) {
    let Some(spec) = json::existing(pod, "spec") else { return };
    for key in ["priority", "preemptionPolicy"] {
        if json::get(spec, key).is_null() {
            json::carry_over(spec, json::get(old, "spec"), key);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(name: &str, value: i64, policy: &str) -> PriorityClass {
        let json = json!({"metadata": {"name": name}, "value": value, "preemptionPolicy": policy});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn resolves() {
        let high = Chosen::Named(class("high", 1000, "Never"));
        let usual = Chosen::Default(Some(class("usual", 55, "PreemptLowerPriority")));
        let rows = [
            (json!({}), Chosen::Default(None), json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"})),
            (
                json!({}),
                usual,
                json!({"priorityClassName": "usual", "priority": 55, "preemptionPolicy": "PreemptLowerPriority"}),
            ),
            (
                json!({"priorityClassName": "high", "priority": 1000}),
                high,
                json!({"priorityClassName": "high", "priority": 1000, "preemptionPolicy": "Never"}),
            ),
        ];
        for (spec, chosen, expected) in rows {
            let mut pod = json!({ "spec": spec });
            resolve(&mut pod, chosen).unwrap();
            assert_eq!(pod["spec"], expected);
        }
    }

    #[test]
    fn refuses_what_differs_from_the_class_and_changes_nothing() {
        let high = Chosen::Named(class("high", 1000, "Never"));
        let rows = [
            (json!({"priority": 5}), high.clone(), "the integer value of priority (5)", "computed 1000 from"),
            (json!({"preemptionPolicy": "X"}), high, "the string value of PreemptionPolicy (X)", "computed Never from"),
            (json!({"priority": 7}), Chosen::Default(None), "the integer value of priority (7)", "computed 0 from"),
            (json!({"priorityClassName": "no"}), Chosen::Absent, "no PriorityClass with name no", "was found"),
        ];
        for (spec, chosen, start, part) in rows {
            let mut pod = json!({ "spec": spec });
            let before = pod.clone();
            let why = resolve(&mut pod, chosen).unwrap_err();
            assert!(why.starts_with(start) && why.contains(part), "{why}");
            assert_eq!(pod, before);
        }
    }

    #[test]
    fn the_lowest_of_several_defaults_counts() {
        let default = |name, value| PriorityClass { global_default: true, ..class(name, value, "Never") };
        let classes = vec![default("b", 9), class("a", 1, "Never"), default("c", 5)];
        assert_eq!(lowest_default(classes).unwrap().metadata.name, "c");
        assert!(lowest_default(vec![class("a", 1, "Never")]).is_none());
    }

    #[test]
    fn an_update_keeps_what_it_leaves_out() {
        let old = json!({"spec": {"priority": 3, "preemptionPolicy": "Never"}});
        let mut pod = json!({"spec": {"priority": null}});
        keep(&mut pod, &old);
        assert_eq!(pod, old);
        let mut pod = json!({"spec": {"priority": 4}});
        keep(&mut pod, &old);
        assert_eq!(pod, json!({"spec": {"priority": 4, "preemptionPolicy": "Never"}}));
    }
}
