//! RuntimeClass.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::path::Path;
use crate::pod_template::resources;
use crate::table::{self, AGE, NAME};
use crate::value::{existing, get, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    validate_create: Some(|class, _| validate(class)),
    validate_update: Some(|new, old, _| validate_change(new, old)),
    table: Some(TABLE),
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    // kube-apiserver describes this column with nothing.
    &[NAME, table::own("Handler", "string", ""), AGE],
    |class, now| vec![table::name(class), text(class, "handler").into(), table::age(class, now)],
);

fn default(class: &mut Value) {
    if let Some(overhead) = existing(class, "overhead") {
        resources::round_up(existing(overhead, "podFixed"));
    }
}

fn validate(class: &Value) -> Errors {
    let mut errors = Errors::new();
    let handler = text(class, "handler");
    let complaints = kuorum_schema::names::dns1123_label(handler);
    crate::rules::invalid_each(Path::new("handler"), handler, complaints, &mut errors);
    let limits = Path::new("overhead.limits");
    crate::pod_template::validate::resource_list(get(class, "overhead.podFixed"), &limits, &mut errors);
    let scheduling = Path::new("scheduling");
    let selector = get(class, "scheduling.nodeSelector");
    crate::metadata::validate_labels(selector, &scheduling.child("nodeSelector"), &mut errors);
    let tolerations = crate::value::items(class, "scheduling.tolerations");
    crate::pod_template::validate::tolerations(tolerations, &scheduling.child("tolerations"), &mut errors);
    errors
}

fn validate_change(new: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    if text(new, "handler") != text(old, "handler") {
        errors.push(FieldError::invalid("handler", get(new, "handler"), "field is immutable"));
    }
    errors
}
