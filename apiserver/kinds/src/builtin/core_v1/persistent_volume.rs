//! PersistentVolume.

use serde_json::{Value, json};

use super::storage;
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::path::Path;
use crate::pod_template::{resources, volumes};
use crate::rules::{invalid_each, one_of, optional_one_of};
use crate::table::{self, AGE, NAME};
use crate::value::{child, existing, get, is_set, items, set, set_default, set_default_text, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare_create),
    prepare_update: Some(prepare_update),
    warnings: Some(warnings),
    validate_create: Some(|volume, _| validate(volume)),
    validate_update: Some(
        |new, old, context| if context.subresource.is_empty() { validate_change(new, old) } else { Errors::new() },
    ),
    table: Some(TABLE),
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

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
/// The sources, in the order in which kube-apiserver looks at them.
const SOURCES: [&str; 20] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "storageos",
];

fn validate(volume: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = get(volume, "spec");
    let path = Path::new("spec");
    let modes = items(spec, "accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required(path.child("accessModes"), ""));
    }
    for mode in modes.iter().filter(|m| !ACCESS_MODES.contains(&m.as_str().unwrap_or(""))) {
        errors.push(FieldError::not_supported(path.child("accessModes"), mode, &ACCESS_MODES));
    }
    if modes.len() > 1 && modes.iter().any(|m| m == "ReadWriteOncePod") {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(path.child("accessModes"), detail));
    }
    capacity(spec, &path.child("capacity"), &mut errors);
    if text(spec, "persistentVolumeReclaimPolicy").is_empty() {
        errors.push(FieldError::required(path.child("persistentVolumeReclaimPolicy"), ""));
    } else {
        one_of(spec, "persistentVolumeReclaimPolicy", &["Delete", "Recycle", "Retain"], &path, &mut errors);
    }
    let affinity = get(spec, "nodeAffinity");
    if affinity.is_object() {
        let at = path.child("nodeAffinity.required");
        if get(affinity, "required").is_object() {
            crate::pod_template::validate::node_selector(get(affinity, "required"), &at, &mut errors);
        } else {
            errors.push(FieldError::required(at, "must specify required node constraints"));
        }
    }
    sources(spec, &path, &mut errors);
    if text(spec, "persistentVolumeReclaimPolicy") == "Recycle" && text(spec, "hostPath.path") == "/" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden(path.child("persistentVolumeReclaimPolicy"), detail));
    }
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        let complaints = kuorum_schema::names::dns1123_subdomain(class);
        invalid_each(path.child("storageClassName"), class, complaints, &mut errors);
    }
    optional_one_of(spec, "volumeMode", &["Block", "Filesystem"], &path, &mut errors);
    if is_set(spec, "volumeAttributesClassName") && !get(spec, "csi").is_object() {
        let detail = "has to be specified when using volumeAttributesClassName";
        errors.push(FieldError::required(path.child("csi"), detail));
    }
    errors
}

fn capacity(spec: &Value, path: &Path, errors: &mut Errors) {
    let list = get(spec, "capacity");
    if !is_set(spec, "capacity") {
        errors.push(FieldError::required(path, ""));
    }
    let amount = list.get("storage").and_then(resources::quantity);
    if amount.is_none() || list.as_object().is_some_and(|l| l.len() > 1) {
        errors.push(FieldError::not_supported(path, list, &["storage"]));
    }
    if let Some(amount) = amount {
        if amount.sign() < 0 {
            let detail = "must be a valid resource quantity";
            errors.push(FieldError::invalid(path.key("storage"), &amount.value().into(), detail));
        }
        if amount.sign() <= 0 {
            let shown = amount.canonical().into();
            errors.push(FieldError::invalid(path.key("storage"), &shown, "must be greater than zero"));
        }
    }
}

fn sources(spec: &Value, path: &Path, errors: &mut Errors) {
    let mut count = 0;
    for source in SOURCES.iter().chain(&["local", "csi"]) {
        let found = get(spec, source);
        if !found.is_object() {
            continue;
        }
        count += 1;
        let at = path.child(source);
        if count > 1 {
            errors.push(FieldError::forbidden(at, "may not specify more than 1 volume type"));
            continue;
        }
        match *source {
            "csi" => csi(found, &at, errors),
            "local" => {
                let local = text(found, "path");
                if local.is_empty() {
                    errors.push(FieldError::required(at.child("path"), ""));
                } else if local.split('/').any(|part| part == "..") {
                    errors.push(FieldError::invalid(at.child("path"), &local.into(), "must not contain '..'"));
                }
                if !get(spec, "nodeAffinity").is_object() {
                    let detail = "Local volume requires node affinity";
                    errors.push(FieldError::required(path.child("nodeAffinity"), detail));
                }
            }
            other => {
                crate::pod_template::validate::volumes::one(other, found, &at, errors);
                if other == "azureFile" && get(found, "secretNamespace").as_str() == Some("") {
                    errors.push(FieldError::required(at.child("secretNamespace"), ""));
                }
            }
        }
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

fn csi(source: &Value, path: &Path, errors: &mut Errors) {
    let driver = text(source, "driver");
    crate::pod_template::validate::volumes::csi_driver_name(driver, path.child("driver"), errors);
    if text(source, "volumeHandle").is_empty() {
        errors.push(FieldError::required(path.child("volumeHandle"), ""));
    }
    for key in
        ["controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"]
    {
        let reference = get(source, key);
        if !reference.is_object() {
            continue;
        }
        let path = path.child(key);
        for (field, rule) in [
            ("name", kuorum_schema::names::dns1123_subdomain as fn(&str) -> Vec<String>),
            ("namespace", kuorum_schema::names::dns1123_label),
        ] {
            let value = text(reference, field);
            if value.is_empty() {
                errors.push(FieldError::required(path.child(field), ""));
            } else {
                invalid_each(path.child(field), value, rule(value), errors);
            }
        }
    }
}

/// Where a volume is never changes.
fn validate_change(new: &Value, old: &Value) -> Errors {
    let mut errors = validate(new);
    let (after, before) = (get(new, "spec"), get(old, "spec"));
    let moved = SOURCES.iter().chain(&["local", "csi"]).any(|s| !crate::value::equal(get(after, s), get(before, s)));
    if moved {
        let detail = "spec.persistentvolumesource is immutable after creation";
        errors.push(FieldError::forbidden("spec.persistentvolumesource", detail));
    }
    if get(after, "volumeMode") != get(before, "volumeMode") {
        errors.push(FieldError::invalid("volumeMode", get(after, "volumeMode"), "field is immutable"));
    }
    errors
}
