//! ResourceClaim and ResourceClaimTemplate.

use serde_json::Value;

use super::validate;
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::path::Path;
use crate::table::{self, AGE, NAME};
use crate::value::{equal, existing, get, is_set, items_mut, set_default_int, set_default_text, text};

pub const CLAIM: Hooks = Hooks {
    default: Some(default_claim),
    validate_create: Some(|claim, _| {
        let mut errors = Errors::new();
        validate::claim_spec(get(claim, "spec"), &Path::new("spec"), &mut errors);
        errors
    }),
    validate_update: Some(claim_unchanged),
    table: Some(TABLE),
    ..Hooks::NONE
};
pub const TEMPLATE: Hooks = Hooks {
    default: Some(default_template),
    validate_create: Some(|template, _| validate::template(template)),
    validate_update: Some(|new, old, _| template_unchanged(new, old)),
    table: Some(table::NAME_AND_AGE),
    ..Hooks::NONE
};

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

/// The template of claims is what it was when pods began to use it.
fn template_unchanged(new: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = get(new, "spec");
    if !equal(spec, get(old, "spec")) {
        let mut meta = String::new();
        for key in ["labels", "annotations"] {
            if is_set(spec, &format!("metadata.{key}")) {
                meta.push_str(&format!("\"{key}\":{},", get(get(spec, "metadata"), key)));
            }
        }
        let devices = get(spec, "spec.devices");
        let shown = format!(
            "{{{meta}\"Spec\":{{\"Devices\":{{\"Requests\":{},\"Constraints\":{},\"Config\":{}}}}}}}",
            get(devices, "requests"),
            get(devices, "constraints"),
            get(devices, "config"),
        );
        errors.push(FieldError::invalid_shown("spec", &shown, "field is immutable"));
    }
    errors
}

fn claim_unchanged(new: &Value, old: &Value, context: &Context) -> Errors {
    if context.subresource == "status" {
        return validate::claim_status(new, old);
    }
    let mut errors = Errors::new();
    if !equal(get(new, "spec"), get(old, "spec")) {
        errors.push(FieldError::invalid("spec", get(new, "spec"), "field is immutable"));
    }
    errors
}
