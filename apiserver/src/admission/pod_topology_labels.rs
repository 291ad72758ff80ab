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
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if attributes.operation != Operation::Create || !attributes.is("", "Pod") {
            return None;
        }
        let object = object?;
        // What a binding is labelled with, its pod will be.
        let node = match attributes.subresource {
            "" => json::text(object, "spec.nodeName"),
            "binding" => json::text(object, "target.name"),
            _ => return None,
        };
        if node.is_empty() {
            return None;
        }
        match NODES.get::<Class>(attributes.call, node) {
            Ok(node) => {
                label(object, &node?.metadata);
                None
            }
            Err(error) => Some(refuse(error)),
        }
    }
}

/// Gives a pod, or the binding of one, the node's topology labels, except where it has its own.
fn label(object: &mut Value, node: &Metadata) {
    for key in TOPOLOGY {
        let Some(value) = node.labels.get(key) else { continue };
        if let Some(labels) = json::child(object, "metadata").and_then(|m| json::child(m, "labels")) {
            json::set_default(labels, key, value.as_str());
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
        let rows = [(none, zone("z")), (zone("mine"), zone("mine"))];
        for (mut object, expected) in rows {
            label(&mut object, &node.metadata);
            assert_eq!(object, expected);
        }
    }
}
