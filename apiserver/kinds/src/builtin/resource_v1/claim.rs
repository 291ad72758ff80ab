//! ResourceClaim and ResourceClaimTemplate.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{existing, get, is_set, items_mut, set_default_int, set_default_text, text};

pub const CLAIM: Hooks = Hooks { default: Some(default_claim), table: Some(TABLE), ..Hooks::NONE };
pub const TEMPLATE: Hooks = Hooks { default: Some(default_template), table: Some(table::NAME_AND_AGE), ..Hooks::NONE };

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::own("State", "string", "A summary of the current state (allocated, pending, reserved, etc.)."), AGE],
    |claim, now| vec![table::name(claim), state(claim).into(), table::age(claim, now)],
);

fn state(claim: &Value) -> String {
    let deleted = is_set(claim, "metadata.deletionTimestamp");
    let mut states = Vec::new();
    if deleted {
        states.push("deleted");
    }
    if get(claim, "status.allocation").is_object() {
        states.push("allocated");
        if is_set(claim, "status.reservedFor") {
            states.push("reserved");
        }
    } else if !deleted {
        states.push("pending");
    }
    states.join(",")
}

fn default_claim(claim: &mut Value) {
    if let Some(spec) = existing(claim, "spec") {
        claim_spec(spec);
    }
}

fn default_template(template: &mut Value) {
    if let Some(spec) = existing(template, "spec").and_then(|spec| existing(spec, "spec")) {
        claim_spec(spec);
    }
}

fn claim_spec(spec: &mut Value) {
    let Some(devices) = existing(spec, "devices") else { return };
    for request in items_mut(devices, "requests") {
        if let Some(exactly) = existing(request, "exactly") {
            device_request(exactly);
        }
        for alternative in items_mut(request, "firstAvailable") {
            device_request(alternative);
        }
    }
}

fn device_request(request: &mut Value) {
    set_default_text(request, "allocationMode", "ExactCount");
    if text(request, "allocationMode") == "ExactCount" {
        set_default_int(request, "count", 1);
    }
    for toleration in items_mut(request, "tolerations") {
        set_default_text(toleration, "operator", "Equal");
    }
}
