//! What is wrong with a Pod that is created, and which changes of one are allowed.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::Context;
use crate::path::Path;
use crate::pod_template::validate::pod_spec;
use crate::value::{equal, get, int, is_set, items, items_mut, remove, set, text};

pub fn create(pod: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    annotations(pod, &mut errors);
    let spec = get(pod, "spec");
    pod_spec(spec, get(pod, "metadata"), &Path::new("spec"), &mut errors);
    if is_set(spec, "ephemeralContainers") {
        errors.push(FieldError::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    }
    token_volumes(spec, &mut errors);
    if is_set(spec, "nodeName") && is_set(spec, "schedulingGates") {
        errors
            .push(FieldError::forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"));
    }
    errors
}

/// A pod that is not bound to a service account has no tokens to project.
fn token_volumes(spec: &Value, errors: &mut Errors) {
    if is_set(spec, "serviceAccountName") {
        return;
    }
    for (i, volume) in items(spec, "volumes").iter().enumerate() {
        for (j, source) in items(volume, "projected.sources").iter().enumerate() {
            if get(source, "serviceAccountToken").is_object() {
                let field = format!("spec.volumes[{i}].projected.sources[{j}].serviceAccountToken");
                errors.push(FieldError::forbidden(field, "must not be specified when serviceAccountName is not set"));
            }
        }
    }
}

fn annotations(pod: &Value, errors: &mut Errors) {
    const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
    let names = |list: &str| items(get(pod, "spec"), list).iter().map(|c| text(c, "name")).collect::<Vec<_>>();
    for (key, value) in crate::value::entries(pod, "metadata.annotations") {
        let Some(container) = key.strip_prefix(PREFIX) else { continue };
        let field = format!("metadata.annotations[{key}]");
        let known =
            ["containers", "initContainers", "ephemeralContainers"].iter().any(|l| names(l).contains(&container));
        if !known {
            errors.push(FieldError::invalid(field.clone(), &container.into(), "container not found"));
        }
        let profile = value.as_str().unwrap_or("");
        if !matches!(profile, "" | "runtime/default" | "unconfined") && !profile.starts_with("localhost/") {
            let detail = format!("invalid AppArmor profile name: {profile:?}");
            errors.push(FieldError::invalid(field, value, &detail));
        }
    }
}

/// What a plain update may change.
const UPDATE_DETAIL: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub fn update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    match context.subresource {
        "" => plain_update(new, old, &mut errors),
        "status" => status_update(new, old, &mut errors),
        "ephemeralcontainers" => ephemeral_update(new, old, &mut errors),
        "resize" => pod_spec(get(new, "spec"), get(new, "metadata"), &Path::new("spec"), &mut errors),
        _ => {}
    }
    errors
}

fn plain_update(new: &Value, old: &Value, errors: &mut Errors) {
    annotations(new, errors);
    for key in ["containers", "initContainers"] {
        let (after, before) = (items(get(new, "spec"), key), items(get(old, "spec"), key));
        if after.len() != before.len() {
            let detail = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(format!("spec.{key}"), detail));
            return;
        }
        for (i, container) in after.iter().enumerate() {
            if !is_set(container, "image") {
                errors.push(FieldError::required(format!("spec.{key}[{i}].image"), ""));
            }
        }
    }
    deadline(new, old, errors);
    if items(new, "spec.tolerations").len() < items(old, "spec.tolerations").len()
        || !items(old, "spec.tolerations").iter().all(|t| items(new, "spec.tolerations").contains(t))
    {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        if !tolerations_kept(new, old) {
            errors.push(FieldError::forbidden("spec.tolerations", detail));
        }
    }
    let mut munged = get(new, "spec").clone();
    let before = get(old, "spec");
    for list in ["containers", "initContainers"] {
        for (i, container) in items_mut(&mut munged, list).iter_mut().enumerate() {
            let image = get(&items(before, list)[i], "image").clone();
            set(container, "image", image);
        }
    }
    for key in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        crate::value::carry_over(&mut munged, before, key);
    }
    if int(before, "terminationGracePeriodSeconds").is_some_and(|s| s < 0)
        && int(&munged, "terminationGracePeriodSeconds") == Some(1)
    {
        crate::value::carry_over(&mut munged, before, "terminationGracePeriodSeconds");
    }
    if is_set(before, "schedulingGates") {
        // A gated pod may still be narrowed down.
        for key in ["nodeSelector", "affinity"] {
            crate::value::carry_over(&mut munged, before, key);
        }
    }
    gates(new, old, errors);
    if !equal(&munged, before) {
        errors.push(FieldError::forbidden("spec", UPDATE_DETAIL));
    }
}

fn gates(new: &Value, old: &Value, errors: &mut Errors) {
    let before = items(old, "spec.schedulingGates");
    for (i, gate) in items(new, "spec.schedulingGates").iter().enumerate() {
        if !before.contains(gate) {
            let field = format!("spec.schedulingGates[{i}].{}", text(gate, "name"));
            errors.push(FieldError::forbidden(field, "only deletion is allowed, but found new scheduling gate"));
        }
    }
}

fn tolerations_kept(new: &Value, old: &Value) -> bool {
    let bare = |t: &Value| {
        let mut t = t.clone();
        remove(&mut t, "tolerationSeconds");
        t
    };
    let after: Vec<Value> = items(new, "spec.tolerations").iter().map(bare).collect();
    items(old, "spec.tolerations").iter().all(|t| after.contains(&bare(t)))
}

/// The deadline can be set, or shortened.
fn deadline(new: &Value, old: &Value, errors: &mut Errors) {
    let field = "spec.activeDeadlineSeconds";
    match (int(new, field), int(old, field)) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            let detail = format!("must be between 0 and {}, inclusive", i32::MAX);
            errors.push(FieldError::invalid(field, &seconds.into(), &detail));
        }
        (Some(after), Some(before)) if after > before => {
            let detail = "must be less than or equal to previous value";
            errors.push(FieldError::invalid(field, &after.into(), detail));
        }
        (None, Some(_)) => {
            errors.push(FieldError::invalid(
                field,
                &Value::Null,
                "must not update from a positive integer to nil value",
            ));
        }
        _ => {}
    }
}

fn status_update(new: &Value, old: &Value, errors: &mut Errors) {
    let field = Path::new("status");
    let nominated = text(new, "status.nominatedNodeName");
    if !nominated.is_empty() {
        let complaints = kuorum_schema::names::dns1123_subdomain(nominated);
        crate::rules::invalid_each(field.child("nominatedNodeName"), nominated, complaints, errors);
    }
    if is_set(old, "spec.nodeName") && text(new, "spec.nodeName") != text(old, "spec.nodeName") {
        errors.push(FieldError::forbidden("status.nodeName", "may not be changed directly"));
    }
    if is_set(old, "status.qosClass") && text(new, "status.qosClass") != text(old, "status.qosClass") {
        let shown = get(new, "status.qosClass");
        errors.push(FieldError::invalid(field.child("qosClass"), shown, "field is immutable"));
    }
}

/// Ephemeral containers can be added, and never changed.
fn ephemeral_update(new: &Value, old: &Value, errors: &mut Errors) {
    let after = items(new, "spec.ephemeralContainers");
    for container in items(old, "spec.ephemeralContainers") {
        let name = text(container, "name");
        match after.iter().find(|c| text(c, "name") == name) {
            None => {
                let detail = format!("existing ephemeral containers {name:?} may not be removed\n");
                errors.push(FieldError::forbidden("spec.ephemeralContainers", &detail));
            }
            Some(found) if !equal(found, container) => {
                let detail = format!("existing ephemeral containers {name:?} may not be changed\n");
                errors.push(FieldError::forbidden("spec.ephemeralContainers", &detail));
            }
            Some(_) => {}
        }
    }
    pod_spec(get(new, "spec"), get(new, "metadata"), &Path::new("spec"), errors);
}
