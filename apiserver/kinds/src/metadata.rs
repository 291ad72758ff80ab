//! `metadata`, the same for all kinds: its validation, its update rules, its warnings.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::value::{self, entries, get, is_set, items, text};

/// Most bytes in all annotation keys and values of an object: apimachinery's limit, so that watch caches stay small.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Longest name of a field manager, and of the subresource that it wrote through.
const MANAGER_BYTES_MAX: usize = 128;
const SUBRESOURCE_BYTES_MAX: usize = 256;

/// Finalizers without a domain that are known.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// A rule for names: complaints about a name, or about the prefix of one.
pub type NameRule = fn(&str, bool) -> Vec<String>;

/// One look at an object's metadata. kube-apiserver looks several times at that of a changed object, and repeats itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// As at a new object.
    Create,
    /// At what may not change.
    Update,
}

/// Complaints about the metadata of a new object.
pub fn validate(object: &Value, namespaced: bool, name_rule: NameRule, errors: &mut Errors) {
    let meta = get(object, "metadata");
    validate_at(meta, &Path::new("metadata"), namespaced, name_rule, errors);
    standard_finalizers(meta, errors);
}

/// What holds for every object that is to be stored, whatever its kind says.
pub fn validate_any(object: &Value, namespaced: bool, errors: &mut Errors) {
    let rule: NameRule = |name, prefix| {
        if prefix {
            kuorum_schema::names::path_segment_prefix(name)
        } else {
            kuorum_schema::names::path_segment_name(name)
        }
    };
    validate_at(get(object, "metadata"), &Path::new("metadata"), namespaced, rule, errors);
}

/// As [`validate`], for metadata at any path.
pub fn validate_at(meta: &Value, field: &Path, namespaced: bool, name_rule: NameRule, errors: &mut Errors) {
    let prefix = text(meta, "generateName");
    if !prefix.is_empty() {
        for complaint in name_rule(prefix, true) {
            errors.push(FieldError::invalid(field.child("generateName"), &prefix.into(), &complaint));
        }
    }
    let name = text(meta, "name");
    if name.is_empty() {
        errors.push(FieldError::required(field.child("name"), "name or generateName is required"));
    } else {
        for complaint in name_rule(name, false) {
            errors.push(FieldError::invalid(field.child("name"), &name.into(), &complaint));
        }
    }
    let namespace = text(meta, "namespace");
    if namespaced {
        if namespace.is_empty() {
            errors.push(FieldError::required(field.child("namespace"), ""));
        } else {
            for complaint in kuorum_schema::names::dns1123_label(namespace) {
                errors.push(FieldError::invalid(field.child("namespace"), &namespace.into(), &complaint));
            }
        }
    } else if !namespace.is_empty() {
        errors.push(FieldError::forbidden(field.child("namespace"), "not allowed on this type"));
    }
    if value::int(meta, "generation").is_some_and(|g| g < 0) {
        let shown = get(meta, "generation");
        errors.push(FieldError::invalid(field.child("generation"), shown, "must be greater than or equal to 0"));
    }
    validate_labels(get(meta, "labels"), &field.child("labels"), errors);
    validate_annotations(get(meta, "annotations"), &field.child("annotations"), errors);
    validate_owner_references(items(meta, "ownerReferences"), &field.child("ownerReferences"), errors);
    validate_finalizers(get(meta, "finalizers"), &field.child("finalizers"), errors);
    validate_managed_fields(items(meta, "managedFields"), &field.child("managedFields"), errors);
}

/// As [`validate_update`], by a kind's own rules: finalizers without a domain are known ones.
pub fn validate_kind_update(new: &Value, old: &Value, errors: &mut Errors) {
    validate_update(new, old, errors);
    standard_finalizers(get(new, "metadata"), errors);
}

/// Complaints about the metadata of an object that is to replace `old`.
pub fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let (new, old) = (get(new, "metadata"), get(old, "metadata"));
    if is_set(old, "deletionTimestamp") {
        validate_no_new_finalizers(new, old, errors);
    }
    let generation = |meta| value::int(meta, "generation").unwrap_or(0);
    if generation(new) < generation(old) {
        let shown = generation(new).into();
        errors.push(FieldError::invalid("metadata.generation", &shown, "must not be decremented"));
    }
    for key in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (new, old) = (get(new, key), get(old, key));
        if new != old {
            errors.push(FieldError::invalid(format!("metadata.{key}"), new, "field is immutable"));
        }
    }
    validate_labels(get(new, "labels"), &Path::new("metadata.labels"), errors);
    validate_annotations(get(new, "annotations"), &Path::new("metadata.annotations"), errors);
    validate_owner_references(items(new, "ownerReferences"), &Path::new("metadata.ownerReferences"), errors);
    validate_managed_fields(items(new, "managedFields"), &Path::new("metadata.managedFields"), errors);
}

/// The refusal of an update without a version, for kinds that do not allow unconditional updates.
pub fn version_required() -> FieldError {
    FieldError::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update")
}

/// Complaints about a map of labels.
pub fn validate_labels(labels: &Value, field: &Path, errors: &mut Errors) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        validate_label_name(key, field, errors);
        for complaint in kuorum_schema::names::label_value(value.as_str().unwrap_or("")) {
            errors.push(FieldError::invalid(field, value, &complaint));
        }
    }
}

/// Complaints about one label key.
pub fn validate_label_name(key: &str, field: &Path, errors: &mut Errors) {
    for complaint in kuorum_schema::names::label_key(key) {
        errors.push(FieldError::invalid(field, &key.into(), &complaint));
    }
}

/// Complaints about a map of annotations.
pub fn validate_annotations(annotations: &Value, field: &Path, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        // Annotation keys may have upper-case prefixes, so the rule is applied to the lower-case key.
        let complaints = if key.bytes().any(|b| b.is_ascii_uppercase()) {
            kuorum_schema::names::label_key(&key.to_lowercase())
        } else {
            kuorum_schema::names::label_key(key)
        };
        for complaint in complaints {
            errors.push(FieldError::invalid(field, &key.as_str().into(), &complaint));
        }
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(FieldError::too_long(field, ANNOTATIONS_BYTES_MAX));
    }
}

fn validate_owner_references(owners: &[Value], field: &Path, errors: &mut Errors) {
    let mut controller: Option<String> = None;
    for owner in owners {
        let api_version = text(owner, "apiVersion");
        let (group, version) = match api_version.split_once('/') {
            Some((_, version)) if version.contains('/') => ("", ""),
            Some((group, version)) => (group, version),
            None => ("", api_version),
        };
        if version.is_empty() {
            let shown = api_version.into();
            errors.push(FieldError::invalid(field.child("apiVersion"), &shown, "version must not be empty"));
        }
        for key in ["kind", "name", "uid"] {
            if !is_set(owner, key) {
                errors.push(FieldError::invalid(field.child(key), &"".into(), "must not be empty"));
            }
        }
        let kind = text(owner, "kind");
        if group.is_empty() && version == "v1" && kind == "Event" {
            let detail = format!("{group}/{version}, Kind={kind} is disallowed from being an owner");
            errors.push(FieldError::invalid_shown(field, &show_owner(owner), &detail));
        }
        if value::flag(owner, "controller") {
            let this = format!("{kind}/{}", text(owner, "name"));
            match &controller {
                Some(first) => {
                    let all: Vec<String> = owners.iter().map(show_owner).collect();
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                    );
                    errors.push(FieldError::invalid_shown(field, &format!("[{}]", all.join(",")), &detail));
                }
                None => controller = Some(this),
            }
        }
    }
}

/// An owner reference as Go prints it.
fn show_owner(owner: &Value) -> String {
    let mut parts = Vec::new();
    for (key, always) in [
        ("apiVersion", true),
        ("kind", true),
        ("name", true),
        ("uid", true),
        ("controller", false),
        ("blockOwnerDeletion", false),
    ] {
        match owner.get(key) {
            Some(value) => parts.push(format!("\"{key}\":{value}")),
            None if always => parts.push(format!("\"{key}\":\"\"")),
            None => {}
        }
    }
    format!("{{{}}}", parts.join(","))
}

fn validate_finalizers(finalizers: &Value, field: &Path, errors: &mut Errors) {
    let names = || finalizers.as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in names() {
        for complaint in kuorum_schema::names::qualified_name(name) {
            errors.push(FieldError::invalid(field, &name.into(), &complaint));
        }
    }
    if names().any(|n| n == "orphan") && names().any(|n| n == "foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(field, finalizers, detail));
    }
}

/// A finalizer without a domain is one of the old ones.
fn standard_finalizers(meta: &Value, errors: &mut Errors) {
    let field = Path::new("metadata.finalizers");
    for (i, name) in items(meta, "finalizers").iter().filter_map(Value::as_str).enumerate() {
        if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(field.index(i), &name.into(), detail));
        }
    }
}

fn validate_managed_fields(entries: &[Value], field: &Path, errors: &mut Errors) {
    for (i, entry) in entries.iter().enumerate() {
        let field = field.index(i);
        let operation = text(entry, "operation");
        if !matches!(operation, "Apply" | "Update") {
            let detail = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid(field.child("operation"), &operation.into(), detail));
        }
        let kind = text(entry, "fieldsType");
        if !matches!(kind, "" | "FieldsV1") {
            errors.push(FieldError::invalid(field.child("fieldsType"), &kind.into(), "must be `FieldsV1`"));
        }
        let manager = text(entry, "manager");
        if manager.len() > MANAGER_BYTES_MAX {
            errors.push(FieldError::too_long(field.child("manager"), MANAGER_BYTES_MAX));
        }
        for (at, c) in manager.char_indices().filter(|(_, c)| c.is_control()) {
            let detail = format!("invalid character U+{:04X} (at position {at})", c as u32);
            errors.push(FieldError::invalid(field.child("manager"), &manager.into(), &detail));
        }
        if text(entry, "subresource").len() > SUBRESOURCE_BYTES_MAX {
            errors.push(FieldError::too_long(field.child("subresource"), SUBRESOURCE_BYTES_MAX));
        }
    }
}

fn validate_no_new_finalizers(new: &Value, old: &Value, errors: &mut Errors) {
    let before = items(old, "finalizers");
    let mut added: Vec<&str> =
        items(new, "finalizers").iter().filter(|f| !before.contains(f)).filter_map(Value::as_str).collect();
    if !added.is_empty() {
        added.sort_unstable();
        let list: Vec<String> = added.iter().map(|f| format!("{f:?}")).collect();
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            list.join(", ")
        );
        errors.push(FieldError::forbidden("metadata.finalizers", &detail));
    }
}

/// Carries over the system's part of the metadata where a request left it out or may not change it.
pub fn prepare_update(new: &mut Value, old: &Value) {
    let before = get(old, "metadata");
    let Some(meta) = value::child(new, "metadata") else { return };
    value::carry_over(meta, before, "generation");
    value::carry_over(meta, before, "creationTimestamp");
    if !is_set(meta, "uid") {
        value::carry_over(meta, before, "uid");
    }
    if is_set(before, "deletionTimestamp") {
        value::carry_over(meta, before, "deletionTimestamp");
    }
    if is_set(before, "deletionGracePeriodSeconds") && !is_set(meta, "deletionGracePeriodSeconds") {
        value::carry_over(meta, before, "deletionGracePeriodSeconds");
    }
    value::remove(meta, "selfLink");
}

/// For status subresources that may not touch labels, annotations, owners and finalizers.
pub fn keep_for_status(new: &mut Value, old: &Value) {
    let before = get(old, "metadata");
    if let Some(meta) = value::child(new, "metadata") {
        for key in
            ["deletionTimestamp", "generation", "selfLink", "labels", "annotations", "finalizers", "ownerReferences"]
        {
            value::carry_over(meta, before, key);
        }
    }
}

/// Warnings about metadata that is legal but of no use.
pub fn warnings(object: &Value) -> Vec<String> {
    duplicate_owners(object).into_iter().collect()
}

fn duplicate_owners(object: &Value) -> Option<String> {
    let owners = items(object, "metadata.ownerReferences");
    let mut twice: Vec<&str> = owners
        .iter()
        .enumerate()
        .filter(|(i, owner)| owners[..*i].contains(owner))
        .map(|(_, owner)| text(owner, "uid"))
        .collect();
    twice.dedup();
    if twice.is_empty() {
        return None;
    }
    Some(format!(
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        twice.join(",")
    ))
}

/// For kinds whose generation follows their labels.
pub fn labels_equal(a: &Value, b: &Value) -> bool {
    entries(a, "metadata.labels").eq(entries(b, "metadata.labels"))
}
