//! Tolerations and taints that everybody gets: pods stay five minutes on a node that is gone (DefaultTolerationSeconds),
//! and a new node takes no pods before it says that it is ready (TaintNodesByCondition).

use kuorum_kinds::value as json;
use serde_json::{Value, json};

use super::{Attributes, Operation, Plugin, Verdict};

pub struct DefaultTolerationSeconds;

const TOLERATED: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
/// kube-apiserver's `--default-not-ready-toleration-seconds` and `--default-unreachable-toleration-seconds`.
const TOLERATION_SECONDS: i64 = 300;

impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.is("", "Pod") || !attributes.subresource.is_empty() || attributes.operation == Operation::Delete {
            return None;
        }
        let spec = json::child(object?, "spec")?;
        let mut tolerations = json::items(spec, "tolerations").to_vec();
        let before = tolerations.len();
        for key in TOLERATED {
            let covers = |t: &Value| {
                matches!(json::text(t, "key"), "" | "node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable")
                    && (json::text(t, "key").is_empty() || json::text(t, "key") == key)
                    && matches!(json::text(t, "effect"), "" | "NoExecute")
            };
            if !tolerations.iter().any(covers) {
                tolerations.push(json!({
                    "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS,
                }));
            }
        }
        if tolerations.len() > before {
            json::set(spec, "tolerations", tolerations);
        }
        None
    }
}

pub struct TaintNodesByCondition;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

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
        if !attributes.is("", "Node") || attributes.operation != Operation::Create {
            return None;
        }
        let spec = json::child(object?, "spec")?;
        let mut taints = json::items(spec, "taints").to_vec();
        let tainted =
            taints.iter().any(|t| json::text(t, "key") == NOT_READY && json::text(t, "effect") == "NoSchedule");
        if !tainted {
            taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
            json::set(spec, "taints", taints);
        }
        None
    }
}
