//! What is wrong with a workload: the rules that Deployments, ReplicaSets, StatefulSets and DaemonSets share.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::label_selector;
use crate::path::Path;
use crate::pod_template::validate;
use crate::rules::{non_negative, show_labels};
use crate::value::{get, int, is_set, text};

pub const PATH: Path = Path::new("spec");

/// The selector: there, not empty, well-formed. Returns whether it can be used.
pub fn selector(object: &Value, kind: &str, required: bool, errors: &mut Errors) -> bool {
    let selector = get(object, "spec.selector");
    if !selector.is_object() {
        if required {
            errors.push(FieldError::required("spec.selector", ""));
        }
        return true;
    }
    let path = PATH.child("selector");
    label_selector::validate(selector, &path, errors);
    if label_selector::is_empty(selector) {
        let detail = format!("empty selector is invalid for {kind}");
        errors.push(FieldError::invalid_shown(path, &label_selector::show(selector), &detail));
    }
    true
}

/// A selector that cannot be used at all.
pub fn unusable_selector(object: &Value, errors: &mut Errors) -> bool {
    let selector = get(object, "spec.selector");
    if selector.is_object() && !label_selector::is_valid(selector) {
        let shown = label_selector::show(selector);
        errors.push(FieldError::invalid_shown("spec.selector", &shown, "invalid label selector"));
        return true;
    }
    false
}

/// The template's labels satisfy the selector.
pub fn template_labels(object: &Value, errors: &mut Errors) {
    let selector = get(object, "spec.selector");
    let labels = get(object, "spec.template.metadata.labels");
    let matched =
        selector.is_object() && !label_selector::is_empty(selector) && label_selector::matches(selector, labels);
    let empty = selector.is_object() && label_selector::is_empty(selector);
    if !matched && !empty {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid_shown("spec.template.metadata.labels", &show_labels(labels), detail));
    }
}

/// The pod template of a workload that restarts its pods for ever.
pub fn template(object: &Value, kind: &str, errors: &mut Errors) {
    let template = get(object, "spec.template");
    let path = PATH.child("template");
    validate::template(template, &path, errors);
    let restart = text(template, "spec.restartPolicy");
    if !restart.is_empty() && restart != "Always" && matches!(restart, "OnFailure" | "Never") {
        errors.push(FieldError::not_supported(path.child("spec.restartPolicy"), &restart.into(), &["Always"]));
    }
    if !get(template, "spec.activeDeadlineSeconds").is_null() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(FieldError::forbidden(path.child("spec.activeDeadlineSeconds"), &detail));
    }
}

/// The selector is what it was.
pub fn selector_unchanged(new: &Value, old: &Value, errors: &mut Errors) {
    if get(new, "spec.selector") != get(old, "spec.selector") {
        let shown = label_selector::show(get(new, "spec.selector"));
        errors.push(FieldError::invalid_shown("spec.selector", &shown, "field is immutable"));
    }
}

/// Counters of a status: none negative, none greater than `status.replicas`.
pub fn status(new: &Value, counters: &[&str], capped: &[&str], errors: &mut Errors) {
    let status = get(new, "status");
    let path = Path::new("status");
    for counter in counters {
        non_negative(status, counter, &path, errors);
    }
    let of = |key: &str| int(status, key).unwrap_or(0);
    for counter in capped {
        if of(counter) > of("replicas") {
            let detail = "cannot be greater than status.replicas";
            errors.push(FieldError::invalid(path.child(counter), &of(counter).into(), detail));
        }
    }
}

/// Available pods are ready ones.
pub fn available_within_ready(new: &Value, detail: &str, errors: &mut Errors) {
    let of = |key: &str| int(get(new, "status"), key).unwrap_or(0);
    if of("availableReplicas") > of("readyReplicas") {
        errors.push(FieldError::invalid("status.availableReplicas", &of("availableReplicas").into(), detail));
    }
}

/// The collision count only grows.
pub fn collisions_grow(new: &Value, old: &Value, errors: &mut Errors) {
    let of = |object| int(object, "status.collisionCount");
    if let Some(before) = of(old)
        && of(new).is_none_or(|after| after < before)
    {
        let shown = get(new, "status.collisionCount");
        let shown = if is_set(new, "status.collisionCount") { shown.clone() } else { Value::Null };
        errors.push(FieldError::invalid("status.collisionCount", &shown, "cannot be decremented"));
    }
}
