//! `metav1.LabelSelector` on plain JSON: as text, against labels, and its validation.

use std::fmt::Write;

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::value::{entries, get, items, text};

/// The selector in query notation, requirements sorted by key: `app=web,tier in (a,b),!old`.
pub fn to_string(selector: &Value) -> String {
    let mut parts: Vec<(&str, String)> = entries(selector, "matchLabels")
        .map(|(key, value)| (key, format!("{key}={}", value.as_str().unwrap_or(""))))
        .collect();
    for expression in items(selector, "matchExpressions") {
        let key = text(expression, "key");
        let mut values: Vec<&str> = items(expression, "values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let shown = match text(expression, "operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        };
        parts.push((key, shown));
    }
    parts.sort_by(|a, b| a.0.cmp(b.0));
    let mut out = String::new();
    for (i, (_, part)) in parts.iter().enumerate() {
        let _ = write!(out, "{}{part}", if i > 0 { "," } else { "" });
    }
    out
}

/// Whether `labels` (an object, or nothing) satisfy the selector. An empty selector matches all.
pub fn matches(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    entries(selector, "matchLabels").all(|(key, value)| label(key) == value.as_str())
        && items(selector, "matchExpressions").iter().all(|expression| {
            let have = label(text(expression, "key"));
            let listed = || items(expression, "values").iter().any(|v| v.as_str() == have);
            match text(expression, "operator") {
                "In" => have.is_some() && listed(),
                "NotIn" => have.is_none() || !listed(),
                "Exists" => have.is_some(),
                "DoesNotExist" => have.is_none(),
                _ => false,
            }
        })
}

/// Whether the selector has no requirement at all.
pub fn is_empty(selector: &Value) -> bool {
    entries(selector, "matchLabels").next().is_none() && items(selector, "matchExpressions").is_empty()
}

/// The selector as Go prints it: struct fields in their order.
pub fn show(selector: &Value) -> String {
    let mut parts = Vec::new();
    if entries(selector, "matchLabels").next().is_some() {
        parts.push(format!("\"matchLabels\":{}", get(selector, "matchLabels")));
    }
    let expressions: Vec<String> = items(selector, "matchExpressions")
        .iter()
        .map(|e| {
            let values = items(e, "values");
            let values = if values.is_empty() { String::new() } else { format!(",\"values\":{}", get(e, "values")) };
            format!("{{\"key\":{:?},\"operator\":{:?}{values}}}", text(e, "key"), text(e, "operator"))
        })
        .collect();
    if !expressions.is_empty() {
        parts.push(format!("\"matchExpressions\":[{}]", expressions.join(",")));
    }
    format!("{{{}}}", parts.join(","))
}

/// Whether the selector can be used at all (its keys, values and operators are good).
pub fn is_valid(selector: &Value) -> bool {
    let mut errors = Errors::new();
    validate(selector, &Path::new(""), &mut errors);
    errors.is_empty()
}

/// Complaints about the selector at `field`.
pub fn validate(selector: &Value, field: &Path, errors: &mut Errors) {
    crate::metadata::validate_labels(get(selector, "matchLabels"), &field.child("matchLabels"), errors);
    for (i, expression) in items(selector, "matchExpressions").iter().enumerate() {
        let expressions = field.child("matchExpressions");
        let at = expressions.index(i);
        let count = items(expression, "values").len();
        match text(expression, "operator") {
            "In" | "NotIn" => {
                if count == 0 {
                    errors.push(FieldError::required(
                        at.child("values"),
                        "must be specified when `operator` is 'In' or 'NotIn'",
                    ));
                }
            }
            "Exists" | "DoesNotExist" => {
                if count > 0 {
                    errors.push(FieldError::forbidden(
                        at.child("values"),
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                    ));
                }
            }
            _ => errors.push(FieldError::invalid(
                at.child("operator"),
                get(expression, "operator"),
                "not a valid selector operator",
            )),
        }
        crate::metadata::validate_label_name(text(expression, "key"), &at.child("key"), errors);
        for (j, value) in items(expression, "values").iter().enumerate() {
            for complaint in kuorum_schema::names::label_value(value.as_str().unwrap_or("")) {
                errors.push(FieldError::invalid(at.child("values").index(j), value, &complaint));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shows_and_matches() {
        let selector = json!({"matchLabels": {"b": "2"}, "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["y", "x"]}, {"key": "c", "operator": "DoesNotExist"}]});
        assert_eq!(to_string(&selector), "a in (x,y),b=2,!c");
        assert!(matches(&selector, &json!({"a": "x", "b": "2"})));
        assert!(!matches(&selector, &json!({"a": "x", "b": "2", "c": ""})));
        assert!(!matches(&selector, &json!({"b": "2"})));
        assert!(matches(&json!({}), &Value::Null));
    }
}
