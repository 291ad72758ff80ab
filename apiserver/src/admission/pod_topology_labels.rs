//! PodTopologyLabels: a pod on a node carries the node's zone and region, so that the pod's own containers can read
//! them.
//!
//! A pod that is created on a node keeps labels it has; a binding overrides them, unless it brings its own.

use kuorum_kinds::value as json;
use serde_json::Value;

use super::read::{Class, Metadata, Name};
use super::{Attributes, Operation, Plugin, Verdict, refuse};

pub struct PodTopologyLabels;

const NODES: Name = Name("", "v1", "nodes");
const TOPOLOGY: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

impl Plugin for PodTopologyLabels {
    fn name(&self) -> &'static str {
        "PodTopologyLabels"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let before = match (attributes.operation, attributes.subresource) {
            (Operation::Create, "") => None,
            (Operation::Update, "binding") => Some(old?),
            _ => return None,
        };
        if !attributes.is("", "Pod") {
            return None;
        }
        let pod = object?;
        match json::text(pod, "spec.nodeName") {
            "" => None,
            node => match NODES.get::<Class>(attributes.call, node) {
                Ok(node) => {
                    label(pod, &node?.metadata, before);
                    None
                }
                Err(error) => Some(refuse(error)),
            },
        }
    }
}

/// Gives the pod the node's topology labels, except where it has one of its own: any for a new pod, and for a pod that
/// is bound (`before` the binding) one that the binding changed.
fn label(pod: &mut Value, node: &Metadata, before: Option<&Value>) {
    for key in TOPOLOGY {
        let Some(value) = node.labels.get(key) else { continue };
        let own = json::get(pod, "metadata.labels").get(key);
        let is_own = own.is_some() && own != before.and_then(|old| json::get(old, "metadata.labels").get(key));
        if is_own {
            continue;
        }
        if let Some(labels) = json::child(pod, "metadata").and_then(|m| json::child(m, "labels")) {
            json::set(labels, key, value.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn copies_zone_and_region() {
        let zone = |zone: &str| json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}});
        let none = json!({"metadata": {}});
        let node: Class = serde_json::from_value(json!({
            "metadata": {"labels": {"topology.kubernetes.io/zone": "z", "other": "x"}}
        }))
        .unwrap();
        let rows = [
            // a new pod
            (none.clone(), None, zone("z")),
            (zone("mine"), None, zone("mine")),
            // a binding
            (none.clone(), Some(none.clone()), zone("z")),
            (zone("mine"), Some(zone("mine")), zone("z")),
            (zone("bound"), Some(zone("mine")), zone("bound")),
            (zone("bound"), Some(none), zone("bound")),
        ];
        for (mut pod, before, expected) in rows {
            label(&mut pod, &node.metadata, before.as_ref());
            assert_eq!(pod, expected);
        }
    }
}
