//! Priority: a pod's priority and preemption policy come from its PriorityClass, or from the default one.

use std::sync::Arc;

use kuorum_kinds::value as json;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, Verdict, refuse};
use crate::app::Call;
use crate::status::ApiError;

pub struct Priority;

/// Without any class.
const DEFAULT_PRIORITY: i64 = 0;
const DEFAULT_POLICY: &str = "PreemptLowerPriority";

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
            Operation::Create => set_priority(attributes, pod).err().map(refuse),
            Operation::Update => {
                // An update that leaves them out does not change them.
                let old = old?;
                let spec = json::child(pod, "spec")?;
                for key in ["priority", "preemptionPolicy"] {
                    if json::get(spec, key).is_null() {
                        json::carry_over(spec, json::get(old, "spec"), key);
                    }
                }
                None
            }
            Operation::Delete => None,
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
            let system = matches!(attributes.name, "system-node-critical" | "system-cluster-critical");
            let why = "this is a system priority class and cannot be deleted";
            return system.then(|| refuse(attributes.forbidden(why)));
        }
        if !json::flag(object?, "globalDefault") {
            return None;
        }
        let name = json::text(object?, "metadata.name");
        let other = classes(attributes.call).ok()?.into_iter().find(|c| is_default(c) && class_name(c) != name)?;
        let why =
            format!("PriorityClass {} is already marked as default. Only one default can exist", class_name(&other));
        Some(refuse(attributes.forbidden(why)))
    }
}

fn set_priority(attributes: &Attributes<'_>, pod: &mut Value) -> Result<(), ApiError> {
    let wanted = json::text(pod, "spec.priorityClassName").to_owned();
    let class = if wanted.is_empty() {
        // Of several defaults, which can only be there for a moment, the lowest counts.
        classes(attributes.call)?.into_iter().filter(is_default).min_by_key(|c| json::int(c, "value"))
    } else {
        let (_, resource) = attributes.call.app.resource_named("scheduling.k8s.io", "v1", "priorityclasses")?;
        let found = resource.get("", &wanted).and_then(|o| serde_json::from_slice(o.json()).ok());
        Some(found.ok_or_else(|| {
            attributes.forbidden(format!("no PriorityClass with name {wanted} was found"))
        })?)
    };
    let priority = class.as_ref().map_or(DEFAULT_PRIORITY, |c| json::int(c, "value").unwrap_or(0));
    let policy = class.as_ref().map_or(DEFAULT_POLICY, |c| json::text(c, "preemptionPolicy")).to_owned();
    let policy = if policy.is_empty() { DEFAULT_POLICY.to_owned() } else { policy };
    if let Some(given) = json::int(pod, "spec.priority").filter(|p| *p != priority) {
        return Err(attributes.forbidden(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        )));
    }
    let given = json::text(pod, "spec.preemptionPolicy");
    if !given.is_empty() && given != policy {
        return Err(attributes.forbidden(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        )));
    }
    if let Some(spec) = json::child(pod, "spec") {
        if let Some(class) = class.filter(|_| wanted.is_empty()) {
            json::set(spec, "priorityClassName", class_name(&class));
        }
        json::set(spec, "priority", priority);
        json::set(spec, "preemptionPolicy", policy);
    }
    Ok(())
}

/// All classes: there are few, so they are read as they are.
fn classes(call: &Call<'_>) -> Result<Vec<Value>, ApiError> {
    let (_, resource) = call.app.resource_named("scheduling.k8s.io", "v1", "priorityclasses")?;
    let snapshot = resource.snapshot();
    let read = |o: &Arc<kuorum_cache::Object>| serde_json::from_slice(o.json()).ok();
    Ok(snapshot.iter().filter_map(read).collect())
}

fn is_default(class: &Value) -> bool {
    json::flag(class, "globalDefault")
}

fn class_name(class: &Value) -> String {
    json::text(class, "metadata.name").to_owned()
}
