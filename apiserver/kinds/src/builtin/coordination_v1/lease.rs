//! Lease.

use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::text;
use serde_json::Value;

pub const HOOKS: Hooks = Hooks {
    prepare_create: Some(|lease, _| drop_disabled(lease, &Value::Null)),
    prepare_update: Some(|new, old, _| drop_disabled(new, old)),
    validate_create: Some(|lease, _| validate(lease)),
    validate_update: Some(|new, _, _| validate(new)),
    table: Some(TABLE),
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("Holder", "string", "io.k8s.api.coordination.v1.LeaseSpec", "holderIdentity"), AGE],
    |lease, now| vec![table::name(lease), text(lease, "spec.holderIdentity").into(), table::age(lease, now)],
);

/// Coordinated leader election is behind a feature gate that is off.
fn drop_disabled(lease: &mut Value, old: &Value) {
    let Some(spec) = crate::value::existing(lease, "spec") else { return };
    for key in ["strategy", "preferredHolder"] {
        if crate::value::get(crate::value::get(old, "spec"), key).is_null() {
            crate::value::remove(spec, key);
        }
    }
}

fn validate(lease: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = crate::value::get(lease, "spec");
    let int = |key: &str| crate::value::int(spec, key);
    if let Some(seconds) = int("leaseDurationSeconds")
        && seconds <= 0
    {
        errors.push(FieldError::invalid("spec.leaseDurationSeconds", &seconds.into(), "must be greater than 0"));
    }
    if let Some(count) = int("leaseTransitions")
        && count < 0
    {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("spec.leaseTransitions", &count.into(), detail));
    }
    errors
}
