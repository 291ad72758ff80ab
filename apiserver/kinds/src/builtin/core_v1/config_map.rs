//! ConfigMap.

use serde_json::Value;

use super::data;
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::table::{self, AGE, NAME};
use crate::value::{entries, equal, flag, get};

pub const HOOKS: Hooks = Hooks {
    validate_create: Some(validate),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    update_metadata: &[Pass::Update, Pass::Create],
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("Data", "string", "io.k8s.api.core.v1.ConfigMap", "data"), AGE],
    |map, now| {
        let count = entries(map, "data").count() + entries(map, "binaryData").count();
        vec![table::name(map), count.into(), table::age(map, now)]
    },
);

fn validate(map: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    let mut bytes = 0;
    for (key, value) in entries(map, "data") {
        data::validate_key(key, "data", &mut errors);
        if get(map, "binaryData").get(key).is_some() {
            let detail = "duplicate of key present in binaryData";
            errors.push(FieldError::invalid(format!("data[{key}]"), &key.into(), detail));
        }
        bytes += value.as_str().map_or(0, str::len);
    }
    for (key, value) in entries(map, "binaryData") {
        data::validate_key(key, "binaryData", &mut errors);
        bytes += data::decoded_len(value);
    }
    if bytes > data::BYTES_MAX {
        errors.push(FieldError::too_long("[]", data::BYTES_MAX));
    }
    errors
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if flag(old, "immutable") {
        if !flag(new, "immutable") {
            errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
        }
        for key in ["data", "binaryData"] {
            if !equal(get(new, key), get(old, key)) {
                errors.push(FieldError::forbidden(key, "field is immutable when `immutable` is set"));
            }
        }
    }
    errors.append(&mut validate(new, context));
    errors
}
