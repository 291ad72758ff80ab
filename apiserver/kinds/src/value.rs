//! Reading and filling plain JSON objects. Absent, `null` and (where Go has no pointer) zero mean the same.
//!
//! Paths are dotted field names (`spec.template.spec`); they cannot reach into maps with dotted keys, so they are
//! for struct fields only.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// The value at `path`, `Null` where there is none.
pub fn get<'a>(object: &'a Value, path: &str) -> &'a Value {
    // Most paths are one name: no splitting for them.
    if !path.as_bytes().contains(&b'.') {
        return object.get(path).unwrap_or(&NULL);
    }
    let mut at = object;
    for key in path.split('.') {
        match at {
            Value::Object(map) => match map.get(key) {
                Some(value) => at = value,
                None => return &NULL,
            },
            _ => return &NULL,
        }
    }
    at
}

/// The value at `path` for writing; `None` where it is absent or `null`.
pub fn get_mut<'a>(object: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut at = object;
    for key in path.split('.') {
        at = at.as_object_mut()?.get_mut(key)?;
    }
    if at.is_null() { None } else { Some(at) }
}

/// The text at `path`, empty where there is none.
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    get(object, path).as_str().unwrap_or("")
}

/// The integer at `path`; absent where it is unset or not an integer.
pub fn int(object: &Value, path: &str) -> Option<i64> {
    get(object, path).as_i64()
}

/// The boolean at `path`, false where it is unset.
pub fn flag(object: &Value, path: &str) -> bool {
    get(object, path).as_bool().unwrap_or(false)
}

/// The items of the list at `path`, none where it is unset.
pub fn items<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    get(object, path).as_array().map_or(&[], Vec::as_slice)
}

/// The entries of the map at `path` in key order, none where it is unset.
pub fn entries<'a>(object: &'a Value, path: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    get(object, path).as_object().into_iter().flatten().map(|(k, v)| (k.as_str(), v))
}

/// Whether there is anything but absence, `null`, or an empty string, list or map at `path`.
pub fn is_set(object: &Value, path: &str) -> bool {
    match get(object, path) {
        Value::Null => false,
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(o) => !o.is_empty(),
        _ => true,
    }
}

/// The items of the list in field `key` of `object`, for writing.
pub fn items_mut<'a>(object: &'a mut Value, key: &str) -> &'a mut [Value] {
    match object.as_object_mut().and_then(|map| map.get_mut(key)) {
        Some(Value::Array(items)) => items.as_mut_slice(),
        _ => &mut [],
    }
}

/// Sets a field that is absent or `null` (a Go pointer).
pub fn set_default(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(map) = object {
        match map.get_mut(key) {
            Some(old) if old.is_null() => *old = value.into(),
            Some(_) => {}
            None => {
                map.insert(key.to_owned(), value.into());
            }
        }
    }
}

/// Sets a string field that is absent, `null` or empty (a Go string).
pub fn set_default_text(object: &mut Value, key: &str, value: &str) {
    if let Value::Object(map) = object {
        match map.get_mut(key) {
            Some(Value::String(old)) if !old.is_empty() => {}
            Some(old @ (Value::Null | Value::String(_))) => *old = value.into(),
            Some(_) => {}
            None => {
                map.insert(key.to_owned(), value.into());
            }
        }
    }
}

/// Sets an integer field that is absent, `null` or 0 (a Go integer).
pub fn set_default_int(object: &mut Value, key: &str, value: i64) {
    if let Value::Object(map) = object {
        match map.get_mut(key) {
            Some(old) if old.is_null() || old.as_i64() == Some(0) => *old = value.into(),
            Some(_) => {}
            None => {
                map.insert(key.to_owned(), value.into());
            }
        }
    }
}

/// Sets a list or map field that is absent, `null` or empty.
pub fn set_default_if_empty(object: &mut Value, key: &str, value: impl FnOnce() -> Value) {
    if !is_set(object, key) {
        set(object, key, value());
    }
}

/// The object in field `key`, made where it is absent or `null`. `None` only if `object` or the field is not an object.
pub fn child<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let map = object.as_object_mut()?;
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.to_owned(), Value::Object(Map::new()));
    }
    map.get_mut(key).filter(|v| v.is_object())
}

/// The object in field `key`, if it is there.
pub fn existing<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    object.as_object_mut()?.get_mut(key).filter(|v| v.is_object())
}

/// Sets a field.
pub fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(map) = object {
        map.insert(key.to_owned(), value.into());
    }
}

/// Removes a field.
pub fn remove(object: &mut Value, key: &str) -> Option<Value> {
    object.as_object_mut()?.remove(key)
}

/// Makes field `key` of `new` what it is in `old` (also absent).
pub fn carry_over(new: &mut Value, old: &Value, key: &str) {
    match old.get(key) {
        Some(value) => set(new, key, value.clone()),
        None => {
            remove(new, key);
        }
    }
}

/// Equality in which absence, `null` and empty lists, maps and strings are the same.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            x.iter().all(|(k, v)| equal(v, y.get(k).unwrap_or(&NULL)))
                && y.iter().all(|(k, v)| x.contains_key(k) || is_empty(v))
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(v, w)| equal(v, w)),
        _ => a == b || (is_empty(a) && is_empty(b)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.values().all(is_empty),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn empty_and_absent_are_equal() {
        assert!(equal(&json!({"a": {}, "b": null, "c": 1}), &json!({"c": 1, "d": []})));
        assert!(!equal(&json!({"c": 1}), &json!({"c": 1, "d": [0]})));
    }

    #[test]
    fn defaults_respect_zero_values() {
        let mut v = json!({"s": "", "n": 0, "p": 0, "z": null});
        set_default_text(&mut v, "s", "x");
        set_default_int(&mut v, "n", 5);
        set_default(&mut v, "p", 5);
        set_default(&mut v, "z", true);
        assert_eq!(v, json!({"s": "x", "n": 5, "p": 0, "z": true}));
        assert_eq!(int(&v, "n"), Some(5));
        assert_eq!(text(&v, "q.r"), "");
    }
}
