//! Namespace: its label, its finalizer and its phase.

use serde_json::{Value, json};

use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::path::Path;
use crate::row::SelectableField;
use crate::table::{self, AGE, NAME};
use crate::value::{carry_over, child, get, is_set, items, set, text};

/// The label that carries a namespace's own name, for selectors.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// The finalizer that keeps a namespace until its content is gone.
const FINALIZER: &str = "kubernetes";

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare_create),
    prepare_update: Some(prepare_update),
    validate_update: Some(validate_update),
    validate_create: Some(|namespace, _| validate_create(namespace)),
    table: Some(TABLE),
    name: |name, prefix| kuorum_schema::names::dns1123_label(if prefix { mask_trailing_dash(name) } else { name }),
    update_metadata: &[Pass::Create, Pass::Update],
    ..Hooks::NONE
};

/// A generateName may end in a dash, because something follows.
fn mask_trailing_dash(name: &str) -> &str {
    name.strip_suffix('-').unwrap_or(name)
}

pub const FIELDS: &[SelectableField] =
    &[SelectableField { name: "status.phase", value: |namespace| text(namespace, "status.phase").to_owned() }];

const TABLE: TablePrinter =
    TablePrinter::new(&[NAME, table::own("Status", "string", "The status of the namespace"), AGE], |namespace, now| {
        vec![table::name(namespace), text(namespace, "status.phase").into(), table::age(namespace, now)]
    });

fn default(namespace: &mut Value) {
    let name = text(namespace, "metadata.name").to_owned();
    if !name.is_empty()
        && let Some(meta) = child(namespace, "metadata")
        && let Some(labels) = child(meta, "labels")
        && labels.get(NAME_LABEL).and_then(Value::as_str) != Some(&name)
    {
        set(labels, NAME_LABEL, name);
    }
    if !is_set(namespace, "status.phase")
        && let Some(status) = child(namespace, "status")
    {
        set(status, "phase", "Active");
    }
}

fn prepare_create(namespace: &mut Value, _: &Context) {
    set(namespace, "status", json!({"phase": "Active"}));
    if let Some(spec) = child(namespace, "spec") {
        let mut finalizers = items(spec, "finalizers").to_vec();
        if !finalizers.iter().any(|f| f == FINALIZER) {
            finalizers.push(FINALIZER.into());
        }
        set(spec, "finalizers", finalizers);
    }
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    match context.subresource {
        "" => {
            // Finalizers change through /finalize only.
            if let Some(spec) = child(new, "spec") {
                carry_over(spec, get(old, "spec"), "finalizers");
            }
        }
        "finalize" => carry_over(new, old, "status"),
        _ => {}
    }
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource == "status" {
        let phase = text(new, "status.phase");
        let deleted = is_set(old, "metadata.deletionTimestamp");
        let (wrong, detail) = if deleted {
            (phase != "Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty")
        } else {
            (phase != "Active", "may only be 'Active' if `deletionTimestamp` is empty")
        };
        if wrong {
            errors.push(FieldError::invalid("status.Phase", &phase.into(), detail));
        }
    }
    if context.subresource == "finalize" {
        for (i, finalizer) in items(new, "spec.finalizers").iter().enumerate() {
            let list = Path::new("spec.finalizers");
            finalizer_name(finalizer, list.index(i), &mut errors);
        }
    }
    errors
}

fn validate_create(namespace: &Value) -> Errors {
    let mut errors = Errors::new();
    for finalizer in items(namespace, "spec.finalizers") {
        finalizer_name(finalizer, Path::new("spec.finalizers"), &mut errors);
    }
    errors
}

fn finalizer_name(finalizer: &Value, path: Path, errors: &mut Errors) {
    let name = finalizer.as_str().unwrap_or("");
    crate::rules::invalid_each(path, name, kuorum_schema::names::qualified_name(name), errors);
    if !name.contains('/') && name != FINALIZER {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(path, finalizer, detail));
    }
}
