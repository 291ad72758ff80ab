//! NetworkPolicy.

use serde_json::{Value, json};

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{child, is_set, items_mut, set, set_default};

pub const HOOKS: Hooks = Hooks { default: Some(default), table: Some(TABLE), ..Hooks::NONE };

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("Pod-Selector", "string", "io.k8s.api.networking.v1.NetworkPolicySpec", "podSelector"), AGE],
    |policy, now| {
        let selector = table::label_selector(policy, "spec.podSelector");
        vec![table::name(policy), selector.into(), table::age(policy, now)]
    },
);

fn default(policy: &mut Value) {
    let Some(spec) = child(policy, "spec") else { return };
    for direction in ["ingress", "egress"] {
        for rule in items_mut(spec, direction) {
            for port in items_mut(rule, "ports") {
                set_default(port, "protocol", "TCP");
            }
        }
    }
    if !is_set(spec, "policyTypes") {
        let types = if is_set(spec, "egress") { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        set(spec, "policyTypes", types);
    }
}
