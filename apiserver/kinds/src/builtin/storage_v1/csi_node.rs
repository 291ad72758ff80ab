//! CSINode: the drivers that a node has. A driver's entry never changes, but for how many volumes it can take.

use kuorum_schema::names;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::internal;
use crate::metadata::Pass;
use crate::path::Path;
use crate::pod_template::validate::volumes::csi_driver_name;
use crate::rules::{invalid_each, non_negative};
use crate::table::{self, AGE, NAME};
use crate::value::{equal, get, items, remove, text};

pub const HOOKS: Hooks = Hooks {
    validate_create: Some(validate),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    update_metadata: &[Pass::Create],
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Drivers", "integer", "Drivers indicates the number of CSI drivers registered on the node"),
        AGE,
    ],
    |node, now| vec![table::name(node), items(node, "spec.drivers").len().into(), table::age(node, now)],
);

/// Longest name that a driver has for a node, in bytes.
const NODE_ID_BYTES_MAX: usize = 256;

fn validate(node: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    let list = Path::new("spec.drivers");
    let drivers = items(node, "spec.drivers");
    for (i, driver) in drivers.iter().enumerate() {
        let path = list.index(i);
        let name = text(driver, "name");
        csi_driver_name(name, path.child("name"), &mut errors);
        node_id(text(driver, "nodeID"), path.child("nodeID"), &mut errors);
        non_negative(get(driver, "allocatable"), "count", &path.child("allocatable"), &mut errors);
        if drivers[..i].iter().any(|earlier| text(earlier, "name") == name) {
            errors.push(FieldError::duplicate(path.child("name"), &name.into()));
        }
        let keys = items(driver, "topologyKeys");
        for (j, key) in keys.iter().enumerate() {
            let shown = key.as_str().unwrap_or("");
            if shown.is_empty() {
                errors.push(FieldError::required(path, ""));
            }
            if keys[..j].contains(key) {
                errors.push(FieldError::duplicate(path, key));
            }
            invalid_each(path, shown, names::qualified_name(shown), &mut errors);
        }
    }
    errors
}

fn node_id(id: &str, path: Path, errors: &mut Errors) {
    if id.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if id.len() > NODE_ID_BYTES_MAX {
        let detail = format!("must be {NODE_ID_BYTES_MAX} characters or less");
        errors.push(FieldError::invalid(path, &id.into(), &detail));
    }
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = validate(new, context);
    let fixed = |driver: &Value| {
        let mut driver = driver.clone();
        remove(&mut driver, "allocatable");
        driver
    };
    for before in items(old, "spec.drivers") {
        for after in items(new, "spec.drivers") {
            if text(after, "name") == text(before, "name") && !equal(&fixed(after), &fixed(before)) {
                let shown = internal::show("CSINodeDriver", after);
                errors.push(FieldError::invalid_shown("CSINode", &shown, "field is immutable"));
            }
        }
    }
    errors
}
