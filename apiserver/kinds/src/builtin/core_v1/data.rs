//! What ConfigMaps and Secrets have in common: keys and the limit on their size.

use serde_json::Value;

use crate::field::{Errors, FieldError};

/// Most bytes of all values of one ConfigMap or Secret: kube-apiserver's limit, below what a store entry may hold.
pub const BYTES_MAX: usize = 1024 * 1024;

/// Complaints about a key of a data map.
pub fn validate_key(key: &str, field: &str, errors: &mut Errors) {
    for complaint in kuorum_schema::names::config_map_key(key) {
        errors.push(FieldError::invalid(format!("{field}[{key}]"), &key.into(), &complaint));
    }
}

/// How many bytes a base64 value stands for.
pub fn decoded_len(value: &Value) -> usize {
    let text = value.as_str().unwrap_or("").trim_end_matches('=');
    text.len() * 3 / 4
}
