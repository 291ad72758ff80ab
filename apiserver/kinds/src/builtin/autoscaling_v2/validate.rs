//! What is wrong with an autoscaler (in its stored form).

use kuorum_schema::names::path_segment_name;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::pod_template::resources::quantity;
use crate::rules::{invalid_each, one_of};
use crate::value::{get, int, is_set, items, text};

/// Longest stabilization window and policy period, in seconds.
const WINDOW_SECONDS_MAX: i64 = 3600;
const PERIOD_SECONDS_MAX: i64 = 1800;
const METRIC_TYPES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

pub fn autoscaler(hpa: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = get(hpa, "spec");
    let path = Path::new("spec");
    let (least, most) = (int(spec, "minReplicas"), int(spec, "maxReplicas").unwrap_or(0));
    if let Some(n) = least
        && n < 1
    {
        let detail = "must be greater than or equal to 1";
        errors.push(FieldError::invalid(path.child("minReplicas"), &n.into(), detail));
    }
    if most < 1 {
        errors.push(FieldError::required(path.child("maxReplicas"), "must be set and greater than 0"));
    }
    if least.is_some_and(|n| most < n) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid(path.child("maxReplicas"), &most.into(), detail));
    }
    reference(get(spec, "scaleTargetRef"), &path.child("scaleTargetRef"), true, &mut errors);
    metrics(spec, &path.child("metrics"), &mut errors);
    behavior(get(spec, "behavior"), &path.child("behavior"), &mut errors);
    errors
}

fn reference(reference: &Value, path: &Path, target: bool, errors: &mut Errors) {
    for key in ["kind", "name"] {
        let value = text(reference, key);
        if value.is_empty() {
            errors.push(FieldError::required(path.child(key), ""));
        } else {
            invalid_each(path.child(key), value, path_segment_name(value), errors);
        }
    }
    let version = text(reference, "apiVersion");
    let at = path.child("apiVersion");
    if version.matches('/').count() > 1 {
        let detail = format!("unexpected GroupVersion string: {version}");
        errors.push(FieldError::invalid(at, &version.into(), &detail));
    } else if target && version.is_empty() && text(reference, "kind") != "ReplicationController" {
        errors.push(FieldError::invalid(at, &version.into(), "apiVersion must specify API group"));
    }
}

fn metrics(spec: &Value, path: &Path, errors: &mut Errors) {
    let list = items(spec, "metrics");
    for (i, metric) in list.iter().enumerate() {
        metric_source(metric, &path.index(i), errors);
    }
    let scales_to_zero = int(spec, "minReplicas") == Some(0);
    if scales_to_zero && !list.iter().any(|m| matches!(text(m, "type"), "Object" | "External")) {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(FieldError::forbidden(path, detail));
    }
}

fn metric_source(metric: &Value, path: &Path, errors: &mut Errors) {
    let kind = text(metric, "type");
    let known = METRIC_TYPES.map(|(kind, _)| kind);
    if kind.is_empty() {
        errors.push(FieldError::required(path.child("type"), "must specify a metric source type"));
    }
    let Some((_, expected)) = METRIC_TYPES.iter().find(|(name, _)| *name == kind) else {
        if !kind.is_empty() {
            // Said by the check of the type, and again by the check of the source.
            errors.push(FieldError::not_supported(path.child("type"), &kind.into(), &known));
            errors.push(FieldError::not_supported(path.child("type"), &kind.into(), &known));
        }
        return;
    };
    let source = get(metric, expected);
    if !source.is_object() {
        let detail = "must populate information for the given metric source";
        errors.push(FieldError::required(path.child(expected), detail));
        return;
    }
    for (_, other) in METRIC_TYPES {
        if other != *expected && get(metric, other).is_object() {
            let detail = "must populate the given metric source only";
            errors.push(FieldError::forbidden(path.child(other), detail));
        }
    }
    let path = path.child(expected);
    let target = get(source, "target");
    let target_path = path.child("target");
    match *expected {
        "resource" | "containerResource" => {
            if !is_set(source, "name") {
                errors.push(FieldError::required(path.child("name"), "must specify a resource name"));
            }
            if *expected == "containerResource" && !is_set(source, "container") {
                errors.push(FieldError::required(path.child("container"), "must specify a container"));
            }
            target_values(target, &target_path, errors);
            let (average, percent) = (is_set(target, "averageValue"), !get(target, "averageUtilization").is_null());
            if average && percent {
                let detail = "may not set both a target raw value and a target utilization";
                errors.push(FieldError::forbidden(target_path.child("averageValue"), detail));
            } else if !average && !percent {
                let detail = "must set either a target raw value or a target utilization";
                errors.push(FieldError::required(target_path.child("averageUtilization"), detail));
            }
        }
        "pods" => {
            identifier(get(source, "metric"), &path.child("metric"), errors);
            target_values(target, &target_path, errors);
            if quantity(get(target, "averageValue")).is_none_or(|q| q.sign() <= 0) {
                let detail = "must specify a positive target averageValue";
                errors.push(FieldError::required(target_path.child("averageValue"), detail));
            }
        }
        "object" => {
            reference(get(source, "describedObject"), &path.child("describedObject"), false, errors);
            identifier(get(source, "metric"), &path.child("metric"), errors);
            target_values(target, &target_path, errors);
            if !is_set(target, "value") && !is_set(target, "averageValue") {
                let detail = "must set either a target value or averageValue";
                errors.push(FieldError::required(target_path.child("averageValue"), detail));
            }
        }
        _ => {
            identifier(get(source, "metric"), &path.child("metric"), errors);
            target_values(target, &target_path, errors);
            let both = (is_set(target, "value"), is_set(target, "averageValue"));
            if both == (false, false) {
                let detail = "must set either a target value for metric or a per-pod target";
                errors.push(FieldError::required(target_path.child("averageValue"), detail));
            } else if both == (true, true) {
                let detail = "may not set both a target value for metric and a per-pod target";
                errors.push(FieldError::forbidden(target_path.child("value"), detail));
            }
        }
    }
}

fn target_values(target: &Value, path: &Path, errors: &mut Errors) {
    match text(target, "type") {
        "" => errors.push(FieldError::required(path.child("type"), "must specify a metric target type")),
        "Utilization" | "Value" | "AverageValue" => {}
        other => {
            let detail = "must be either Utilization, Value, or AverageValue";
            errors.push(FieldError::invalid(path.child("type"), &other.into(), detail));
        }
    }
    for key in ["value", "averageValue"] {
        if let Some(amount) = quantity(get(target, key))
            && amount.sign() <= 0
        {
            errors.push(FieldError::invalid(path.child(key), &amount.canonical().into(), "must be positive"));
        }
    }
    if let Some(percent) = int(target, "averageUtilization")
        && percent < 1
    {
        let detail = "must be greater than 0";
        errors.push(FieldError::invalid(path.child("averageUtilization"), &percent.into(), detail));
    }
}

fn identifier(metric: &Value, path: &Path, errors: &mut Errors) {
    let name = text(metric, "name");
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), "must specify a metric name"));
    } else {
        invalid_each(path.child("name"), name, path_segment_name(name), errors);
    }
}

fn behavior(behavior: &Value, path: &Path, errors: &mut Errors) {
    for direction in ["scaleUp", "scaleDown"] {
        let rules = get(behavior, direction);
        if rules.is_object() {
            scaling_rules(rules, &path.child(direction), errors);
        }
    }
}

fn scaling_rules(rules: &Value, path: &Path, errors: &mut Errors) {
    if let Some(seconds) = int(rules, "stabilizationWindowSeconds") {
        let at = path.child("stabilizationWindowSeconds");
        if seconds < 0 {
            errors.push(FieldError::invalid(at, &seconds.into(), "must be greater than or equal to zero"));
        } else if seconds > WINDOW_SECONDS_MAX {
            let detail = format!("must be less than or equal to {WINDOW_SECONDS_MAX}");
            errors.push(FieldError::invalid(at, &seconds.into(), &detail));
        }
    }
    if is_set(rules, "selectPolicy") {
        one_of(rules, "selectPolicy", &["Disabled", "Max", "Min"], path, errors);
    }
    let list = path.child("policies");
    let policies = items(rules, "policies");
    if policies.is_empty() {
        errors.push(FieldError::required(list, "must specify at least one Policy"));
    }
    for (i, policy) in policies.iter().enumerate() {
        let path = list.index(i);
        one_of(policy, "type", &["Percent", "Pods"], &path, errors);
        for key in ["value", "periodSeconds"] {
            let n = int(policy, key).unwrap_or(0);
            if n <= 0 {
                errors.push(FieldError::invalid(path.child(key), &n.into(), "must be greater than zero"));
            } else if key == "periodSeconds" && n > PERIOD_SECONDS_MAX {
                let detail = format!("must be less than or equal to {PERIOD_SECONDS_MAX}");
                errors.push(FieldError::invalid(path.child(key), &n.into(), &detail));
            }
        }
    }
    if let Some(tolerance) = quantity(get(rules, "tolerance"))
        && tolerance.sign() < 0
    {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(path.child("tolerance"), &tolerance.canonical().into(), detail));
    }
}
