//! DefaultTolerationSeconds: pods stay five minutes on a node that is not ready or out of reach, unless they say.

use kuorum_kinds::value as json;
use serde_json::{Value, json};

use super::{Attributes, Operation, Plugin, Verdict};

pub struct DefaultTolerationSeconds;

const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
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
        let written = matches!(attributes.operation, Operation::Create | Operation::Update);
        if written && attributes.is("", "Pod") && attributes.subresource.is_empty() {
            tolerate(json::child(object?, "spec")?);
        }
        None
    }
}

fn tolerate(spec: &mut Value) {
    let covers = |t: &Value, taint: &str| {
        let key = json::text(t, "key");
        (key == taint || key.is_empty()) && matches!(json::text(t, "effect"), "" | "NoExecute")
    };
    let given = json::items(spec, "tolerations");
    let missing = TAINTS.map(|taint| (taint, !given.iter().any(|t| covers(t, taint))));
    for (taint, _) in missing.into_iter().filter(|(_, missing)| *missing) {
        let toleration = json!({
            "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS,
        });
        super::append(spec, "tolerations", toleration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_what_is_not_tolerated_yet() {
        let not_ready = "node.kubernetes.io/not-ready";
        let unreachable = "node.kubernetes.io/unreachable";
        let rows = [
            (json!(null), vec![not_ready, unreachable]),
            (json!([{"operator": "Exists"}]), vec![]),
            (json!([{"operator": "Exists", "effect": "NoExecute"}]), vec![]),
            (json!([{"operator": "Exists", "effect": "NoSchedule"}]), vec![not_ready, unreachable]),
            (json!([{"key": not_ready, "effect": "NoExecute"}]), vec![unreachable]),
            (json!([{"key": not_ready, "effect": "NoSchedule"}]), vec![not_ready, unreachable]),
            (json!([{"key": unreachable}]), vec![not_ready]),
            (json!([{"key": "other"}]), vec![not_ready, unreachable]),
        ];
        for (given, added) in rows {
            let before = given.as_array().map_or(0, Vec::len);
            let mut spec = json!({"tolerations": given});
            tolerate(&mut spec);
            let after = json::items(&spec, "tolerations");
            let keys: Vec<&str> = after[before..].iter().map(|t| json::text(t, "key")).collect();
            assert_eq!(keys, added, "{given}");
            assert!(after[before..].iter().all(|t| t["tolerationSeconds"] == 300 && t["effect"] == "NoExecute"));
        }
    }
}
