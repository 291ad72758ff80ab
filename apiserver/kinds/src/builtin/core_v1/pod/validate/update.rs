//! The few changes of a pod that are let through: images, a nearer deadline, more tolerations, fewer gates. A pod that
//! is still held back by gates may also be narrowed down to fewer nodes.

use serde_json::Value;

use super::{changes, template};
use crate::field::{Errors, FieldError};
use crate::internal;
use crate::path::Path;
use crate::pod_template::validate::tolerations;
use crate::value::{carry_over, child, entries, equal, existing, get, int, is_set, items, items_mut, remove, text};

const DETAIL: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

pub fn plain(new: &Value, old: &Value, errors: &mut Errors) {
    template::pod(new, errors);
    template::annotations::unchanged(new, old, errors);
    template::annotations::validate(get(new, "metadata"), get(new, "spec"), &Path::new("metadata.annotations"), errors);
    let path = Path::new("spec");
    let (after, before) = (get(new, "spec"), get(old, "spec"));
    for list in ["containers", "initContainers"] {
        if !containers(after, before, list, &path, errors) {
            return;
        }
    }
    if !deadline(after, before, errors) {
        return;
    }
    only_more_tolerations(after, before, &path, errors);
    only_fewer_gates(after, before, &path, errors);
    if equal(after, before) {
        return;
    }
    let mut rest = after.clone();
    take_what_may_change(&mut rest, before);
    if is_set(before, "schedulingGates") {
        narrowed(&mut rest, before, &path, errors);
    }
    if !equal(&rest, before) {
        let detail = format!("{DETAIL}\n{}", changes("PodSpec", before, &rest));
        errors.push(FieldError::forbidden("spec", &detail));
    }
}

/// The containers are as many as before, with an image each. Returns whether it is worth looking further.
fn containers(after: &Value, before: &Value, list: &str, path: &Path, errors: &mut Errors) -> bool {
    let path = path.child(list);
    if items(after, list).len() != items(before, list).len() {
        errors.push(FieldError::forbidden(path, "pod updates may not add or remove containers"));
        return false;
    }
    for (i, container) in items(after, list).iter().enumerate() {
        let image = text(container, "image");
        if image.is_empty() {
            errors.push(FieldError::required(path.index(i).child("image"), ""));
        }
        if image.trim() != image {
            let detail = "must not have leading or trailing whitespace";
            errors.push(FieldError::invalid(path.index(i).child("image"), &image.into(), detail));
        }
    }
    true
}

/// The deadline can be set, or shortened. Returns whether it is worth looking further.
fn deadline(after: &Value, before: &Value, errors: &mut Errors) -> bool {
    let key = "activeDeadlineSeconds";
    let field = "spec.activeDeadlineSeconds";
    match (int(after, key), int(before, key)) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            let detail = format!("must be between 0 and {}, inclusive", i32::MAX);
            errors.push(FieldError::invalid(field, &seconds.into(), &detail));
            false
        }
        (Some(after), Some(before)) if after > before => {
            let detail = "must be less than or equal to previous value";
            errors.push(FieldError::invalid(field, &after.into(), detail));
            false
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(field, &Value::Null, detail));
            true
        }
        _ => true,
    }
}

fn only_more_tolerations(after: &Value, before: &Value, path: &Path, errors: &mut Errors) {
    let path = path.child("tolerations");
    let bare = |t: &Value| {
        let mut t = t.clone();
        remove(&mut t, "tolerationSeconds");
        t
    };
    let list = items(after, "tolerations");
    let kept = |t: &Value| list.contains(t) || list.iter().any(|other| bare(other) == bare(t));
    if !items(before, "tolerations").iter().all(kept) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(path, detail));
        return;
    }
    tolerations(list, &path, errors);
}

fn only_fewer_gates(after: &Value, before: &Value, path: &Path, errors: &mut Errors) {
    let path = path.child("schedulingGates");
    let known = |name: &str| items(before, "schedulingGates").iter().any(|gate| text(gate, "name") == name);
    for (i, gate) in items(after, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        if !known(name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.push(FieldError::forbidden(path.index(i).child("name"), &detail));
        }
    }
}

/// Makes everything that may change what it was, so that the rest can be compared.
fn take_what_may_change(spec: &mut Value, before: &Value) {
    for list in ["containers", "initContainers"] {
        for (container, old) in items_mut(spec, list).iter_mut().zip(items(before, list)) {
            carry_over(container, old, "image");
        }
    }
    for key in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        carry_over(spec, before, key);
    }
    let grace = "terminationGracePeriodSeconds";
    if int(before, grace).is_some_and(|seconds| seconds < 0) && int(spec, grace) == Some(1) {
        carry_over(spec, before, grace);
    }
}

/// A pod that is held back may get more requirements on its node, which are taken out of `spec` then.
fn narrowed(spec: &mut Value, before: &Value, path: &Path, errors: &mut Errors) {
    let kept = entries(before, "nodeSelector").all(|(key, value)| get(spec, "nodeSelector").get(key) == Some(value));
    if !kept {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        let shown = crate::rules::show_labels(get(spec, "nodeSelector"));
        errors.push(FieldError::invalid_shown(path.child("nodeSelector"), &shown, detail));
    }
    carry_over(spec, before, "nodeSelector");
    let (after, old) = (get(spec, "affinity.nodeAffinity").clone(), get(before, "affinity.nodeAffinity"));
    if equal(&after, old) {
        return;
    }
    node_affinity(&after, old, &path.child("affinity.nodeAffinity"), errors);
    let others = ["podAffinity", "podAntiAffinity"];
    let alone = !others.iter().any(|key| get(get(spec, "affinity"), key).is_object());
    if get(before, "affinity").is_null() && alone {
        remove(spec, "affinity");
    } else if old.is_null() {
        if let Some(affinity) = existing(spec, "affinity") {
            remove(affinity, "nodeAffinity");
        }
    } else if let Some(affinity) = child(spec, "affinity") {
        carry_over(affinity, get(before, "affinity"), "nodeAffinity");
    }
}

/// Each of the terms that a node must satisfy may get longer.
fn node_affinity(after: &Value, before: &Value, path: &Path, errors: &mut Errors) {
    let terms = |affinity: &Value| items(get(affinity, REQUIRED), "nodeSelectorTerms").to_vec();
    let (new, old) = (terms(after), terms(before));
    let required = path.child(REQUIRED);
    let path = required.child("nodeSelectorTerms");
    if !old.is_empty() && old.len() != new.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        let shown = internal::show_list("NodeSelectorTerm", get(get(after, REQUIRED), "nodeSelectorTerms"));
        errors.push(FieldError::invalid_shown(path, &shown, detail));
        return;
    }
    for (i, (term, before)) in new.iter().zip(&old).enumerate() {
        if !only_additions(term, before) {
            let detail = "only additions are allowed (no mutations or deletions)";
            let shown = internal::show("NodeSelectorTerm", term);
            errors.push(FieldError::invalid_shown(path.index(i), &shown, detail));
        }
    }
}

fn only_additions(after: &Value, before: &Value) -> bool {
    const LISTS: [&str; 2] = ["matchExpressions", "matchFields"];
    // An empty term matches nothing; with requirements it would match something.
    if !LISTS.iter().any(|list| is_set(before, list)) && LISTS.iter().any(|list| is_set(after, list)) {
        return false;
    }
    LISTS.iter().all(|list| items(after, list).starts_with(items(before, list)))
}
