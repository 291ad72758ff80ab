//! Volumes of pods.

use std::collections::HashSet;

use kuorum_schema::names;
use serde_json::Value;

use super::env;
use crate::field::{Errors, FieldError};
use crate::metadata;
use crate::path::Path;
use crate::pod_template::resources::quantity;
use crate::rules::{invalid_each, one_of, optional_one_of, required};
use crate::value::{entries, flag, get, int, is_set, items, text};

/// What a downward API file can show.
const DOWNWARD_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Shortest life of a projected token, in seconds.
const TOKEN_SECONDS_MIN: i64 = 10 * 60;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

/// All volumes; names are unique. Returns the names of those that containers may mount: the ones without complaints.
pub fn all<'a>(volumes: &'a [Value], path: &Path, errors: &mut Errors) -> HashSet<&'a str> {
    let mut seen: HashSet<&str> = HashSet::new();
    for (i, volume) in volumes.iter().enumerate() {
        let path = path.index(i);
        let before = errors.len();
        sources(volume, &path, errors);
        let name = text(volume, "name");
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
    }
    seen
}

/// In the order in which kube-apiserver looks at them, with the name it gives them in paths.
const SOURCES: [(&str, &str); 31] = [
    ("emptyDir", "emptyDir"),
    ("hostPath", "hostPath"),
    ("gitRepo", "gitRepo"),
    ("gcePersistentDisk", "persistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("secret", "secret"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd"),
    ("cinder", "cinder"),
    ("cephfs", "cephfs"),
    ("quobyte", "quobyte"),
    ("downwardAPI", "downwardAPI"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("azureFile", "azureFile"),
    ("configMap", "configMap"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("storageos", "storageos"),
    ("projected", "projected"),
    ("scaleIO", "scaleIO"),
    ("csi", "csi"),
    ("ephemeral", "ephemeral"),
    ("image", "image"),
    ("local", "local"),
];

fn sources(volume: &Value, path: &Path, errors: &mut Errors) {
    let mut count = 0;
    for (key, shown) in SOURCES {
        let source = get(volume, key);
        if source.is_null() {
            continue;
        }
        count += 1;
        if count > 1 {
            errors.push(FieldError::forbidden(path.child(key), "may not specify more than 1 volume type"));
        } else {
            one(key, source, &path.child(shown), errors);
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
            let (id, least) = if kind == "gcePersistentDisk" { ("pdName", 1) } else { ("volumeID", 0) };
            all_required(&[id], errors);
            let partition = int(source, "partition").unwrap_or(0);
            if partition != 0 && !(1..=255).contains(&partition) {
                let least = if least == 1 { 1 } else { 0 };
                let detail = format!("must be between {least} and 255, inclusive");
                errors.push(FieldError::invalid(path.child("partition"), &partition.into(), &detail));
            }
        }
        "secret" => keyed_files(source, "secretName", path, errors),
        "configMap" => keyed_files(source, "name", path, errors),
        "nfs" => {
            all_required(&["server", "path"], errors);
            let at = text(source, "path");
            if !at.starts_with('/') {
                errors.push(FieldError::invalid(path.child("path"), &at.into(), "must be an absolute path"));
            }
        }
        "iscsi" => iscsi(source, path, errors),
        "glusterfs" => all_required(&["endpoints", "path"], errors),
        "flocker" => flocker(source, path, errors),
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
        "quobyte" => quobyte(source, path, errors),
        "downwardAPI" => {
            file_mode(source, "defaultMode", path, errors);
            for item in items(source, "items") {
                downward_item(item, path, errors);
            }
        }
        "fc" => fibre_channel(source, path, errors),
        "flexVolume" => flex(source, path, errors),
        "azureFile" => all_required(&["secretName", "shareName"], errors),
        "vsphereVolume" => all_required(&["volumePath"], errors),
        "photonPersistentDisk" => all_required(&["pdID"], errors),
        "portworxVolume" => all_required(&["volumeID"], errors),
        "azureDisk" => azure_disk(source, path, errors),
        "storageos" => {
            all_required(&["volumeName"], errors);
            let namespace = text(source, "volumeNamespace");
            if !namespace.is_empty() {
                invalid_each(path.child("volumeNamespace"), namespace, names::dns1123_label(namespace), errors);
            }
            secret_ref(source, "secretRef", path, errors);
        }
        "projected" => projected(source, path, errors),
        "scaleIO" => all_required(&["gateway", "system", "volumeName"], errors),
        "csi" => {
            csi_driver_name(text(source, "driver"), path.child("driver"), errors);
            secret_ref(source, "nodePublishSecretRef", path, errors);
        }
        "ephemeral" => ephemeral(source, path, errors),
        "image" => {
            all_required(&["reference"], errors);
            one_of(source, "pullPolicy", &["Always", "IfNotPresent", "Never"], path, errors);
        }
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

/// A relative path that does not leave its directory.
pub fn local_descending_path(value: &str, path: Path, errors: &mut Errors) {
    if value.starts_with('/') {
        errors.push(FieldError::invalid(path, &value.into(), "must be a relative path"));
    }
    if value.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, &value.into(), "must not contain '..'"));
    }
}

/// As [`local_descending_path`], and nothing may begin with two dots (they are taken for atomic updates).
fn local_file_path(value: &str, path: Path, errors: &mut Errors) {
    let before = errors.len();
    local_descending_path(value, path, errors);
    if value.starts_with("..") && errors.len() == before {
        errors.push(FieldError::invalid(path, &value.into(), "must not start with '..'"));
    }
}

fn file_mode(object: &Value, key: &str, path: &Path, errors: &mut Errors) {
    if let Some(mode) = int(object, key)
        && !(0..=0o777).contains(&mode)
    {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(path.child(key), &mode.into(), detail));
    }
}

fn key_to_path(item: &Value, path: &Path, errors: &mut Errors) {
    required(item, "key", path, errors);
    let at = text(item, "path");
    if at.is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
    }
    local_file_path(at, path.child("path"), errors);
    file_mode(item, "mode", path, errors);
}

fn keyed_files(source: &Value, name: &str, path: &Path, errors: &mut Errors) {
    required(source, name, path, errors);
    file_mode(source, "defaultMode", path, errors);
    let list = path.child("items");
    for (i, item) in items(source, "items").iter().enumerate() {
        key_to_path(item, &list.index(i), errors);
    }
}

fn downward_item(item: &Value, path: &Path, errors: &mut Errors) {
    let at = text(item, "path");
    if at.is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
    }
    local_file_path(at, path.child("path"), errors);
    let field = get(item, "fieldRef");
    let resource = get(item, "resourceFieldRef");
    if field.is_object() {
        env::field_ref(field, &DOWNWARD_FIELDS, &path.child("fieldRef"), errors);
        if resource.is_object() {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            errors.push(FieldError::invalid(path, &"resource".into(), detail));
        }
    } else if resource.is_object() {
        env::resource_field_ref(resource, true, &path.child("resourceFieldRef"), errors);
    } else {
        errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
    }
    file_mode(item, "mode", path, errors);
}

fn projected(source: &Value, path: &Path, errors: &mut Errors) {
    file_mode(source, "defaultMode", path, errors);
    let mut paths: HashSet<&str> = HashSet::new();
    let list = path.child("sources");
    for (i, part) in items(source, "sources").iter().enumerate() {
        let at = list.index(i);
        let mut count = 0;
        for kind in ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"] {
            let found = get(part, kind);
            if !found.is_object() {
                continue;
            }
            count += 1;
            if count > 1 {
                errors.push(FieldError::forbidden(at, "may not specify more than 1 volume type per source"));
                continue;
            }
            let here = at.child(kind);
            match kind {
                "secret" | "configMap" => {
                    required(found, "name", &here, errors);
                    let list = here.child("items");
                    for (j, item) in items(found, "items").iter().enumerate() {
                        key_to_path(item, &list.index(j), errors);
                        let at = text(item, "path");
                        if !at.is_empty() && !paths.insert(at) {
                            let detail = "conflicting duplicate paths";
                            errors.push(FieldError::invalid(path, get(found, "name"), detail));
                        }
                    }
                }
                "downwardAPI" => {
                    for item in items(found, "items") {
                        downward_item(item, &here, errors);
                    }
                }
                "serviceAccountToken" => token(found, &here, path, errors),
                _ => required(found, "path", &here, errors),
            }
        }
    }
}

fn token(source: &Value, path: &Path, projected: &Path, errors: &mut Errors) {
    let seconds = int(source, "expirationSeconds").unwrap_or(0);
    let at = path.child("expirationSeconds");
    if seconds < TOKEN_SECONDS_MIN {
        errors.push(FieldError::invalid(at, &seconds.into(), "may not specify a duration less than 10 minutes"));
    } else if seconds > TOKEN_SECONDS_MAX {
        errors.push(FieldError::invalid(at, &seconds.into(), "may not specify a duration larger than 2^32 seconds"));
    }
    if !is_set(source, "path") {
        errors.push(FieldError::required(projected.child("path"), ""));
    } else {
        local_file_path(text(source, "path"), projected.child("path"), errors);
    }
}

fn iscsi(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, "targetPortal", path, errors);
    let qualified = |name: &str| ["iqn.", "eui.", "naa."].iter().any(|prefix| name.starts_with(prefix));
    let iqn = text(source, "iqn");
    if iqn.is_empty() {
        errors.push(FieldError::required(path.child("iqn"), ""));
    } else if !qualified(iqn) {
        let detail = "must be valid format starting with iqn, eui, or naa";
        errors.push(FieldError::invalid(path.child("iqn"), &iqn.into(), detail));
    }
    let lun = int(source, "lun").unwrap_or(0);
    if !(0..=255).contains(&lun) {
        errors.push(FieldError::invalid(path.child("lun"), &lun.into(), "must be between 0 and 255, inclusive"));
    }
    if (flag(source, "chapAuthDiscovery") || flag(source, "chapAuthSession")) && !get(source, "secretRef").is_object() {
        errors.push(FieldError::required(path.child("secretRef"), ""));
    }
    if let Some(name) = get(source, "initiatorName").as_str()
        && !qualified(name)
    {
        let detail = "must be valid format starting with iqn, eui, or naa";
        errors.push(FieldError::invalid(path.child("initiatorname"), &name.into(), detail));
    }
}

fn flocker(source: &Value, path: &Path, errors: &mut Errors) {
    let (name, id) = (text(source, "datasetName"), text(source, "datasetUUID"));
    if name.is_empty() && id.is_empty() {
        errors.push(FieldError::required(path, "one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !id.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(FieldError::invalid(path, &"resource".into(), detail));
    }
    if name.contains('/') {
        errors.push(FieldError::invalid(path.child("datasetName"), &name.into(), "must not contain '/'"));
    }
}

fn quobyte(source: &Value, path: &Path, errors: &mut Errors) {
    let registry = text(source, "registry");
    if registry.is_empty() {
        let detail = "must be a host:port pair or multiple pairs separated by commas";
        errors.push(FieldError::required(path.child("registry"), detail));
    } else if text(source, "tenant").len() >= 65 {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(FieldError::required(path.child("tenant"), detail));
    } else if registry.split(',').any(|pair| pair.split_once(':').is_none()) {
        let detail = "must be a host:port pair or multiple pairs separated by commas";
        errors.push(FieldError::invalid(path.child("registry"), &registry.into(), detail));
    }
    required(source, "volume", path, errors);
}

fn fibre_channel(source: &Value, path: &Path, errors: &mut Errors) {
    let (targets, ids) = (is_set(source, "targetWWNs"), is_set(source, "wwids"));
    match (targets, ids) {
        (false, false) => {
            let detail = "must specify either targetWWNs or wwids, but not both";
            errors.push(FieldError::required(path.child("targetWWNs"), detail));
        }
        (true, true) => {
            let detail = "targetWWNs and wwids can not be specified simultaneously";
            errors.push(FieldError::invalid(path.child("targetWWNs"), get(source, "targetWWNs"), detail));
        }
        _ => {}
    }
    if targets {
        match int(source, "lun") {
            None => errors.push(FieldError::required(path.child("lun"), "lun is required if targetWWNs is specified")),
            Some(lun) if !(0..=255).contains(&lun) => {
                errors.push(FieldError::invalid(
                    path.child("lun"),
                    &lun.into(),
                    "must be between 0 and 255, inclusive",
                ));
            }
            Some(_) => {}
        }
    }
}

fn flex(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, "driver", path, errors);
    for (key, _) in entries(source, "options") {
        let namespace = key.split('/').next().unwrap_or("");
        if key.contains('/')
            && (format!(".{namespace}").ends_with(".kubernetes.io") || format!(".{namespace}").ends_with(".k8s.io"))
        {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(FieldError::invalid(path.child("options").key(key), &key.into(), detail));
        }
    }
}

fn azure_disk(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, "diskName", path, errors);
    required(source, "diskURI", path, errors);
    optional_one_of(source, "cachingMode", &["None", "ReadOnly", "ReadWrite"], path, errors);
    let known = ["Dedicated", "Managed", "Shared"];
    optional_one_of(source, "kind", &known, path, errors);
    let uri = text(source, "diskURI");
    let managed = text(source, "kind") == "Managed";
    if managed && !uri.starts_with("/subscriptions/") {
        let form = ["/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"];
        errors.push(FieldError::not_supported(path.child("diskURI"), &uri.into(), &form));
    }
    if !managed && !uri.starts_with("https://") {
        let form = ["https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"];
        errors.push(FieldError::not_supported(path.child("diskURI"), &uri.into(), &form));
    }
}

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
    for key in ["name", "generateName", "namespace", "finalizers", "ownerReferences"] {
        if is_set(meta, key) {
            errors.push(FieldError::forbidden(at.child(key), "cannot be set"));
        }
    }
    crate::builtin::core_v1::persistent_volume_claim::validate_spec(get(template, "spec"), &path.child("spec"), errors);
}
