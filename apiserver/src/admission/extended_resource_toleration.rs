//! ExtendedResourceToleration: a pod that asks for an extended resource tolerates nodes that are tainted with its name,
//! which keeps other pods away from special hardware.

use std::collections::BTreeSet;

use kuorum_kinds::value as json;
use serde_json::{Value, json};

use super::amounts::is_extended;
use super::{Attributes, Operation, Plugin, Verdict};

pub struct ExtendedResourceToleration;

impl Plugin for ExtendedResourceToleration {
    fn name(&self) -> &'static str {
        "ExtendedResourceToleration"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if attributes.does(&[Operation::Create, Operation::Update], "", "Pod") {
            tolerate(json::existing(object?, "spec")?);
        }
        None
    }
}

fn tolerate(spec: &mut Value) {
    let wanted: BTreeSet<String> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| json::items(spec, list))
        .flat_map(|container| json::entries(container, "resources.requests"))
        .filter(|(name, _)| is_extended(name))
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in wanted {
        let toleration = json!({"key": name, "operator": "Exists", "effect": "NoSchedule"});
        if !json::items(spec, "tolerations").iter().any(|t| json::equal(t, &toleration)) {
            super::append(spec, "tolerations", toleration);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_resources_are_tolerated_once() {
        let mut spec = json!({
            "containers": [{"resources": {"requests": {"cpu": "1", "ex.io/b": "1", "ex.io/a": "1"}}}],
            "initContainers": [{"resources": {"requests": {"ex.io/b": "1"}}}],
            "tolerations": [{"key": "own"}],
        });
        let exists = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoSchedule"});
        for _ in 0..2 {
            tolerate(&mut spec);
            assert_eq!(spec["tolerations"], json!([{"key": "own"}, exists("ex.io/a"), exists("ex.io/b")]));
        }
    }
}
