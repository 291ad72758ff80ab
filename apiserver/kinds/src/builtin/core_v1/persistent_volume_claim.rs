//! PersistentVolumeClaim.

use serde_json::{Value, json};

use super::storage;
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::label_selector;
use crate::path::Path;
use crate::pod_template::{resources, volumes};
use crate::table::{self, AGE, NAME};
use crate::value::{child, equal, existing, get, is_set, items, set, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare_create),
    prepare_update: Some(prepare_update),
    validate_create: Some(validate_create),
    validate_update: Some(validate_update),
    warnings: Some(warnings),
    table: Some(TABLE),
    ..Hooks::NONE
};

const SPEC: &str = "io.k8s.api.core.v1.PersistentVolumeClaimSpec";
const STATUS: &str = "io.k8s.api.core.v1.PersistentVolumeClaimStatus";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Status", "string", STATUS, "phase"),
        table::field("Volume", "string", SPEC, "volumeName"),
        table::field("Capacity", "string", STATUS, "capacity"),
        table::field("Access Modes", "string", STATUS, "accessModes"),
        table::own("StorageClass", "string", "StorageClass of the pvc"),
        table::own("VolumeAttributesClass", "string", "VolumeAttributesClass of the pvc"),
        AGE,
        table::field("VolumeMode", "string", SPEC, "volumeMode").wide(),
    ],
    cells,
);

fn cells(claim: &Value, now: i64) -> Vec<Value> {
    let bound = is_set(claim, "spec.volumeName");
    let phase = if is_set(claim, "metadata.deletionTimestamp") { "Terminating" } else { text(claim, "status.phase") };
    let capacity = get(claim, "status.capacity.storage");
    vec![
        table::name(claim),
        phase.into(),
        text(claim, "spec.volumeName").into(),
        if bound { table::quantity(capacity).into() } else { "".into() },
        if bound { storage::access_modes(claim, "status.accessModes").into() } else { "".into() },
        storage::class(claim).into(),
        table::or_unset(text(claim, "spec.volumeAttributesClassName")),
        table::age(claim, now),
        table::or_unset(text(claim, "spec.volumeMode")),
    ]
}

/// Fills in a claim, also one in a StatefulSet's templates.
pub fn default(claim: &mut Value) {
    if let Some(spec) = child(claim, "spec") {
        volumes::claim_spec(spec);
        if let Some(own) = existing(spec, "resources") {
            resources::round_up(existing(own, "limits"));
            resources::round_up(existing(own, "requests"));
        }
    }
    if !is_set(claim, "status.phase")
        && let Some(status) = child(claim, "status")
    {
        set(status, "phase", "Pending");
    }
}

fn prepare_create(claim: &mut Value, _: &Context) {
    set(claim, "status", json!({"phase": "Pending"}));
    let Some(spec) = existing(claim, "spec") else { return };
    drop_unsupported_source(spec);
    join_sources(spec);
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource.is_empty()
        && let Some(spec) = existing(new, "spec")
    {
        if !is_set(old, "spec.dataSource") {
            drop_unsupported_source(spec);
        }
        join_sources(spec);
    }
}

/// `dataSource` holds claims and snapshots only; anything else is ignored there (and belongs into `dataSourceRef`).
fn drop_unsupported_source(spec: &mut Value) {
    let Some(source) = existing(spec, "dataSource") else { return };
    let known = matches!(
        (text(source, "apiGroup"), text(source, "kind")),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    );
    if !known {
        crate::value::remove(spec, "dataSource");
    }
}

/// `dataSource` and `dataSourceRef` mean the same unless the latter names a namespace.
fn join_sources(spec: &mut Value) {
    match (spec.get("dataSource").cloned(), spec.get("dataSourceRef").cloned()) {
        (Some(source), None) => set(spec, "dataSourceRef", source),
        (None, Some(reference)) if !is_set(&reference, "namespace") => set(spec, "dataSource", reference),
        _ => {}
    }
}

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn validate_create(claim: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    validate_spec(get(claim, "spec"), &Path::new("spec"), &mut errors);
    errors
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource == "status" {
        return errors;
    }
    validate_spec(get(new, "spec"), &Path::new("spec"), &mut errors);
    // A bound claim may ask for more and change its attributes; an unbound one may choose its class and volume late.
    let bound = text(old, "status.phase") == "Bound";
    let settled = |claim: &Value| {
        let mut spec = get(claim, "spec").clone();
        crate::value::remove(&mut spec, "volumeAttributesClassName");
        if bound {
            crate::value::remove(&mut spec, "resources");
        }
        if !is_set(old, "spec.volumeName") {
            crate::value::remove(&mut spec, "volumeName");
        }
        if get(old, "spec.storageClassName").is_null() {
            crate::value::remove(&mut spec, "storageClassName");
        }
        spec
    };
    if !equal(&settled(new), &settled(old)) {
        let detail =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.push(FieldError::forbidden("spec", detail));
    }
    let request = |claim: &Value| resources::quantity(get(claim, "spec.resources.requests.storage"));
    let granted = resources::quantity(get(old, "status.capacity.storage"));
    if let (Some(after), Some(before)) = (request(new), request(old))
        && after < before
        && granted.is_none_or(|granted| after < granted)
    {
        let detail = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden("spec.resources.requests.storage", detail));
    }
    errors
}

/// Complaints about the spec of a claim, also one in a template.
pub fn validate_spec(spec: &Value, path: &Path, errors: &mut Errors) {
    let modes = items(spec, "accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required(path.child("accessModes"), "at least 1 access mode is required"));
    }
    if get(spec, "selector").is_object() {
        label_selector::validate(get(spec, "selector"), &path.child("selector"), errors);
    }
    for mode in modes.iter().filter(|m| !ACCESS_MODES.contains(&m.as_str().unwrap_or(""))) {
        errors.push(FieldError::not_supported(path.child("accessModes"), mode, &ACCESS_MODES));
    }
    if modes.len() > 1 && modes.iter().any(|m| m == "ReadWriteOncePod") {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(path.child("accessModes"), detail));
    }
    let field = path.child("resources");
    match get(spec, "resources.requests").get("storage").and_then(resources::quantity) {
        None => errors.push(FieldError::required(field.key("storage"), "")),
        Some(amount) if amount.sign() <= 0 => {
            errors.push(FieldError::invalid(
                field.key("storage"),
                &amount.canonical().into(),
                "must be greater than zero",
            ));
        }
        Some(_) => {}
    }
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        let complaints = kuorum_schema::names::dns1123_subdomain(class);
        crate::rules::invalid_each(path.child("storageClassName"), class, complaints, errors);
    }
    crate::rules::optional_one_of(spec, "volumeMode", &["Block", "Filesystem"], path, errors);
    let (source, reference) = (get(spec, "dataSource"), get(spec, "dataSourceRef"));
    for (key, found) in [("dataSource", source), ("dataSourceRef", reference)] {
        if found.is_object() {
            crate::rules::required(found, "name", &path.child(key), errors);
            crate::rules::required(found, "kind", &path.child(key), errors);
        }
    }
    if source.is_object() && reference.is_object() && !is_set(reference, "namespace") && !equal(source, reference) {
        errors.push(FieldError::invalid_shown(path, "{}", "must match dataSourceRef"));
    }
}

fn warnings(new: &Value, _: Option<&Value>) -> Vec<String> {
    storage::class_annotation_warning(new).into_iter().collect()
}
