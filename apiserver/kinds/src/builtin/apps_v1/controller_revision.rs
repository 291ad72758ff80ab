//! ControllerRevision.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{flag, get, items, text};

pub const HOOKS: Hooks = Hooks {
    validate_create: Some(validate_create),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Controller", "string", "Controller of the object"),
        table::field("Revision", "string", "io.k8s.api.apps.v1.ControllerRevision", "revision"),
        AGE,
    ],
    |revision, now| {
        let revision_number = get(revision, "revision").as_i64().unwrap_or(0);
        vec![table::name(revision), controller(revision).into(), revision_number.into(), table::age(revision, now)]
    },
);

/// `statefulset.apps/db`
fn controller(object: &Value) -> String {
    let Some(owner) = items(object, "metadata.ownerReferences").iter().find(|o| flag(o, "controller")) else {
        return "<none>".to_owned();
    };
    let kind = text(owner, "kind").to_lowercase();
    match text(owner, "apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{}", text(owner, "name")),
        None => format!("{kind}/{}", text(owner, "name")),
    }
}

fn validate_create(revision: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    match get(revision, "data") {
        Value::Null => errors.push(FieldError::required("data", "data is mandatory")),
        Value::Object(_) => {}
        _ => errors.push(FieldError::required("data", "data must be a valid JSON object")),
    }
    if get(revision, "revision").as_i64().is_some_and(|n| n < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("revision", get(revision, "revision"), detail));
    }
    errors
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = validate_create(new, context);
    if get(new, "data") != get(old, "data") {
        errors.push(FieldError::invalid("data", get(new, "data"), "field is immutable"));
    }
    errors
}
