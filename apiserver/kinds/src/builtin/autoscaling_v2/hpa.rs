//! HorizontalPodAutoscaler in its stored form.

use serde_json::{Value, json};

use super::validate;
use crate::hooks::{Column, Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{child, existing, get, int, is_set, items, set_default, set_default_if_empty, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    validate_create: Some(|hpa, _| validate::autoscaler(hpa)),
    validate_update: Some(
        |new, _, context| if context.subresource.is_empty() { validate::autoscaler(new) } else { Vec::new() },
    ),
    table: Some(TABLE),
    ..Hooks::NONE
};

/// Target utilization of the CPU in percent, where an autoscaler names no metric.
const CPU_PERCENT: i64 = 80;
/// How many metrics a table shows.
const METRICS_SHOWN_MAX: usize = 2;

const SPEC: &str = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec";

pub const COLUMNS: &[Column] = &[
    NAME,
    table::field("Reference", "string", SPEC, "scaleTargetRef"),
    table::field("Targets", "string", SPEC, "metrics"),
    table::field("MinPods", "string", SPEC, "minReplicas"),
    table::field("MaxPods", "string", SPEC, "maxReplicas"),
    table::field("Replicas", "string", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus", "currentReplicas"),
    AGE,
];

const TABLE: TablePrinter = TablePrinter::new(COLUMNS, cells);

/// The cells of an autoscaler in its stored form.
pub fn cells(hpa: &Value, now: i64) -> Vec<Value> {
    let reference = format!("{}/{}", text(hpa, "spec.scaleTargetRef.kind"), text(hpa, "spec.scaleTargetRef.name"));
    let least = int(hpa, "spec.minReplicas").map_or_else(|| "<unset>".to_owned(), |n| n.to_string());
    vec![
        table::name(hpa),
        reference.into(),
        metrics(hpa).into(),
        least.into(),
        table::count(hpa, "spec.maxReplicas"),
        table::count(hpa, "status.currentReplicas"),
        table::age(hpa, now),
    ]
}

fn metrics(hpa: &Value) -> String {
    let specs = items(hpa, "spec.metrics");
    let statuses = items(hpa, "status.currentMetrics");
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let shown: Vec<String> = specs
        .iter()
        .enumerate()
        .take(METRICS_SHOWN_MAX)
        .map(|(i, spec)| metric(spec, statuses.get(i).unwrap_or(&Value::Null)))
        .collect();
    let shown = shown.join(", ");
    match specs.len().saturating_sub(METRICS_SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

/// `current/target` of one metric.
fn metric(spec: &Value, status: &Value) -> String {
    let (field, named) = match text(spec, "type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let source = get(spec, field);
    let current = get(get(status, field), "current");
    let target = get(source, "target");
    let amount = |value: &Value| if value.is_null() { "<unknown>".to_owned() } else { table::quantity(value) };
    if named {
        let name = text(source, "name");
        if is_set(target, "averageValue") {
            return format!("{name}: {}/{}", amount(get(current, "averageValue")), amount(get(target, "averageValue")));
        }
        let percent = |value: &Value, unset: &str| value.as_i64().map_or_else(|| unset.to_owned(), |n| format!("{n}%"));
        let now = percent(get(current, "averageUtilization"), "<unknown>");
        return format!("{name}: {now}/{}", percent(get(target, "averageUtilization"), "<auto>"));
    }
    let average = is_set(target, "averageValue");
    let key = if average { "averageValue" } else { "value" };
    let suffix = if average && field != "pods" { " (avg)" } else { "" };
    format!("{}/{}{suffix}", amount(get(current, key)), amount(get(target, key)))
}

/// Fills in an autoscaler in its stored form.
pub fn default(hpa: &mut Value) {
    let Some(spec) = child(hpa, "spec") else { return };
    set_default(spec, "minReplicas", 1);
    set_default_if_empty(spec, "metrics", || {
        json!([{"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": CPU_PERCENT}}}])
    });
    if let Some(behavior) = existing(spec, "behavior") {
        if let Some(up) = child(behavior, "scaleUp") {
            set_default(up, "selectPolicy", "Max");
            set_default(up, "stabilizationWindowSeconds", 0);
            let policies = json!([{"type": "Pods", "value": 4, "periodSeconds": 15},
                                  {"type": "Percent", "value": 100, "periodSeconds": 15}]);
            set_default(up, "policies", policies);
        }
        if let Some(down) = child(behavior, "scaleDown") {
            set_default(down, "selectPolicy", "Max");
            set_default(down, "policies", json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
        }
    }
}
