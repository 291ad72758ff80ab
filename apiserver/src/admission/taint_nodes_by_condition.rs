//! TaintNodesByCondition: a new node takes no pods before it is known to be ready.

use kuorum_kinds::value as json;
use serde_json::{Value, json};

use super::{Attributes, Plugin, Verdict};

pub struct TaintNodesByCondition;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const EFFECT: &str = "NoSchedule";

impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if attributes.creates("", "Node") {
            taint(json::child(object?, "spec")?);
        }
        None
    }
}

fn taint(spec: &mut Value) {
    let is_it = |t: &Value| json::text(t, "key") == NOT_READY && json::text(t, "effect") == EFFECT;
    if !json::items(spec, "taints").iter().any(is_it) {
        super::append(spec, "taints", json!({"key": NOT_READY, "effect": EFFECT}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_once() {
        let own = json!({"key": NOT_READY, "effect": EFFECT});
        let rows = [
            (json!({}), json!([own])),
            (json!({"taints": [own]}), json!([own])),
            (
                json!({"taints": [{"key": NOT_READY, "effect": "NoExecute"}]}),
                json!([{"key": NOT_READY, "effect": "NoExecute"}, own]),
            ),
        ];
        for (mut spec, expected) in rows {
            taint(&mut spec);
            assert_eq!(spec["taints"], expected);
        }
    }
}
