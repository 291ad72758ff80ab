//! Where a pod may run: affinity, tolerations, spread constraints, gates.

use kuorum_schema::names;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::rules::{invalid_each, one_of, optional_one_of};
use crate::value::{entries, get, int, is_set, items, text};
use crate::{label_selector, metadata};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub fn affinity(affinity: &Value, path: &Path, errors: &mut Errors) {
    let node = get(affinity, "nodeAffinity");
    if node.is_object() {
        let path = path.child("nodeAffinity");
        if get(node, REQUIRED).is_object() {
            node_selector(get(node, REQUIRED), &path.child(REQUIRED), errors);
        }
        for (i, term) in items(node, PREFERRED).iter().enumerate() {
            let path = path.child(PREFERRED);
            let path = path.index(i);
            weight(term, &path, errors);
            // A preference for what no node can have does no harm.
            node_selector_term(get(term, "preference"), true, &path.child("preference"), errors);
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let rules = get(affinity, kind);
        let path = path.child(kind);
        let required = path.child(REQUIRED);
        for (i, term) in items(rules, REQUIRED).iter().enumerate() {
            pod_term(term, &required.index(i), errors);
        }
        let preferred = path.child(PREFERRED);
        for (i, weighted) in items(rules, PREFERRED).iter().enumerate() {
            let path = preferred.index(i);
            weight(weighted, &path, errors);
            pod_term(get(weighted, "podAffinityTerm"), &path.child("podAffinityTerm"), errors);
        }
    }
}

fn weight(term: &Value, path: &Path, errors: &mut Errors) {
    let weight = int(term, "weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(path.child("weight"), &weight.into(), "must be in the range 1-100"));
    }
}

/// A NodeSelector: at least one term.
pub fn node_selector(selector: &Value, path: &Path, errors: &mut Errors) {
    let terms = items(selector, "nodeSelectorTerms");
    let path = path.child("nodeSelectorTerms");
    if terms.is_empty() {
        errors.push(FieldError::required(path, "must have at least one node selector term"));
    }
    for (i, term) in terms.iter().enumerate() {
        node_selector_term(term, false, &path.index(i), errors);
    }
}

fn node_selector_term(term: &Value, any_value: bool, path: &Path, errors: &mut Errors) {
    for (i, requirement) in items(term, "matchExpressions").iter().enumerate() {
        let list = path.child("matchExpressions");
        node_requirement(requirement, any_value, &list.index(i), errors);
    }
    for (i, requirement) in items(term, "matchFields").iter().enumerate() {
        let list = path.child("matchFields");
        node_field(requirement, &list.index(i), errors);
    }
}

fn node_requirement(requirement: &Value, any_value: bool, path: &Path, errors: &mut Errors) {
    let values = items(requirement, "values");
    let at = path.child("values");
    match text(requirement, "operator") {
        "In" | "NotIn" if values.is_empty() => {
            errors.push(FieldError::required(at, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors
                .push(FieldError::forbidden(at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        "Gt" | "Lt" if values.len() != 1 => {
            errors.push(FieldError::required(at, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => {
            errors.push(FieldError::invalid(path.child("operator"), &other.into(), "not a valid selector operator"))
        }
    }
    metadata::validate_label_name(text(requirement, "key"), &path.child("key"), errors);
    if any_value {
        return;
    }
    for (i, value) in values.iter().enumerate() {
        let value = value.as_str().unwrap_or("");
        invalid_each(at.index(i), value, names::label_value(value), errors);
    }
}

/// Nodes can be selected by one field: their name.
fn node_field(requirement: &Value, path: &Path, errors: &mut Errors) {
    let values = items(requirement, "values");
    match text(requirement, "operator") {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(FieldError::required(path.child("values"), detail));
            }
        }
        other => {
            errors.push(FieldError::invalid(path.child("operator"), &other.into(), "not a valid selector operator"))
        }
    }
    match text(requirement, "key") {
        "metadata.name" => {
            for (i, value) in values.iter().enumerate() {
                let name = value.as_str().unwrap_or("");
                invalid_each(path.child("values").index(i), name, names::dns1123_subdomain(name), errors);
            }
        }
        other => errors.push(FieldError::invalid(path.child("key"), &other.into(), "not a valid field selector key")),
    }
}

fn pod_term(term: &Value, path: &Path, errors: &mut Errors) {
    for key in ["labelSelector", "namespaceSelector"] {
        if get(term, key).is_object() {
            label_selector::validate(get(term, key), &path.child(key), errors);
        }
    }
    for namespace in items(term, "namespaces") {
        let name = namespace.as_str().unwrap_or("");
        invalid_each(path.child("namespace"), name, names::dns1123_label(name), errors);
    }
    match_label_keys(term, path, errors);
    let key = text(term, "topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(path.child("topologyKey"), "can not be empty"));
    }
    metadata::validate_label_name(key, &path.child("topologyKey"), errors);
}

fn match_label_keys(term: &Value, path: &Path, errors: &mut Errors) {
    let lists = ["matchLabelKeys", "mismatchLabelKeys"];
    for list in lists {
        let keys = items(term, list);
        if keys.is_empty() {
            continue;
        }
        let at = path.child(list);
        if !get(term, "labelSelector").is_object() {
            errors.push(FieldError::forbidden(at, "must not be specified when labelSelector is not set"));
            continue;
        }
        for (i, key) in keys.iter().enumerate() {
            metadata::validate_label_name(key.as_str().unwrap_or(""), &at.index(i), errors);
        }
    }
    for i in repeated_keys(term) {
        let key = &items(term, lists[0])[i];
        errors.push(FieldError::invalid(path.index(i), key, "exists in both matchLabelKeys and labelSelector"));
    }
    let others = items(term, lists[1]);
    for (i, key) in items(term, lists[0]).iter().enumerate().filter(|(_, key)| others.contains(key)) {
        let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.push(FieldError::invalid(path.child(lists[0]).index(i), key, detail));
    }
}

/// Places in `matchLabelKeys` of keys that the selector names besides: each is there once already, as a requirement
/// that was made from the list.
fn repeated_keys(term: &Value) -> Vec<usize> {
    let selector = get(term, "labelSelector");
    let keys = items(term, "matchLabelKeys");
    let mut seen: Vec<&str> = entries(selector, "matchLabels").map(|(key, _)| key).collect();
    let mut repeated = Vec::new();
    for expression in items(selector, "matchExpressions") {
        let key = text(expression, "key");
        if seen.contains(&key) {
            repeated.extend(keys.iter().rposition(|k| k.as_str() == Some(key)));
        }
        seen.push(key);
    }
    repeated
}

pub fn tolerations(list: &[Value], path: &Path, errors: &mut Errors) {
    for (i, toleration) in list.iter().enumerate() {
        let path = path.index(i);
        let (key, value, operator) = (text(toleration, "key"), text(toleration, "value"), text(toleration, "operator"));
        let at = path.child("operator");
        if !key.is_empty() {
            metadata::validate_label_name(key, &path.child("key"), errors);
        }
        if key.is_empty() && operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(at, &operator.into(), detail));
        }
        if !get(toleration, "tolerationSeconds").is_null() && text(toleration, "effect") != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(path.child("effect"), &text(toleration, "effect").into(), detail));
        }
        match operator {
            "Equal" | "" => {
                let complaints = names::label_value(value);
                if !complaints.is_empty() {
                    errors.push(FieldError::invalid(at, &value.into(), &complaints.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(at, &value.into(), detail));
            }
            "Exists" => {}
            // Known, but behind a feature gate that is off.
            "Lt" | "Gt" => {
                let known = ["Equal", "Exists", "Lt", "Gt"];
                errors.push(FieldError::not_supported(at, &operator.into(), &known));
            }
            other => errors.push(FieldError::not_supported(at, &other.into(), &["Equal", "Exists"])),
        }
        if is_set(toleration, "effect") {
            one_of(toleration, "effect", &EFFECTS, &path, errors);
        }
    }
}

pub fn gates(spec: &Value, path: &Path, errors: &mut Errors) {
    let path = path.child("schedulingGates");
    let mut seen: Vec<&str> = Vec::new();
    for (i, gate) in items(spec, "schedulingGates").iter().enumerate() {
        let path = path.index(i);
        let name = text(gate, "name");
        invalid_each(path, name, names::qualified_name(name), errors);
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(path, &name.into()));
        }
        seen.push(name);
    }
}

pub fn spread(spec: &Value, path: &Path, errors: &mut Errors) {
    let path = path.child("topologySpreadConstraints");
    let constraints = items(spec, "topologySpreadConstraints");
    for (i, constraint) in constraints.iter().enumerate() {
        let path = path.index(i);
        let skew = int(constraint, "maxSkew").unwrap_or(0);
        if skew <= 0 {
            errors.push(FieldError::invalid(path.child("maxSkew"), &skew.into(), "must be greater than zero"));
        }
        if !is_set(constraint, "topologyKey") {
            errors.push(FieldError::required(path.child("topologyKey"), "can not be empty"));
        }
        one_of(constraint, "whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"], &path, errors);
        let pair = |c: &Value| (text(c, "topologyKey").to_owned(), text(c, "whenUnsatisfiable").to_owned());
        if constraints[i + 1..].iter().any(|later| pair(later) == pair(constraint)) {
            let (key, action) = pair(constraint);
            let shown = format!("{{{key}, {action}}}");
            errors.push(FieldError::duplicate(path.child("{topologyKey, whenUnsatisfiable}"), &shown.into()));
        }
        if let Some(domains) = int(constraint, "minDomains") {
            let at = path.child("minDomains");
            let action = text(constraint, "whenUnsatisfiable");
            if domains <= 0 {
                errors.push(FieldError::invalid(at, &domains.into(), "must be greater than zero"));
            }
            if action != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.push(FieldError::invalid(at, &domains.into(), &detail));
            }
        }
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            optional_one_of(constraint, key, &["Honor", "Ignore"], &path, errors);
        }
        spread_keys(constraint, &path, errors);
        if get(constraint, "labelSelector").is_object() {
            label_selector::validate(get(constraint, "labelSelector"), &path.child("labelSelector"), errors);
        }
    }
}

fn spread_keys(constraint: &Value, path: &Path, errors: &mut Errors) {
    let keys = items(constraint, "matchLabelKeys");
    let at = path.child("matchLabelKeys");
    if keys.is_empty() {
        return;
    }
    if !get(constraint, "labelSelector").is_object() {
        errors.push(FieldError::forbidden(at, "must not be specified when labelSelector is not set"));
        return;
    }
    let repeated = repeated_keys(constraint);
    for (i, key) in keys.iter().enumerate() {
        metadata::validate_label_name(key.as_str().unwrap_or(""), &at.index(i), errors);
        if repeated.contains(&i) {
            errors.push(FieldError::invalid(at.index(i), key, "exists in both matchLabelKeys and labelSelector"));
        }
    }
}
