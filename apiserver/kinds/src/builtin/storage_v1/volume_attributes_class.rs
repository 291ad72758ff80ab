//! VolumeAttributesClass.

use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::text;
use serde_json::Value;

pub const HOOKS: Hooks = Hooks {
    validate_create: Some(|class, _| validate(class)),
    validate_update: Some(|new, old, _| validate_change(new, old)),
    table: Some(TABLE),
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("DriverName", "string", "io.k8s.api.storage.v1.VolumeAttributesClass", "driverName"), AGE],
    |class, now| vec![table::name(class), text(class, "driverName").into(), table::age(class, now)],
);

fn validate_change(new: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    for key in ["driverName", "parameters"] {
        if new.get(key) != old.get(key) {
            errors.push(FieldError::forbidden(key, &format!("updates to {key} are forbidden.")));
        }
    }
    errors
}

fn validate(class: &Value) -> Errors {
    let mut errors = Errors::new();
    let name = text(class, "driverName");
    if name.is_empty() {
        errors.push(FieldError::required("driverName", ""));
    } else {
        let complaints = kuorum_schema::names::qualified_name(&name.to_lowercase());
        crate::rules::invalid_each(crate::path::Path::new("driverName"), name, complaints, &mut errors);
    }
    super::parameters(class, &mut errors);
    errors
}
