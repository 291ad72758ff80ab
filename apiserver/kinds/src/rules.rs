//! Small rules that many kinds share. Each adds its complaints, in kube-apiserver's words, to a list.

use kuorum_schema::names;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::value::{get, int, text};

/// Every complaint about `value` is one "Invalid value" at `path`.
pub fn invalid_each(path: Path, value: &str, complaints: Vec<String>, errors: &mut Errors) {
    for complaint in complaints {
        errors.push(FieldError::invalid(path, &value.into(), &complaint));
    }
}

/// An integer field, if set, is not negative.
pub fn non_negative(object: &Value, key: &str, path: &Path, errors: &mut Errors) {
    if int(object, key).is_some_and(|n| n < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(path.child(key), get(object, key), detail));
    }
}

/// A text field is one of a few.
pub fn one_of(object: &Value, key: &str, allowed: &[&str], path: &Path, errors: &mut Errors) {
    let value = text(object, key);
    if !allowed.contains(&value) {
        errors.push(FieldError::not_supported(path.child(key), &value.into(), allowed));
    }
}

/// As [`one_of`], and unset is "Required value".
pub fn required_one_of(object: &Value, key: &str, allowed: &[&str], path: &Path, errors: &mut Errors) {
    if text(object, key).is_empty() {
        errors.push(FieldError::required(path.child(key), ""));
    } else {
        one_of(object, key, allowed, path, errors);
    }
}

/// As [`one_of`], and unset is fine.
pub fn optional_one_of(object: &Value, key: &str, allowed: &[&str], path: &Path, errors: &mut Errors) {
    if !get(object, key).is_null() {
        one_of(object, key, allowed, path, errors);
    }
}

/// A text field is set.
pub fn required(object: &Value, key: &str, path: &Path, errors: &mut Errors) {
    if text(object, key).is_empty() {
        errors.push(FieldError::required(path.child(key), ""));
    }
}

/// A value that may not change.
pub fn immutable(new: &Value, old: &Value, path: Path, errors: &mut Errors) {
    if !crate::value::equal(new, old) {
        errors.push(FieldError::invalid(path, new, "field is immutable"));
    }
}

/// A port number from 1 to 65535.
pub fn port(value: &Value, path: Path, errors: &mut Errors) {
    for complaint in names::port_number(value.as_i64().unwrap_or(0)) {
        let shown = if value.is_null() { Value::from(0) } else { value.clone() };
        errors.push(FieldError::invalid(path, &shown, &complaint));
    }
}

/// A port by number or by name.
pub fn port_or_name(value: &Value, path: Path, errors: &mut Errors) {
    match value {
        Value::String(name) => invalid_each(path, name, names::port_name(name), errors),
        number => port(number, path, errors),
    }
}

/// An integer, or a percentage, that is not negative.
pub fn int_or_percent(value: &Value, path: Path, errors: &mut Errors) {
    match value {
        Value::String(shown) => invalid_each(path, shown, names::percent(shown), errors),
        Value::Number(number) if number.as_i64().is_some_and(|n| n < 0) => {
            errors.push(FieldError::invalid(path, value, "must be greater than or equal to 0"));
        }
        _ => {}
    }
}

/// A percentage of at most 100.
pub fn at_most_all(value: &Value, path: Path, errors: &mut Errors) {
    if percent_of(value).is_some_and(|n| n > 100) {
        errors.push(FieldError::invalid(path, value, "must not be greater than 100%"));
    }
}

/// The number of a percentage.
pub fn percent_of(value: &Value) -> Option<i64> {
    value.as_str()?.strip_suffix('%')?.parse().ok()
}

/// 0, or 0 %.
pub fn is_zero(value: &Value) -> bool {
    value.as_i64() == Some(0) || percent_of(value) == Some(0)
}

/// A map of strings as Go prints it, `null` where it is unset.
pub fn show_labels(labels: &Value) -> String {
    match labels.as_object() {
        Some(map) if !map.is_empty() => labels.to_string(),
        _ => "null".to_owned(),
    }
}
