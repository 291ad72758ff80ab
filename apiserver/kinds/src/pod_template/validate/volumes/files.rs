//! Volumes that are made of files: from Secrets, ConfigMaps, the pod's own fields, tokens and trust bundles.

use std::collections::HashSet;

use serde_json::Value;

use super::super::env;
use crate::builtin::certificates_v1::signers;
use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::rules::required;
use crate::value::{get, int, is_set, items, text};
use crate::{internal, label_selector};

/// What a downward API file can show.
const DOWNWARD_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Shortest life of a projected token, in seconds.
const TOKEN_SECONDS_MIN: i64 = 10 * 60;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

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

fn mode(object: &Value, key: &str, path: &Path, errors: &mut Errors) {
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
    mode(item, "mode", path, errors);
}

/// A Secret or a ConfigMap as files.
pub fn keyed(source: &Value, name: &str, path: &Path, errors: &mut Errors) {
    required(source, name, path, errors);
    mode(source, "defaultMode", path, errors);
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
    mode(item, "mode", path, errors);
}

/// Files from a pod's own fields.
pub fn downward(source: &Value, path: &Path, errors: &mut Errors) {
    mode(source, "defaultMode", path, errors);
    for item in items(source, "items") {
        downward_item(item, path, errors);
    }
}

/// Files from several sources in one directory: each source is of one kind, no two files have one path.
pub fn projected(source: &Value, path: &Path, errors: &mut Errors) {
    mode(source, "defaultMode", path, errors);
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
            let here = at.child(kind);
            match kind {
                "secret" | "configMap" => {
                    required(found, "name", &here, errors);
                    let list = here.child("items");
                    for (j, item) in items(found, "items").iter().enumerate() {
                        key_to_path(item, &list.index(j), errors);
                        let name = Value::from(text(found, "name"));
                        claim_path(text(item, "path"), &name, &mut paths, path, errors);
                    }
                }
                "downwardAPI" => {
                    for item in items(found, "items") {
                        downward_item(item, &here, errors);
                        let at = text(item, "path");
                        claim_path(at, &at.into(), &mut paths, path, errors);
                    }
                }
                "serviceAccountToken" => token(found, &here, path, errors),
                _ => {
                    trust_bundle(found, &here, errors);
                    let at = text(found, "path");
                    if !paths.insert(at) {
                        errors.push(FieldError::invalid(path, &at.into(), "conflicting duplicate paths"));
                    }
                }
            }
        }
        if count > 1 {
            errors.push(FieldError::forbidden(at, "may not specify more than 1 volume type per source"));
        }
    }
}

fn claim_path<'a>(at: &'a str, shown: &Value, paths: &mut HashSet<&'a str>, path: &Path, errors: &mut Errors) {
    if !at.is_empty() && !paths.insert(at) {
        errors.push(FieldError::invalid(path, shown, "conflicting duplicate paths"));
    }
}

/// Trust anchors, by the name of their bundle or by signer and labels.
fn trust_bundle(source: &Value, path: &Path, errors: &mut Errors) {
    let selector = get(source, "labelSelector");
    match (get(source, "name").as_str(), get(source, "signerName").as_str()) {
        (Some(_), Some(_)) => {
            let shown = internal::show("ClusterTrustBundleProjection", source);
            errors.push(FieldError::invalid_shown(path, &shown, "only one of name and signerName may be used"));
        }
        (Some(name), None) => {
            if name.is_empty() {
                errors.push(FieldError::required(path.child("name"), "must be a valid object name"));
            }
            for complaint in signers::trust_bundle_name(name) {
                let detail = format!("not a valid clustertrustbundlename: {complaint}");
                errors.push(FieldError::invalid(path.child("name"), &name.into(), &detail));
            }
            if selector.is_object() {
                let shown = internal::show("LabelSelector", selector);
                let detail = "labelSelector must be unset if name is specified";
                errors.push(FieldError::invalid_shown(path.child("labelSelector"), &shown, detail));
            }
        }
        (None, Some(signer)) => {
            if signer.is_empty() {
                errors.push(FieldError::required(path.child("signerName"), "must be a valid signer name"));
            }
            signers::name(signer, path.child("signerName"), errors);
            if selector.is_object() {
                label_selector::validate(selector, &path.child("labelSelector"), errors);
            }
        }
        (None, None) => {
            errors.push(FieldError::required(path, "either name or signerName must be specified"));
        }
    }
    required(source, "path", path, errors);
    local_file_path(text(source, "path"), path.child("path"), errors);
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
