//! IngressClass.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::path::Path;
use crate::rules::{invalid_each, optional_one_of};
use crate::table::{self, AGE, NAME};
use crate::value::{existing, get, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    validate_create: Some(|class, _| validate(class)),
    validate_update: Some(|new, old, _| validate_change(new, old)),
    table: Some(TABLE),
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Controller", "string", "Controller that is responsible for handling this class"),
        table::own("Parameters", "string", "A reference to a resource with additional parameters"),
        AGE,
    ],
    |class, now| {
        vec![
            table::name(class),
            text(class, "spec.controller").into(),
            parameters(class).into(),
            table::age(class, now),
        ]
    },
);

fn parameters(class: &Value) -> String {
    let reference = get(class, "spec.parameters");
    match text(reference, "apiGroup") {
        _ if !reference.is_object() => "<none>".to_owned(),
        "" => format!("{}/{}", text(reference, "kind"), text(reference, "name")),
        group => format!("{}.{group}/{}", text(reference, "kind"), text(reference, "name")),
    }
}

fn default(class: &mut Value) {
    if let Some(reference) = existing(class, "spec").and_then(|spec| existing(spec, "parameters")) {
        set_default(reference, "scope", "Cluster");
    }
}

/// Longest controller name.
const CONTROLLER_BYTES_MAX: usize = 250;

fn validate(class: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let controller = text(class, "spec.controller");
    let at = path.child("controller");
    if controller.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else {
        if controller.len() > CONTROLLER_BYTES_MAX {
            errors.push(FieldError::too_long(at, CONTROLLER_BYTES_MAX));
        }
        invalid_each(at, controller, kuorum_schema::names::domain_prefixed_path(controller), &mut errors);
    }
    parameters_reference(get(class, "spec.parameters"), &path.child("parameters"), &mut errors);
    errors
}

fn parameters_reference(reference: &Value, path: &Path, errors: &mut Errors) {
    if !reference.is_object() {
        return;
    }
    if let Some(group) = get(reference, "apiGroup").as_str() {
        invalid_each(path.child("apiGroup"), group, kuorum_schema::names::dns1123_subdomain(group), errors);
    }
    for key in ["kind", "name"] {
        let value = text(reference, key);
        if value.is_empty() {
            errors.push(FieldError::required(path.child(key), ""));
        } else {
            invalid_each(path.child(key), value, kuorum_schema::names::path_segment_name(value), errors);
        }
    }
    optional_one_of(reference, "scope", &["Cluster", "Namespace"], path, errors);
    let namespace = get(reference, "namespace");
    match text(reference, "scope") {
        "Namespace" if namespace.is_null() => {
            let detail = "`parameters.scope` is set to 'Namespace'";
            errors.push(FieldError::required(path.child("namespace"), detail));
        }
        "Cluster" if !namespace.is_null() => {
            let detail = "`parameters.scope` is set to 'Cluster'";
            errors.push(FieldError::forbidden(path.child("namespace"), detail));
        }
        _ => {}
    }
}

fn validate_change(new: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    if text(new, "spec.controller") != text(old, "spec.controller") {
        errors.push(FieldError::invalid("spec.controller", get(new, "spec.controller"), "field is immutable"));
    }
    errors.append(&mut validate(new));
    errors
}
