//! CSIStorageCapacity: what a driver has left for a class in a part of the cluster. Only the amounts change.

use kuorum_schema::names;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks};
use crate::metadata::Pass;
use crate::path::Path;
use crate::pod_template::resources::quantity;
use crate::rules::{immutable, invalid_each};
use crate::value::{equal, get, text};
use crate::{internal, label_selector};

pub const HOOKS: Hooks = Hooks {
    validate_create: Some(validate),
    validate_update: Some(validate_update),
    update_metadata: &[Pass::Create],
    ..Hooks::NONE
};

fn validate(capacity: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    let topology = get(capacity, "nodeTopology");
    if topology.is_object() {
        label_selector::validate(topology, &Path::new("nodeTopology"), &mut errors);
    }
    let class = text(capacity, "storageClassName");
    invalid_each(Path::new("storageClassName"), class, names::dns1123_subdomain(class), &mut errors);
    if let Some(amount) = quantity(get(capacity, "capacity")).filter(|amount| amount.sign() < 0) {
        let shown = amount.canonical().into();
        errors.push(FieldError::invalid("capacity", &shown, "must be greater than or equal to 0"));
    }
    errors
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = validate(new, context);
    let topology = get(new, "nodeTopology");
    if !equal(topology, get(old, "nodeTopology")) {
        let shown = internal::show("LabelSelector", topology);
        errors.push(FieldError::invalid_shown("nodeTopology", &shown, "field is immutable"));
    }
    immutable(get(new, "storageClassName"), get(old, "storageClassName"), Path::new("storageClassName"), &mut errors);
    errors
}
