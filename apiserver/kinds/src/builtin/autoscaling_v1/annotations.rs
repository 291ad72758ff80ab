//! The annotations in which autoscaling/v1 carries what its fields cannot: metrics and conditions in the JSON of the
//! v1 types, behavior in that of the internal type (Go field names). Texts keep Go's field order.

use serde_json::{Value, json};

use crate::value::{get, items, text};

pub const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
pub const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
pub const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
pub const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// The CPU utilization as a metric; `part` is `target` or `current`.
pub fn cpu_metric(part: &str, percent: &Value) -> Value {
    let mut value = json!({"averageUtilization": percent});
    if part == "target" {
        value["type"] = "Utilization".into();
    }
    json!({"type": "Resource", "resource": {"name": "cpu", part: value}})
}

/// The JSON of one object with its fields in the order given; unset ones are left out.
fn ordered(fields: &[(&str, Value)]) -> String {
    let parts: Vec<String> = fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| match value {
            // Such texts are objects already in order.
            Value::String(raw) if raw.starts_with(RAW) => format!("\"{key}\":{}", &raw[RAW.len_utf8()..]),
            value => format!("\"{key}\":{value}"),
        })
        .collect();
    format!("{{{}}}", parts.join(","))
}

/// Marks a text that is JSON already (a character that no API text can begin with).
const RAW: char = '\u{0}';

fn raw(json: String) -> Value {
    format!("{RAW}{json}").into()
}

/// Metric specs (`target`) or statuses (`current`) in the v1 form.
pub fn metrics_to_v1(metrics: &[Value], part: &str) -> String {
    let list: Vec<String> = metrics.iter().map(|m| metric_to_v1(m, part)).collect();
    format!("[{}]", list.join(","))
}

fn metric_to_v1(metric: &Value, part: &str) -> String {
    let kind = text(metric, "type");
    let field = source_field(kind);
    let source = get(metric, field);
    let amount = get(source, part);
    let selector = get(source, "metric.selector").clone();
    let metric_name = get(source, "metric.name").clone();
    // `averageValue` is `targetAverageValue` or `currentAverageValue`, and so on.
    let named = |name: &str| format!("{part}{name}");
    let of = |name: &str| get(amount, name).clone();
    let body = match field {
        "resource" | "containerResource" => ordered(&[
            ("name", get(source, "name").clone()),
            (&named("AverageUtilization"), of("averageUtilization")),
            (&named("AverageValue"), of("averageValue")),
            ("container", get(source, "container").clone()),
        ]),
        "pods" => ordered(&[
            ("metricName", metric_name),
            (&named("AverageValue"), of("averageValue")),
            ("selector", selector),
        ]),
        "object" => {
            let described = get(source, "describedObject");
            let target = ordered(&[
                ("kind", get(described, "kind").clone()),
                ("name", get(described, "name").clone()),
                ("apiVersion", get(described, "apiVersion").clone()),
            ]);
            let value = if of("value").is_null() { "0".into() } else { of("value") };
            ordered(&[
                ("target", raw(target)),
                ("metricName", metric_name),
                (&named("Value"), value),
                ("selector", selector),
                ("averageValue", of("averageValue")),
            ])
        }
        _ => ordered(&[
            ("metricName", metric_name),
            ("metricSelector", selector),
            (&named("Value"), of("value")),
            (&named("AverageValue"), of("averageValue")),
        ]),
    };
    ordered(&[("type", kind.into()), (field, raw(body))])
}

fn source_field(kind: &str) -> &'static str {
    match kind {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        _ => "external",
    }
}

/// A metric in the v1 form, as v2 has it.
pub fn metric_to_v2(metric: &Value, part: &str) -> Value {
    let kind = text(metric, "type");
    let field = source_field(kind);
    let source = get(metric, field);
    let of = |name: &str| get(source, &format!("{part}{name}")).clone();
    let average = if field == "object" { get(source, "averageValue").clone() } else { of("AverageValue") };
    let plain = of("Value");
    // A v1 object metric has a value even where only the average counts.
    let plain = if field == "object" && !average.is_null() && plain == "0" { Value::Null } else { plain };
    let amounts = [("averageUtilization", of("AverageUtilization")), ("averageValue", average), ("value", plain)];
    let mut amount = json!({});
    for (key, value) in &amounts {
        if !value.is_null() {
            amount[*key] = value.clone();
        }
    }
    if part == "target" {
        amount["type"] = match () {
            () if !amounts[0].1.is_null() => "Utilization",
            () if !amounts[1].1.is_null() => "AverageValue",
            () => "Value",
        }
        .into();
    }
    let mut body = json!({part: amount});
    match field {
        "resource" | "containerResource" => {
            body["name"] = get(source, "name").clone();
            if field == "containerResource" {
                body["container"] = get(source, "container").clone();
            }
        }
        _ => {
            let selector_key = if field == "external" { "metricSelector" } else { "selector" };
            body["metric"] = json!({"name": get(source, "metricName")});
            if get(source, selector_key).is_object() {
                body["metric"]["selector"] = get(source, selector_key).clone();
            }
            if field == "object" {
                body["describedObject"] = get(source, "target").clone();
            }
        }
    }
    json!({"type": kind, field: body})
}

/// Conditions in Go's field order.
pub fn conditions_to_text(conditions: &[Value]) -> String {
    let list: Vec<String> = conditions
        .iter()
        .map(|c| {
            ordered(
                &["type", "status", "lastTransitionTime", "reason", "message"].map(|key| (key, get(c, key).clone())),
            )
        })
        .collect();
    format!("[{}]", list.join(","))
}

/// Behavior with the field names of the internal Go type, unset ones as `null`.
pub fn behavior_to_text(behavior: &Value) -> String {
    let rules = |key: &str| -> String {
        let rules = get(behavior, key);
        if !rules.is_object() {
            return "null".to_owned();
        }
        let policies: Vec<String> = items(rules, "policies")
            .iter()
            .map(|p| {
                let of = |key: &str| get(p, key).clone();
                ordered(&[("Type", of("type")), ("Value", of("value")), ("PeriodSeconds", of("periodSeconds"))])
            })
            .collect();
        format!(
            "{{\"StabilizationWindowSeconds\":{},\"SelectPolicy\":{},\"Policies\":[{}],\"Tolerance\":{}}}",
            get(rules, "stabilizationWindowSeconds"),
            get(rules, "selectPolicy"),
            policies.join(","),
            get(rules, "tolerance"),
        )
    };
    format!("{{\"ScaleUp\":{},\"ScaleDown\":{}}}", rules("scaleUp"), rules("scaleDown"))
}

/// Behavior as v2 has it.
pub fn behavior_from(behavior: &Value) -> Value {
    let mut out = json!({});
    for (from, to) in [("ScaleUp", "scaleUp"), ("ScaleDown", "scaleDown")] {
        let rules = get(behavior, from);
        if !rules.is_object() {
            continue;
        }
        let mut made = json!({});
        for (from, to) in [
            ("StabilizationWindowSeconds", "stabilizationWindowSeconds"),
            ("SelectPolicy", "selectPolicy"),
            ("Tolerance", "tolerance"),
        ] {
            if !get(rules, from).is_null() {
                made[to] = get(rules, from).clone();
            }
        }
        let policies: Vec<Value> = items(rules, "Policies")
            .iter()
            .map(
                |p| json!({"type": get(p, "Type"), "value": get(p, "Value"), "periodSeconds": get(p, "PeriodSeconds")}),
            )
            .collect();
        if !policies.is_empty() {
            made["policies"] = policies.into();
        }
        out[to] = made;
    }
    out
}
