//! PodResizeValidator and NodeDeclaredFeatureValidator: a pod on a node grows no larger than the node, and changes only
//! in ways that its kubelet knows.

use kuorum_kinds::pod_template::resources::quantity;
use kuorum_kinds::value as json;
use serde_json::Value;

use super::read::{Name, decide};
use super::{Attributes, Operation, Plugin, Verdict, amounts};
use crate::status::ApiError;

pub struct PodResizeValidator;
pub struct NodeDeclaredFeatureValidator;

const NODES: Name = Name("", "v1", "nodes");

impl Plugin for PodResizeValidator {
    fn name(&self) -> &'static str {
        "PodResizeValidator"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let (pod, old) = (object?, old?);
        if !changes_bound_pod(attributes, pod, &["resize"]) {
            return None;
        }
        // The generation grows when the spec changes.
        if json::int(pod, "metadata.generation") == json::int(old, "metadata.generation") {
            return None;
        }
        decide(attributes.call, move || {
            let node = node_of(attributes, pod)?;
            check_size(pod, &node).map_err(|why| attributes.forbidden(why).cause("NodeCapacity", "", ""))?;
            check_platform(&node).map_err(|why| attributes.forbidden(why).cause("UnsupportedPlatform", "", ""))
        })
    }
}

impl Plugin for NodeDeclaredFeatureValidator {
    fn name(&self) -> &'static str {
        "NodeDeclaredFeatureValidator"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let (pod, old) = (object?, old?);
        if !changes_bound_pod(attributes, pod, &["", "resize"]) {
            return None;
        }
        let needed = needed_features(pod, old);
        if needed.is_empty() {
            return None;
        }
        decide(attributes.call, move || {
            let node = node_of(attributes, pod)?;
            let declared = json::items(&node, "status.declaredFeatures");
            let lacking: Vec<&str> = needed.iter().copied().filter(|f| !declared.iter().any(|d| d == f)).collect();
            if lacking.is_empty() {
                return Ok(());
            }
            let name = json::text(pod, "spec.nodeName");
            Err(attributes.forbidden(format!(
                "pod update requires features {} which are not available on node {name:?}",
                lacking.join(", ")
            )))
        })
    }
}

/// Whether a pod that has a node is changed, through one of these subresources.
fn changes_bound_pod(attributes: &Attributes<'_>, pod: &Value, subresources: &[&str]) -> bool {
    attributes.operation == Operation::Update
        && attributes.is("", "Pod")
        && subresources.contains(&attributes.subresource)
        && json::is_set(pod, "spec.nodeName")
}

fn node_of(attributes: &Attributes<'_>, pod: &Value) -> Result<Value, ApiError> {
    let name = json::text(pod, "spec.nodeName");
    let node = NODES.get::<Value>(attributes.call, name)?;
    node.ok_or_else(|| attributes.forbidden(format!("node {name:?} not found")))
}

fn check_size(pod: &Value, node: &Value) -> Result<(), String> {
    let requests = amounts::of_pod(pod, "requests");
    let allocatable = |name| quantity(json::get(json::get(node, "status.allocatable"), name));
    let mut complaints = Vec::new();
    for (name, scale) in [("cpu", -3), ("memory", 0)] {
        let requested = requests.get(name).map_or(0, |q| q.scaled_value(scale));
        let allocatable = allocatable(name).map_or(0, |q| q.scaled_value(scale));
        if requested > allocatable {
            complaints.push(format!("{name}, requested: {requested}, allocatable: {allocatable}"));
        }
    }
    if complaints.is_empty() {
        return Ok(());
    }
    Err(format!("Node didn't have enough allocatable resources: {}", complaints.join("; ")))
}

fn check_platform(node: &Value) -> Result<(), String> {
    let system = json::get(node, "metadata.labels").get("kubernetes.io/os").and_then(Value::as_str).unwrap_or_default();
    if system == "linux" {
        return Ok(());
    }
    let name = json::text(node, "metadata.name");
    Err(format!("pod resize is only supported on linux nodes, node {name:?} is {system:?}"))
}

/// Features that a kubelet must have for a change, sorted.
fn needed_features(new: &Value, old: &Value) -> Vec<&'static str> {
    let mut needed = Vec::new();
    if !same_amounts(json::get(new, "spec.resources"), json::get(old, "spec.resources")) {
        needed.push("InPlacePodLevelResourcesVerticalScaling");
    }
    let after = json::items(new, "spec.initContainers");
    let resized = |(at, container): (usize, &Value)| {
        let resources = after.get(at).map_or(&Value::Null, |c| json::get(c, "resources"));
        json::text(container, "restartPolicy") != "Always"
            && !same_amounts(json::get(container, "resources"), resources)
    };
    if json::items(old, "spec.initContainers").iter().enumerate().any(resized) {
        needed.push("InPlacePodVerticalScalingInitContainers");
    }
    needed
}

fn same_amounts(a: &Value, b: &Value) -> bool {
    ["requests", "limits"].iter().all(|list| amounts::read(json::get(a, list)) == amounts::read(json::get(b, list)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(cpu: &str, memory: &str) -> Value {
        json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}})
    }

    #[test]
    fn a_pod_fits_its_node() {
        let node = json!({"status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}});
        assert_eq!(check_size(&pod("2", "1Gi"), &node), Ok(()));
        assert_eq!(
            check_size(&pod("2500m", "2Gi"), &node).unwrap_err(),
            "Node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000; memory, requested: 2147483648, allocatable: 1073741824"
        );
    }

    #[test]
    fn resizing_is_for_linux() {
        let node = |labels: Value| json!({"metadata": {"name": "n", "labels": labels}});
        assert!(check_platform(&node(json!({"kubernetes.io/os": "linux"}))).is_ok());
        assert_eq!(
            check_platform(&node(json!({}))).unwrap_err(),
            "pod resize is only supported on linux nodes, node \"n\" is \"\""
        );
    }

    #[test]
    fn changes_need_features() {
        let init = |policy: Value, cpu: &str| json!({"spec": {"initContainers": [{"name": "i", "restartPolicy": policy, "resources": {"requests": {"cpu": cpu}}}]}});
        let level = |cpu: &str| json!({"spec": {"resources": {"limits": {"cpu": cpu}}}});
        let rows: [(Value, Value, &[&str]); 6] = [
            (level("1"), level("2"), &["InPlacePodLevelResourcesVerticalScaling"]),
            (level("1"), level("1000m"), &[]),
            (json!({"spec": {}}), level("2"), &["InPlacePodLevelResourcesVerticalScaling"]),
            (init(json!(null), "1"), init(json!(null), "2"), &["InPlacePodVerticalScalingInitContainers"]),
            (init(json!("Always"), "1"), init(json!("Always"), "2"), &[]),
            (pod("1", "1"), pod("2", "1"), &[]),
        ];
        for (old, new, expected) in rows {
            assert_eq!(needed_features(&new, &old), expected, "{old} {new}");
        }
    }
}
