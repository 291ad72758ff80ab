//! Volumes of pods: their names and sources.

mod devices;
mod files;

pub use devices::{INITIATOR_TOO_LONG, initiator_too_long};
pub use files::local_descending_path;

use std::collections::HashSet;

use kuorum_schema::names;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::metadata;
use crate::path::Path;
use crate::pod_template::resources::quantity;
use crate::rules::{invalid_each, one_of, optional_one_of, required};
use crate::value::{get, int, is_set, text};

/// All volumes; names are unique. Returns the names of those that containers may mount: the ones without complaints.
///
/// `pod` is the pod's name, from which ephemeral volumes make the names of their claims; empty in a template.
pub fn all<'a>(volumes: &'a [Value], pod: &str, is_pod: bool, path: &Path, errors: &mut Errors) -> HashSet<&'a str> {
    let mut seen: HashSet<&str> = HashSet::new();
    for (i, volume) in volumes.iter().enumerate() {
        let path = path.index(i);
        let before = errors.len();
        let name = text(volume, "name");
        sources(volume, pod, is_pod, &path, errors);
        if name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        } else {
            invalid_each(path.child("name"), name, names::dns1123_label(name), errors);
        }
        if seen.contains(name) {
            errors.push(FieldError::duplicate(path.child("name"), &name.into()));
        }
        if errors.len() == before {
            seen.insert(name);
        }
        let claim = text(volume, "persistentVolumeClaim.claimName");
        let made = |other: &Value| {
            get(other, "ephemeral").is_object()
                && claim.strip_prefix(pod).and_then(|rest| rest.strip_prefix('-')) == Some(text(other, "name"))
        };
        if !pod.is_empty() && !claim.is_empty() && volumes.iter().any(made) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            errors.push(FieldError::invalid(path.child("persistentVolumeClaim.claimName"), &claim.into(), detail));
        }
    }
    seen
}

/// In the order in which kube-apiserver looks at them: the field, its name in the paths of complaints about it, and its
/// name where it is one source too many.
const SOURCES: [(&str, &str, &str); 30] = [
    ("emptyDir", "emptyDir", "emptyDir"),
    ("hostPath", "hostPath", "hostPath"),
    ("gitRepo", "gitRepo", "gitRepo"),
    ("gcePersistentDisk", "persistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore", "awsElasticBlockStore"),
    ("secret", "secret", "secret"),
    ("nfs", "nfs", "nfs"),
    ("iscsi", "iscsi", "iscsi"),
    ("glusterfs", "glusterfs", "glusterfs"),
    ("flocker", "flocker", "flocker"),
    ("persistentVolumeClaim", "persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd", "rbd"),
    ("cinder", "cinder", "cinder"),
    ("cephfs", "cephfs", "cephFS"),
    ("quobyte", "quobyte", "quobyte"),
    ("downwardAPI", "downwardAPI", "downwarAPI"),
    ("fc", "fc", "fc"),
    ("flexVolume", "flexVolume", "flexVolume"),
    ("configMap", "configMap", "configMap"),
    ("azureFile", "azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk", "azureDisk"),
    ("storageos", "storageos", "storageos"),
    ("projected", "projected", "projected"),
    ("scaleIO", "scaleIO", "scaleIO"),
    ("csi", "csi", "csi"),
    ("ephemeral", "ephemeral", "ephemeral"),
    ("image", "image", "image"),
];

fn sources(volume: &Value, pod: &str, is_pod: bool, path: &Path, errors: &mut Errors) {
    let name = text(volume, "name");
    let mut count = 0;
    for (key, shown, extra) in SOURCES {
        let source = get(volume, key);
        if source.is_null() {
            continue;
        }
        count += 1;
        if count > 1 {
            errors.push(FieldError::forbidden(path.child(extra), "may not specify more than 1 volume type"));
        } else {
            // A template may leave the image open.
            if key == "image" && is_pod {
                required(source, "reference", &path.child(shown), errors);
            }
            one(key, source, &path.child(shown), errors);
        }
        match key {
            "iscsi" if initiator_too_long(source, name) => {
                errors.push(FieldError::invalid(path.child("name"), &name.into(), INITIATOR_TOO_LONG));
            }
            "ephemeral" if count == 1 && !pod.is_empty() && !name.is_empty() => {
                let claim = format!("{pod}-{name}");
                for complaint in names::dns1123_subdomain(&claim) {
                    let detail = format!("PVC name {claim:?}: {complaint}");
                    errors.push(FieldError::invalid(path.child("name"), &name.into(), &detail));
                }
            }
            _ => {}
        }
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

/// One source of a pod's volume (PersistentVolumes share most of them).
pub fn one(kind: &str, source: &Value, path: &Path, errors: &mut Errors) {
    let all_required = |keys: &[&str], errors: &mut Errors| {
        for key in keys {
            required(source, key, path, errors);
        }
    };
    match kind {
        "emptyDir" if quantity(get(source, "sizeLimit")).is_some_and(|q| q.sign() < 0) => {
            let detail = "SizeLimit field must be a valid resource quantity";
            errors.push(FieldError::forbidden(path.child("sizeLimit"), detail));
        }
        "hostPath" => host_path(source, path, errors),
        "gitRepo" => {
            all_required(&["repository"], errors);
            local_descending_path(text(source, "directory"), path.child("directory"), errors);
        }
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            all_required(&[if kind == "gcePersistentDisk" { "pdName" } else { "volumeID" }], errors);
            let partition = int(source, "partition").unwrap_or(0);
            if !(0..=255).contains(&partition) {
                let detail = "must be between 1 and 255, inclusive";
                errors.push(FieldError::invalid(path.child("partition"), &partition.into(), detail));
            }
        }
        "secret" => files::keyed(source, "secretName", path, errors),
        "configMap" => files::keyed(source, "name", path, errors),
        "nfs" => {
            all_required(&["server", "path"], errors);
            let at = text(source, "path");
            if !at.starts_with('/') {
                errors.push(FieldError::invalid(path.child("path"), &at.into(), "must be an absolute path"));
            }
        }
        "iscsi" => devices::iscsi(source, path, errors),
        "glusterfs" => all_required(&["endpoints", "path"], errors),
        "flocker" => devices::flocker(source, path, errors),
        "persistentVolumeClaim" => all_required(&["claimName"], errors),
        "rbd" => {
            if !is_set(source, "monitors") {
                errors.push(FieldError::required(path.child("monitors"), ""));
            }
            all_required(&["image"], errors);
        }
        "cinder" => {
            all_required(&["volumeID"], errors);
            secret_ref(source, "secretRef", path, errors);
        }
        "cephfs" if !is_set(source, "monitors") => {
            errors.push(FieldError::required(path.child("monitors"), ""));
        }
        "quobyte" => devices::quobyte(source, path, errors),
        "downwardAPI" => files::downward(source, path, errors),
        "fc" => devices::fibre_channel(source, path, errors),
        "flexVolume" => devices::flex(source, path, errors),
        "azureFile" => all_required(&["secretName", "shareName"], errors),
        "vsphereVolume" => all_required(&["volumePath"], errors),
        "photonPersistentDisk" => all_required(&["pdID"], errors),
        "portworxVolume" => all_required(&["volumeID"], errors),
        "azureDisk" => devices::azure_disk(source, path, errors),
        "storageos" => {
            all_required(&["volumeName"], errors);
            let name = text(source, "volumeName");
            if !name.is_empty() {
                invalid_each(path.child("volumeName"), name, names::dns1123_label(name), errors);
            }
            let namespace = text(source, "volumeNamespace");
            if !namespace.is_empty() {
                invalid_each(path.child("volumeNamespace"), namespace, names::dns1123_label(namespace), errors);
            }
            secret_ref(source, "secretRef", path, errors);
        }
        "projected" => files::projected(source, path, errors),
        "scaleIO" => all_required(&["gateway", "system", "volumeName"], errors),
        "csi" => {
            csi_driver_name(text(source, "driver"), path.child("driver"), errors);
            secret_ref(source, "nodePublishSecretRef", path, errors);
            let secret = text(source, "nodePublishSecretRef.name");
            if !secret.is_empty() {
                invalid_each(path.child("name"), secret, names::dns1123_subdomain(secret), errors);
            }
        }
        "ephemeral" => ephemeral(source, path, errors),
        "image" => one_of(source, "pullPolicy", &["Always", "IfNotPresent", "Never"], path, errors),
        _ => {}
    }
}

/// The name of a CSI driver: a subdomain of at most 63 bytes, in any case.
pub fn csi_driver_name(name: &str, path: Path, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    if name.len() > 63 {
        errors.push(FieldError::too_long(path, 63));
    }
    if !name.is_empty() {
        let complaints = names::dns1123_subdomain(&name.to_lowercase());
        invalid_each(path, name, complaints, errors);
    }
}

fn secret_ref(source: &Value, key: &str, path: &Path, errors: &mut Errors) {
    let reference = get(source, key);
    if reference.is_object() && !is_set(reference, "name") {
        errors.push(FieldError::required(path.child(key).child("name"), ""));
    }
}

fn host_path(source: &Value, path: &Path, errors: &mut Errors) {
    let at = text(source, "path");
    if at.is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
        return;
    }
    if at.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path.child("path"), &at.into(), "must not contain '..'"));
    }
    let known = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    optional_one_of(source, "type", &known, path, errors);
}

/// All of a template's metadata but labels and annotations, in the order of Go's struct; one name in paths is Go's.
const NOT_FOR_TEMPLATES: [(&str, &str); 12] = [
    ("name", "name"),
    ("generateName", "generateName"),
    ("namespace", "namespace"),
    ("selfLink", "selfLink"),
    ("uid", "uID"),
    ("resourceVersion", "resourceVersion"),
    ("generation", "generation"),
    ("creationTimestamp", "creationTimestamp"),
    ("deletionTimestamp", "deletionTimestamp"),
    ("deletionGracePeriodSeconds", "deletionGracePeriodSeconds"),
    ("ownerReferences", "ownerReferences"),
    ("finalizers", "finalizers"),
];

fn ephemeral(source: &Value, path: &Path, errors: &mut Errors) {
    let template = get(source, "volumeClaimTemplate");
    let path = path.child("volumeClaimTemplate");
    if !template.is_object() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let meta = get(template, "metadata");
    let at = path.child("metadata");
    metadata::validate_annotations(get(meta, "annotations"), &at.child("annotations"), errors);
    metadata::validate_labels(get(meta, "labels"), &at.child("labels"), errors);
    for (key, shown) in NOT_FOR_TEMPLATES {
        if is_set(meta, key) {
            errors.push(FieldError::forbidden(at.child(shown), "cannot be set"));
        }
    }
    crate::builtin::core_v1::persistent_volume_claim::validate_spec(get(template, "spec"), &path.child("spec"), errors);
}
