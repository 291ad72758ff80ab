//! What is wrong with a PersistentVolume: exactly one source, which never changes.

use kuorum_schema::names;
use serde_json::Value;

use super::super::storage;
use crate::field::{Errors, FieldError};
use crate::hooks::Context;
use crate::path::Path;
use crate::pod_template::resources;
use crate::pod_template::validate::volumes;
use crate::rules::{immutable, invalid_each, optional_one_of};
use crate::value::{entries, equal, existing, get, is_set, items, items_mut, text};
use crate::{diff, internal};

/// The sources in the order in which kube-apiserver looks at them, with the name it gives them in paths.
const SOURCES: [(&str, &str); 22] = [
    ("hostPath", "hostPath"),
    ("gcePersistentDisk", "persistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("nfs", "nfs"),
    ("rbd", "rbd"),
    ("quobyte", "quobyte"),
    ("cephfs", "cephfs"),
    ("iscsi", "iscsi"),
    ("cinder", "cinder"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("scaleIO", "scaleIO"),
    ("local", "local"),
    ("storageos", "storageos"),
    ("csi", "csi"),
];

/// The sources whose mount options may be in an annotation.
const MOUNT_OPTIONS: [&str; 13] = [
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "iscsi",
    "cinder",
    "cephfs",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "photonPersistentDisk",
];
const MOUNT_OPTIONS_ANNOTATION: &str = "volume.beta.kubernetes.io/mount-options";

pub fn create(volume: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    validate_spec(volume, &mut errors);
    mount_options(volume, &mut errors);
    errors
}

pub fn update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource.is_empty() {
        // kube-apiserver looks at the whole volume, and then once more.
        errors = create(new, context);
        validate_spec(new, &mut errors);
        unchanged(new, old, &mut errors);
    }
    errors
}

fn validate_spec(volume: &Value, errors: &mut Errors) {
    spec(get(volume, "spec"), text(volume, "metadata.name"), &Path::new("spec"), errors);
}

fn spec(spec: &Value, name: &str, path: &Path, errors: &mut Errors) {
    modes(spec, path, errors);
    capacity(spec, &path.child("capacity"), errors);
    optional_one_of(spec, "persistentVolumeReclaimPolicy", &["Delete", "Recycle", "Retain"], path, errors);
    let affinity = get(spec, "nodeAffinity");
    if affinity.is_object() {
        let at = path.child("nodeAffinity.required");
        if get(affinity, "required").is_object() {
            crate::pod_template::validate::node_selector(get(affinity, "required"), &at, errors);
        } else {
            errors.push(FieldError::required(at, "must specify required node constraints"));
        }
    }
    sources(spec, name, path, errors);
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        invalid_each(path.child("storageClassName"), class, names::dns1123_subdomain(class), errors);
    }
    optional_one_of(spec, "volumeMode", &["Block", "Filesystem"], path, errors);
    attributes_class(spec, path, errors);
}

/// A volume that an attachment describes itself: only what a CSI driver needs.
pub fn inline_spec(spec: &Value, path: &Path, errors: &mut Errors) {
    let refused = |key: &str, errors: &mut Errors| {
        if is_set(spec, key) {
            let detail = "may not be specified in the context of inline volumes";
            errors.push(FieldError::forbidden(path.child(key), detail));
        }
    };
    refused("claimRef", errors);
    refused("capacity", errors);
    if !get(spec, "csi").is_object() {
        errors.push(FieldError::required(path.child("csi"), "has to be specified in the context of inline volumes"));
    }
    modes(spec, path, errors);
    if !matches!(text(spec, "persistentVolumeReclaimPolicy"), "" | "Retain") {
        let detail = "may only be Retain in the context of inline volumes";
        errors.push(FieldError::forbidden(path.child("persistentVolumeReclaimPolicy"), detail));
    }
    refused("nodeAffinity", errors);
    sources(spec, "", path, errors);
    refused("storageClassName", errors);
    if !matches!(text(spec, "volumeMode"), "" | "Filesystem") {
        let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
        errors.push(FieldError::forbidden(path.child("volumeMode"), detail));
    }
    attributes_class(spec, path, errors);
}

fn modes(spec: &Value, path: &Path, errors: &mut Errors) {
    let modes = items(spec, "accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required(path.child("accessModes"), ""));
    }
    storage::access_mode_rules(modes, path, errors);
}

fn attributes_class(spec: &Value, path: &Path, errors: &mut Errors) {
    let Some(class) = get(spec, "volumeAttributesClassName").as_str() else { return };
    let at = path.child("volumeAttributesClassName");
    if class.is_empty() {
        errors.push(FieldError::required(at, "an empty string is disallowed"));
    } else {
        invalid_each(at, class, names::dns1123_subdomain(class), errors);
    }
    if !get(spec, "csi").is_object() {
        let detail = "has to be specified when using volumeAttributesClassName";
        errors.push(FieldError::required(path.child("csi"), detail));
    }
}

/// Whether a path is the root in another spelling.
fn is_root(path: &str) -> bool {
    let mut depth = 0_usize;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    path.starts_with('/') && depth == 0
}

fn mount_options(volume: &Value, errors: &mut Errors) {
    let has = get(volume, "metadata.annotations").get(MOUNT_OPTIONS_ANNOTATION).is_some();
    if has && !MOUNT_OPTIONS.iter().any(|source| get(get(volume, "spec"), source).is_object()) {
        let field = format!("metadata.annotations.{MOUNT_OPTIONS_ANNOTATION}");
        errors.push(FieldError::forbidden(field, "may not specify mount options for this volume type"));
    }
}

fn capacity(spec: &Value, path: &Path, errors: &mut Errors) {
    let list = get(spec, "capacity");
    if !is_set(spec, "capacity") {
        errors.push(FieldError::required(path, ""));
    }
    if list.get("storage").is_none() || list.as_object().is_some_and(|l| l.len() > 1) {
        errors.push(FieldError::not_supported(path, list, &["storage"]));
    }
    for (name, amount) in entries(spec, "capacity") {
        let Some(amount) = resources::quantity(amount) else { continue };
        if amount.sign() < 0 {
            let detail = "must be a valid resource quantity";
            errors.push(FieldError::invalid(path.key(name), &amount.value().into(), detail));
        }
        if amount.sign() <= 0 {
            let shown = amount.canonical().into();
            errors.push(FieldError::invalid(path.key(name), &shown, "must be greater than zero"));
        }
    }
}

fn sources(spec: &Value, name: &str, path: &Path, errors: &mut Errors) {
    let mut count = 0;
    for (source, shown) in SOURCES {
        let found = get(spec, source);
        if !found.is_object() {
            continue;
        }
        count += 1;
        if count > 1 {
            let detail = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(path.child(source), detail));
            continue;
        }
        let at = path.child(shown);
        match source {
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
                of_a_pod_too(other, found, name, &at, errors);
            }
        }
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
    if text(spec, "persistentVolumeReclaimPolicy") == "Recycle" && is_root(text(spec, "hostPath.path")) {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden(path.child("persistentVolumeReclaimPolicy"), detail));
    }
}

/// A source that pods can have as well, where it names what is in the pod's own namespace.
fn of_a_pod_too(kind: &str, source: &Value, volume: &str, path: &Path, errors: &mut Errors) {
    if kind == "iscsi" && volumes::initiator_too_long(source, volume) {
        let portal = text(source, "targetPortal").into();
        errors.push(FieldError::invalid(path.child("targetportal"), &portal, volumes::INITIATOR_TOO_LONG));
    }
    volumes::one(kind, source, path, errors);
    let secret = get(source, "secretRef");
    let secret_path = path.child("secretRef");
    match kind {
        "iscsi" if secret.is_object() && !is_set(secret, "name") => {
            errors.push(FieldError::required(secret_path.child("name"), ""));
        }
        "cinder" | "storageos" if secret.is_object() && !is_set(secret, "namespace") => {
            errors.push(FieldError::required(secret_path.child("namespace"), ""));
        }
        "azureFile" if get(source, "secretNamespace").as_str() == Some("") => {
            errors.push(FieldError::required(path.child("secretNamespace"), ""));
        }
        "glusterfs" => {
            let at = path.child("endpointsNamespace");
            match get(source, "endpointsNamespace").as_str() {
                Some("") => {
                    let detail = "if the endpointnamespace is set, it must be a valid namespace name";
                    errors.push(FieldError::invalid(at, &"".into(), detail));
                }
                Some(namespace) => invalid_each(at, namespace, names::dns1123_label(namespace), errors),
                None => {}
            }
        }
        _ => {}
    }
}

fn csi(source: &Value, path: &Path, errors: &mut Errors) {
    let driver = text(source, "driver");
    volumes::csi_driver_name(driver, path.child("driver"), errors);
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
        for (field, rule) in
            [("name", names::dns1123_subdomain as fn(&str) -> Vec<String>), ("namespace", names::dns1123_label)]
        {
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
fn unchanged(new: &Value, old: &Value, errors: &mut Errors) {
    let before = get(old, "spec");
    let mut after = get(new, "spec").clone();
    // The secret for growing a volume may be told later.
    let late = "controllerExpandSecretRef";
    if get(before, "csi").is_object()
        && get(get(before, "csi"), late).is_null()
        && let Some(csi) = existing(&mut after, "csi")
    {
        crate::value::remove(csi, late);
    }
    if SOURCES.iter().any(|(source, _)| !equal(get(&after, source), get(before, source))) {
        let changes = diff::unified(
            &internal::show_indented("PersistentVolumeSource", before),
            &internal::show_indented("PersistentVolumeSource", &after),
        );
        let detail = format!("spec.persistentvolumesource is immutable after creation\n{changes}");
        errors.push(FieldError::forbidden("spec.persistentvolumesource", &detail));
    }
    immutable(get(&after, "volumeMode"), get(before, "volumeMode"), Path::new("volumeMode"), errors);
    let (affinity, old_affinity) = (get(&after, "nodeAffinity"), get(before, "nodeAffinity"));
    if old_affinity.is_object() && !equal(affinity, old_affinity) && !only_renamed_labels(affinity, old_affinity) {
        let shown = internal::show("VolumeNodeAffinity", affinity);
        let detail = "field is immutable, except for updating from beta label to GA";
        errors.push(FieldError::invalid_shown("nodeAffinity", &shown, detail));
    }
    if is_set(before, "volumeAttributesClassName") && get(&after, "volumeAttributesClassName").is_null() {
        let detail = "update from non-nil value to nil is forbidden";
        errors.push(FieldError::forbidden("spec.volumeAttributesClassName", detail));
    }
}

/// Labels of nodes that have got other names since.
const RENAMED_LABELS: [(&str, &str); 5] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

/// Whether two affinities differ only in old and new names of the same labels.
fn only_renamed_labels(after: &Value, before: &Value) -> bool {
    let mut renamed = before.clone();
    let terms = |affinity: &Value| items(affinity, "required.nodeSelectorTerms").len();
    if terms(after) != terms(before) {
        return false;
    }
    let Some(required) = existing(&mut renamed, "required") else { return false };
    let new_terms = items(after, "required.nodeSelectorTerms");
    for (term, new_term) in items_mut(required, "nodeSelectorTerms").iter_mut().zip(new_terms) {
        for list in ["matchExpressions", "matchFields"] {
            for (requirement, new) in items_mut(term, list).iter_mut().zip(items(new_term, list)) {
                let pair = (text(requirement, "key"), text(new, "key"));
                if RENAMED_LABELS.contains(&pair) {
                    crate::value::carry_over(requirement, new, "key");
                }
            }
        }
    }
    equal(after, &renamed)
}
