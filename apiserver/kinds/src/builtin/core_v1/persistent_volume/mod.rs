//! PersistentVolume.

mod validate;

pub use validate::inline_spec;

use serde_json::{Value, json};

use super::storage;
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::pod_template::volumes;
use crate::table::{self, AGE, NAME};
use crate::value::{child, existing, get, is_set, set, set_default, set_default_text, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare_create),
    prepare_update: Some(prepare_update),
    warnings: Some(warnings),
    validate_create: Some(validate::create),
    validate_update: Some(validate::update),
    table: Some(TABLE),
    update_metadata: &[Pass::Create, Pass::Create],
    ..Hooks::NONE
};

const SPEC: &str = "io.k8s.api.core.v1.PersistentVolumeSpec";
const STATUS: &str = "io.k8s.api.core.v1.PersistentVolumeStatus";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Capacity", "string", SPEC, "capacity"),
        table::field("Access Modes", "string", SPEC, "accessModes"),
        table::field("Reclaim Policy", "string", SPEC, "persistentVolumeReclaimPolicy"),
        table::field("Status", "string", STATUS, "phase"),
        table::field("Claim", "string", SPEC, "claimRef"),
        table::own("StorageClass", "string", "StorageClass of the pv"),
        table::own("VolumeAttributesClass", "string", "VolumeAttributesClass of the pv"),
        table::field("Reason", "string", STATUS, "reason"),
        AGE,
        table::field("VolumeMode", "string", SPEC, "volumeMode").wide(),
    ],
    cells,
);

fn cells(volume: &Value, now: i64) -> Vec<Value> {
    let claim = get(volume, "spec.claimRef");
    let claim =
        if claim.is_object() { format!("{}/{}", text(claim, "namespace"), text(claim, "name")) } else { String::new() };
    let phase = if is_set(volume, "metadata.deletionTimestamp") { "Terminating" } else { text(volume, "status.phase") };
    vec![
        table::name(volume),
        table::quantity(get(volume, "spec.capacity.storage")).into(),
        storage::access_modes(volume, "spec.accessModes").into(),
        text(volume, "spec.persistentVolumeReclaimPolicy").into(),
        phase.into(),
        claim.into(),
        storage::class(volume).into(),
        table::or_unset(text(volume, "spec.volumeAttributesClassName")),
        text(volume, "status.reason").into(),
        table::age(volume, now),
        table::or_unset(text(volume, "spec.volumeMode")),
    ]
}

fn default(volume: &mut Value) {
    if let Some(spec) = child(volume, "spec") {
        set_default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
        set_default(spec, "volumeMode", "Filesystem");
        for source in ["hostPath", "iscsi", "rbd", "azureDisk", "scaleIO"] {
            if let Some(found) = existing(spec, source) {
                volumes::persistent_source(source, found);
            }
        }
    }
    if !is_set(volume, "status.phase")
        && let Some(status) = child(volume, "status")
    {
        set(status, "phase", "Pending");
    }
}

fn prepare_create(volume: &mut Value, context: &Context) {
    set(volume, "status", json!({"phase": "Pending", "lastPhaseTransitionTime": context.now}));
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource == "status"
        && text(new, "status.phase") != text(old, "status.phase")
        && get(new, "status.lastPhaseTransitionTime") == get(old, "status.lastPhaseTransitionTime")
        && let Some(status) = child(new, "status")
    {
        set(status, "lastPhaseTransitionTime", context.now);
    }
}

/// Volume plugins that no longer work.
fn warnings(new: &Value, _: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (source, text) in [
        ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
        ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
        ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ] {
        if get(new, "spec").get(source).is_some() {
            let shown = if source == "storageos" { "storageOS" } else { source };
            warnings.push(format!("spec.{shown}: {text}"));
        }
    }
    warnings.extend(storage::class_annotation_warning(new));
    warnings
}
