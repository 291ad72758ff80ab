//! HorizontalPodAutoscaler of autoscaling/v1: CPU utilization as a field of its own, everything newer in annotations.

use serde_json::Value;

use super::annotations;
use crate::builtin::autoscaling_v2::hpa as v2;
use crate::hooks::{Hooks, TablePrinter};
use crate::value::{child, existing, get, remove, set, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    from_storage: Some(from_v2),
    to_storage: Some(to_v2),
    validate_create: Some(|hpa, _| validate_stored(hpa)),
    validate_update: Some(
        |new, _, context| if context.subresource.is_empty() { validate_stored(new) } else { Vec::new() },
    ),
    table: Some(TABLE),
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(v2::COLUMNS, |hpa, now| {
    let mut stored = hpa.clone();
    to_v2(&mut stored);
    v2::cells(&stored, now)
});

/// The rules are those of the stored form, which names its fields in complaints too.
fn validate_stored(hpa: &Value) -> crate::field::Errors {
    let mut stored = hpa.clone();
    to_v2(&mut stored);
    crate::builtin::autoscaling_v2::validate::autoscaler(&stored)
}

fn default(hpa: &mut Value) {
    if let Some(spec) = child(hpa, "spec") {
        set_default(spec, "minReplicas", 1);
    }
}

/// Whether a metric (or its current value) is the CPU utilization, which v1 has a field for.
fn is_cpu_utilization(metric: &Value, part: &str) -> bool {
    text(metric, "type") == "Resource"
        && text(metric, "resource.name") == "cpu"
        && get(get(metric, "resource"), part).get("averageUtilization").is_some_and(|v| !v.is_null())
}

fn from_v2(hpa: &mut Value) {
    set(hpa, "apiVersion", "autoscaling/v1");
    let mut notes: Vec<(&str, String)> = Vec::new();
    if let Some(spec) = existing(hpa, "spec") {
        if let Some(Value::Array(metrics)) = remove(spec, "metrics") {
            let (cpu, others): (Vec<Value>, Vec<Value>) =
                metrics.into_iter().partition(|m| is_cpu_utilization(m, "target"));
            if let Some(first) = cpu.first() {
                let percent = get(first, "resource.target.averageUtilization").clone();
                set(spec, "targetCPUUtilizationPercentage", percent);
            }
            if !others.is_empty() {
                notes.push((annotations::METRICS, annotations::metrics_to_v1(&others, "target")));
            }
        }
        if let Some(behavior) = remove(spec, "behavior") {
            notes.push((annotations::BEHAVIOR, annotations::behavior_to_text(&behavior)));
        }
    }
    if let Some(status) = existing(hpa, "status") {
        if let Some(Value::Array(metrics)) = remove(status, "currentMetrics") {
            let (cpu, others): (Vec<Value>, Vec<Value>) =
                metrics.into_iter().partition(|m| is_cpu_utilization(m, "current"));
            if let Some(first) = cpu.first() {
                let percent = get(first, "resource.current.averageUtilization").clone();
                set(status, "currentCPUUtilizationPercentage", percent);
            }
            if !others.is_empty() {
                notes.push((annotations::CURRENT_METRICS, annotations::metrics_to_v1(&others, "current")));
            }
        }
        if let Some(Value::Array(conditions)) = remove(status, "conditions")
            && !conditions.is_empty()
        {
            notes.push((annotations::CONDITIONS, annotations::conditions_to_text(&conditions)));
        }
    }
    if !notes.is_empty()
        && let Some(meta) = child(hpa, "metadata")
        && let Some(existing) = child(meta, "annotations")
    {
        for (key, text) in notes {
            set(existing, key, text);
        }
    }
}

fn to_v2(hpa: &mut Value) {
    set(hpa, "apiVersion", "autoscaling/v2");
    let notes = get(hpa, "metadata.annotations").clone();
    let note = |key: &str| notes.get(key).and_then(Value::as_str).and_then(|t| serde_json::from_str::<Value>(t).ok());
    if let Some(spec) = existing(hpa, "spec") {
        let mut metrics = Vec::new();
        if let Some(percent) = remove(spec, "targetCPUUtilizationPercentage").filter(|p| !p.is_null()) {
            metrics.push(annotations::cpu_metric("target", &percent));
        }
        if let Some(Value::Array(others)) = note(annotations::METRICS) {
            metrics.extend(others.iter().map(|m| annotations::metric_to_v2(m, "target")));
        }
        if !metrics.is_empty() {
            set(spec, "metrics", metrics);
        }
        if let Some(behavior) = note(annotations::BEHAVIOR) {
            set(spec, "behavior", annotations::behavior_from(&behavior));
        }
    }
    if let Some(status) = existing(hpa, "status") {
        let mut metrics = Vec::new();
        if let Some(percent) = remove(status, "currentCPUUtilizationPercentage").filter(|p| !p.is_null()) {
            metrics.push(annotations::cpu_metric("current", &percent));
        }
        if let Some(Value::Array(others)) = note(annotations::CURRENT_METRICS) {
            metrics.extend(others.iter().map(|m| annotations::metric_to_v2(m, "current")));
        }
        if !metrics.is_empty() {
            set(status, "currentMetrics", metrics);
        }
        if let Some(conditions) = note(annotations::CONDITIONS) {
            set(status, "conditions", conditions);
        }
    }
    drop_notes(hpa);
    v2::default(hpa);
}

fn drop_notes(hpa: &mut Value) {
    let Some(meta) = existing(hpa, "metadata") else { return };
    let Some(notes) = existing(meta, "annotations") else { return };
    for key in [annotations::METRICS, annotations::BEHAVIOR, annotations::CURRENT_METRICS, annotations::CONDITIONS] {
        remove(notes, key);
    }
    if get(meta, "annotations").as_object().is_some_and(|a| a.is_empty()) {
        remove(meta, "annotations");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_v1_lacks_travels_in_annotations() {
        let stored = json!({"apiVersion": "autoscaling/v2", "metadata": {}, "spec": {"minReplicas": 2, "maxReplicas": 9,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "100Mi"}}}],
            "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 30}],
                                     "selectPolicy": "Max", "stabilizationWindowSeconds": 0},
                         "scaleDown": {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
                                       "selectPolicy": "Max"}}}});
        let mut hpa = stored.clone();
        from_v2(&mut hpa);
        assert_eq!(hpa["spec"]["targetCPUUtilizationPercentage"], 50);
        assert_eq!(
            hpa["metadata"]["annotations"][annotations::METRICS],
            r#"[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"100Mi"}}]"#
        );
        assert_eq!(
            hpa["metadata"]["annotations"][annotations::BEHAVIOR],
            r#"{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":2,"PeriodSeconds":30}],"Tolerance":null},"ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Max","Policies":[{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null}}"#
        );
        to_v2(&mut hpa);
        assert_eq!(hpa, stored);
    }
}
