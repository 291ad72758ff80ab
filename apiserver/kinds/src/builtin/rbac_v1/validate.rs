//! What is wrong with roles and bindings. Whether a user may grant what they say is authorization's to decide.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::label_selector;
use crate::path::Path;
use crate::rules::{invalid_each, one_of};
use crate::value::{equal, get, is_set, items, text};

const GROUP: &str = "rbac.authorization.k8s.io";

/// The rules of a Role or ClusterRole.
pub fn rules(role: &Value, namespaced: bool, errors: &mut Errors) {
    let list = Path::new("rules");
    for (i, rule) in items(role, "rules").iter().enumerate() {
        let path = list.index(i);
        if !is_set(rule, "verbs") {
            errors.push(FieldError::required(path.child("verbs"), "verbs must contain at least one value"));
        }
        if is_set(rule, "nonResourceURLs") {
            let at = path.child("nonResourceURLs");
            let urls = get(rule, "nonResourceURLs");
            if namespaced {
                errors.push(FieldError::invalid(at, urls, "namespaced rules cannot apply to non-resource URLs"));
            }
            if is_set(rule, "apiGroups") || is_set(rule, "resources") || is_set(rule, "resourceNames") {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(FieldError::invalid(at, urls, detail));
            }
            continue;
        }
        if !is_set(rule, "apiGroups") {
            let detail = "resource rules must supply at least one api group";
            errors.push(FieldError::required(path.child("apiGroups"), detail));
        }
        if !is_set(rule, "resources") {
            let detail = "resource rules must supply at least one resource";
            errors.push(FieldError::required(path.child("resources"), detail));
        }
    }
}

/// The aggregation of a ClusterRole.
pub fn aggregation(role: &Value, errors: &mut Errors) {
    let rule = get(role, "aggregationRule");
    if !rule.is_object() {
        return;
    }
    let path = Path::new("aggregationRule.clusterRoleSelectors");
    let selectors = items(rule, "clusterRoleSelectors");
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(FieldError::required(path, detail));
    }
    for (i, selector) in selectors.iter().enumerate() {
        let at = path.index(i);
        label_selector::validate(selector, &at, errors);
        if !label_selector::is_valid(selector) {
            errors.push(FieldError::invalid(at, &Value::Null, "invalid label selector."));
        }
    }
}

/// A binding's role and subjects.
pub fn binding(binding: &Value, kinds: &[&str], errors: &mut Errors) {
    let reference = get(binding, "roleRef");
    let path = Path::new("roleRef");
    one_of(reference, "apiGroup", &[GROUP], &path, errors);
    one_of(reference, "kind", kinds, &path, errors);
    let name = text(reference, "name");
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    } else {
        invalid_each(path.child("name"), name, kuorum_schema::names::path_segment_name(name), errors);
    }
    let list = Path::new("subjects");
    for (i, subject) in items(binding, "subjects").iter().enumerate() {
        self::subject(subject, kinds.len() == 2, &list.index(i), errors);
    }
}

fn subject(subject: &Value, namespaced: bool, path: &Path, errors: &mut Errors) {
    let name = text(subject, "name");
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    }
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                invalid_each(path.child("name"), name, kuorum_schema::names::dns1123_subdomain(name), errors);
            }
            if is_set(subject, "apiGroup") {
                let shown = get(subject, "apiGroup");
                errors.push(FieldError::not_supported(path.child("apiGroup"), shown, &[""]));
            }
            if !namespaced && !is_set(subject, "namespace") {
                errors.push(FieldError::required(path.child("namespace"), ""));
            }
        }
        "User" | "Group" => one_of(subject, "apiGroup", &[GROUP], path, errors),
        other => {
            let known = ["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(path.child("kind"), &other.into(), &known));
        }
    }
}

/// What a binding grants never changes: it is deleted and made anew.
pub fn role_unchanged(new: &Value, old: &Value, errors: &mut Errors) {
    let (after, before) = (get(new, "roleRef"), get(old, "roleRef"));
    if !equal(after, before) {
        let shown = format!(
            "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
            get(after, "apiGroup"),
            get(after, "kind"),
            get(after, "name")
        );
        errors.push(FieldError::invalid_shown("roleRef", &shown, "cannot change roleRef"));
    }
}
