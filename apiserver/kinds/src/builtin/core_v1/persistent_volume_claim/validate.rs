//! What is wrong with a claim, and the little of it that may change: a bound claim may grow and change its class of
//! attributes, an unbound one may find its volume and class late.

use kuorum_schema::names;
use serde_json::Value;

use super::super::storage;
use crate::field::{Errors, FieldError};
use crate::hooks::Context;
use crate::path::Path;
use crate::pod_template::resources;
use crate::rules::{immutable, invalid_each, optional_one_of, required};
use crate::value::{carry_over, entries, equal, existing, get, is_set, items, set, text};
use crate::{diff, internal, label_selector};

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

const RESIZE_STATES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

pub fn create(claim: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    spec(get(claim, "spec"), &Path::new("spec"), &mut errors);
    errors
}

pub fn update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource == "status" {
        status(new, &mut errors);
        return errors;
    }
    // kube-apiserver looks at the whole claim twice.
    for _ in 0..2 {
        spec(get(new, "spec"), &Path::new("spec"), &mut errors);
    }
    change(new, old, &mut errors);
    errors
}

fn change(new: &Value, old: &Value, errors: &mut Errors) {
    let (after, before) = (get(new, "spec"), get(old, "spec"));
    let (mut wanted, mut found) = (after.clone(), before.clone());
    if !is_set(before, "volumeName") {
        carry_over(&mut found, after, "volumeName");
    }
    let annotation = |claim: &Value| get(claim, "metadata.annotations").get(CLASS_ANNOTATION).cloned();
    let (annotated, was_annotated) = (annotation(new), annotation(old));
    let class = get(after, "storageClassName");
    let late_class = get(before, "storageClassName").is_null() && !class.is_null();
    let as_annotated = was_annotated.as_ref().is_some_and(|was| was == class);
    if late_class && as_annotated && annotated.as_ref().is_none_or(|now| Some(now) == was_annotated.as_ref()) {
        // The class moves from the annotation to the field.
        crate::value::remove(&mut wanted, "storageClassName");
    } else {
        if annotated != was_annotated {
            let shown = annotated.unwrap_or_else(|| "".into());
            let field = format!("metadata.annotations.{CLASS_ANNOTATION}");
            errors.push(FieldError::invalid(field, &shown, "field is immutable"));
        }
        if late_class && (was_annotated.is_none() || as_annotated) {
            carry_over(&mut wanted, before, "storageClassName");
        }
    }
    if text(new, "status.phase") == "Bound" {
        if let Some(requests) = existing(&mut wanted, "resources").and_then(|r| existing(r, "requests")) {
            let size = get(before, "resources.requests").get("storage").cloned();
            set(requests, "storage", size.unwrap_or_else(|| "0".into()));
        }
        if !get(after, "volumeAttributesClassName").is_null() {
            carry_over(&mut wanted, before, "volumeAttributesClassName");
        }
    }
    if !equal(&wanted, &found) {
        let changes = diff::unified(
            &internal::show_indented("PersistentVolumeClaimSpec", &found),
            &internal::show_indented("PersistentVolumeClaimSpec", &wanted),
        );
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{changes}"
        );
        errors.push(FieldError::forbidden("spec", &detail));
    }
    let size = |list: &Value| list.get("storage").and_then(resources::quantity).unwrap_or(ZERO);
    let (size_now, size_before) = (size(get(after, "resources.requests")), size(get(before, "resources.requests")));
    if size_now < size_before && size_now <= size(get(old, "status.capacity")) {
        let detail = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden("spec.resources.requests.storage", detail));
    }
    immutable(get(after, "volumeMode"), get(before, "volumeMode"), Path::new("volumeMode"), errors);
    let attributes = get(after, "volumeAttributesClassName");
    if !get(before, "volumeAttributesClassName").is_null() {
        let detail = match attributes.as_str() {
            None => "update from non-nil value to nil is forbidden",
            Some("") if is_set(before, "volumeAttributesClassName") => {
                "update from non-nil value to an empty string is forbidden"
            }
            Some(_) => return,
        };
        errors.push(FieldError::forbidden("spec.volumeAttributesClassName", detail));
    }
}

const ZERO: kuorum_schema::quantity::Quantity = kuorum_schema::quantity::Quantity::ZERO;

fn status(claim: &Value, errors: &mut Errors) {
    if !is_set(claim, "spec.accessModes") {
        errors.push(FieldError::required("Spec.accessModes", ""));
    }
    let path = Path::new("status");
    let found = get(claim, "status");
    let capacity = path.child("capacity");
    for (name, amount) in entries(found, "capacity") {
        not_negative(amount, capacity.key(name), errors);
    }
    let states = path.child("allocatedResourceStatuses");
    for (name, state) in entries(found, "allocatedResourceStatuses") {
        resource_name(name, states, errors);
        if !RESIZE_STATES.contains(&state.as_str().unwrap_or("")) {
            errors.push(FieldError::not_supported(states, &name.into(), &RESIZE_STATES));
        }
    }
    let allocated = path.child("allocatedResources");
    for (name, amount) in entries(found, "allocatedResources") {
        if resource_name(name, allocated, errors) {
            not_negative(amount, allocated.key(name), errors);
        }
    }
}

fn not_negative(amount: &Value, path: Path, errors: &mut Errors) {
    if let Some(amount) = resources::quantity(amount).filter(|amount| amount.value() < 0) {
        errors.push(FieldError::invalid(path, &amount.value().into(), "must be a valid resource quantity"));
    }
}

/// Of Kubernetes' own resources a claim has storage alone.
fn resource_name(name: &str, path: Path, errors: &mut Errors) -> bool {
    let complaints = names::qualified_name(name);
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    let good = complaints.is_empty() && (!native || name == "storage");
    if complaints.is_empty() && !good {
        errors.push(FieldError::not_supported(path, &name.into(), &["storage"]));
    }
    invalid_each(path, name, complaints, errors);
    good
}

/// Complaints about the spec of a claim, also one in a template.
pub fn spec(spec: &Value, path: &Path, errors: &mut Errors) {
    let modes = items(spec, "accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required(path.child("accessModes"), "at least 1 access mode is required"));
    }
    if get(spec, "selector").is_object() {
        label_selector::validate(get(spec, "selector"), &path.child("selector"), errors);
    }
    storage::access_mode_rules(modes, path, errors);
    let field = path.child("resources");
    match get(spec, "resources.requests").get("storage").and_then(resources::quantity) {
        None => errors.push(FieldError::required(field.key("storage"), "")),
        Some(amount) if amount.sign() <= 0 => {
            let shown = amount.canonical().into();
            errors.push(FieldError::invalid(field.key("storage"), &shown, "must be greater than zero"));
        }
        Some(_) => {}
    }
    class_name(spec, "storageClassName", path, errors);
    optional_one_of(spec, "volumeMode", &["Block", "Filesystem"], path, errors);
    let (source, reference) = (get(spec, "dataSource"), get(spec, "dataSourceRef"));
    for (key, found) in [("dataSource", source), ("dataSourceRef", reference)] {
        if found.is_object() {
            data_source(found, &path.child(key), errors);
        }
    }
    if source.is_object() && reference.is_object() {
        let complaint = match is_set(reference, "namespace") {
            true => Some("may not be specified when dataSourceRef.namespace is specified"),
            false if !equal(source, reference) => Some("must match dataSourceRef"),
            false => None,
        };
        errors.extend(complaint.map(|detail| FieldError::invalid_shown(path, "{}", detail)));
    }
    class_name(spec, "volumeAttributesClassName", path, errors);
}

fn class_name(spec: &Value, key: &str, path: &Path, errors: &mut Errors) {
    let class = text(spec, key);
    if !class.is_empty() {
        invalid_each(path.child(key), class, names::dns1123_subdomain(class), errors);
    }
}

fn data_source(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, "name", path, errors);
    required(source, "kind", path, errors);
    let (group, kind) = (text(source, "apiGroup"), text(source, "kind"));
    if group.is_empty() {
        if kind != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(FieldError::invalid(path, &kind.into(), detail));
        }
    } else {
        invalid_each(path.child("apiGroup"), group, names::dns1123_subdomain(group), errors);
    }
    let namespace = text(source, "namespace");
    if !namespace.is_empty() {
        invalid_each(path.child("namespace"), namespace, names::dns1123_label(namespace), errors);
    }
}
