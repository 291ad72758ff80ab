//! PriorityClass.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{flag, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    // Nothing in a PriorityClass is desired state that a controller would follow.
    desired_state_changed: Some(|_, _| false),
    validate_create: Some(validate_create),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    ..Hooks::NONE
};

const CLASS: &str = "io.k8s.api.scheduling.v1.PriorityClass";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Value", "integer", CLASS, "value"),
        table::field("Global-Default", "boolean", CLASS, "globalDefault"),
        AGE,
        table::field("PreemptionPolicy", "string", CLASS, "preemptionPolicy"),
    ],
    |class, now| {
        vec![
            table::name(class),
            table::count(class, "value"),
            flag(class, "globalDefault").into(),
            table::age(class, now),
            text(class, "preemptionPolicy").into(),
        ]
    },
);

fn default(class: &mut Value) {
    set_default(class, "preemptionPolicy", "PreemptLowerPriority");
}

/// The classes that the system itself makes, with their values.
const SYSTEM: [(&str, i64); 2] = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
/// Larger values are kept for the system.
const VALUE_MAX: i64 = 1_000_000_000;

fn validate_create(class: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    let name = text(class, "metadata.name");
    if name.starts_with("system-") {
        let value = crate::value::int(class, "value").unwrap_or(0);
        let error = match SYSTEM.iter().find(|(known, _)| *known == name) {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, known)) if value != *known => Some(format!("value of {name} PriorityClass must be {known}")),
            Some(_) if flag(class, "globalDefault") => {
                Some(format!("globalDefault of {name} PriorityClass must be false"))
            }
            Some(_) => None,
        };
        if let Some(error) = error {
            let detail = "priority class names with 'system-' prefix are reserved for system use only. error: ";
            errors.push(FieldError::forbidden("metadata.name", &format!("{detail}{error}")));
        }
    } else if crate::value::int(class, "value").unwrap_or(0) > VALUE_MAX {
        let detail = format!("maximum allowed value of a user defined priority is {VALUE_MAX}");
        errors.push(FieldError::forbidden("value", &detail));
    }
    policy(class, &mut errors);
    errors
}

fn policy(class: &Value, errors: &mut Errors) {
    let policy = text(class, "preemptionPolicy");
    if !matches!(policy, "" | "PreemptLowerPriority" | "Never") {
        let known = ["PreemptLowerPriority", "Never"];
        errors.push(FieldError::not_supported("preemptionPolicy", &policy.into(), &known));
    }
}

fn validate_update(new: &Value, old: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    if crate::value::int(new, "value").unwrap_or(0) != crate::value::int(old, "value").unwrap_or(0) {
        errors.push(FieldError::forbidden("value", "may not be changed in an update."));
    }
    if text(new, "preemptionPolicy") != text(old, "preemptionPolicy") {
        let shown = crate::value::get(new, "preemptionPolicy");
        errors.push(FieldError::invalid("preemptionPolicy", shown, "field is immutable"));
    }
    errors
}
