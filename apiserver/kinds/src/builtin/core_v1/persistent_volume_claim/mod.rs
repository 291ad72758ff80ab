//! PersistentVolumeClaim.

mod validate;

pub use validate::spec as validate_spec;

use serde_json::{Value, json};

use super::storage;
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::pod_template::{resources, volumes};
use crate::table::{self, AGE, NAME};
use crate::value::{child, existing, get, is_set, set, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare_create),
    prepare_update: Some(prepare_update),
    validate_create: Some(validate::create),
    validate_update: Some(validate::update),
    warnings: Some(warnings),
    table: Some(TABLE),
    update_metadata: &[Pass::Create, Pass::Update, Pass::Create],
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
    drop_other_namespace(spec);
    drop_unsupported_source(spec);
    join_sources(spec);
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource.is_empty()
        && let Some(spec) = existing(new, "spec")
    {
        if !is_set(old, "spec.dataSourceRef.namespace") {
            drop_other_namespace(spec);
        }
        if !is_set(old, "spec.dataSource") {
            drop_unsupported_source(spec);
        }
        join_sources(spec);
    }
}

/// Sources in other namespaces are behind a feature gate that is off.
fn drop_other_namespace(spec: &mut Value) {
    if is_set(spec, "dataSourceRef.namespace") {
        crate::value::remove(spec, "dataSourceRef");
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

fn warnings(new: &Value, _: Option<&Value>) -> Vec<String> {
    storage::class_annotation_warning(new).into_iter().collect()
}
