//! LimitPodHardAntiAffinityTopology: a pod may demand a node for itself, not a whole zone.

use kuorum_kinds::value as json;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, Verdict, refuse};

pub struct LimitPodHardAntiAffinityTopology;

const HOSTNAME: &str = "kubernetes.io/hostname";

impl Plugin for LimitPodHardAntiAffinityTopology {
    fn name(&self) -> &'static str {
        "LimitPodHardAntiAffinityTopology"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.does(&[Operation::Create, Operation::Update], "", "Pod") {
            return None;
        }
        let key = other_key(object?)?;
        let why = format!(
            "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key {HOSTNAME} is allowed"
        );
        Some(refuse(attributes.forbidden(why)))
    }
}

/// The first key of a demand that is about more than one node.
fn other_key(pod: &Value) -> Option<&str> {
    json::items(pod, "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution")
        .iter()
        .map(|term| json::text(term, "topologyKey"))
        .find(|key| *key != HOSTNAME)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn demands_are_about_one_node() {
        let pod = |kind: &str, keys: &[&str]| {
            let terms: Vec<Value> = keys.iter().map(|key| json!({"topologyKey": key})).collect();
            json!({"spec": {"affinity": {"podAntiAffinity": {kind: terms}}}})
        };
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        assert_eq!(other_key(&json!({"spec": {}})), None);
        assert_eq!(other_key(&pod(required, &[HOSTNAME])), None);
        assert_eq!(other_key(&pod(required, &[HOSTNAME, "zone"])), Some("zone"));
        assert_eq!(other_key(&pod("preferredDuringSchedulingIgnoredDuringExecution", &["zone"])), None);
    }
}
