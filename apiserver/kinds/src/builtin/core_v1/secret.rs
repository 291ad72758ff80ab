//! Secret: its type, `stringData`, and what well-known types must hold.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::data;
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::row::SelectableField;
use crate::table::{self, AGE, NAME};
use crate::value::{child, entries, equal, flag, get, remove, set, set_default_text, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_update: Some(prepare_update),
    validate_create: Some(validate),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    update_metadata: &[Pass::Update, Pass::Create],
    ..Hooks::NONE
};

pub const FIELDS: &[SelectableField] =
    &[SelectableField { name: "type", value: |secret| text(secret, "type").to_owned() }];

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Type", "string", "io.k8s.api.core.v1.Secret", "type"),
        table::field("Data", "string", "io.k8s.api.core.v1.Secret", "data"),
        AGE,
    ],
    |secret, now| {
        let count = entries(secret, "data").count();
        vec![table::name(secret), text(secret, "type").into(), count.into(), table::age(secret, now)]
    },
);

fn default(secret: &mut Value) {
    set_default_text(secret, "type", "Opaque");
    if let Some(Value::Object(strings)) = remove(secret, "stringData")
        && let Some(data) = child(secret, "data")
    {
        for (key, value) in strings {
            set(data, &key, STANDARD.encode(value.as_str().unwrap_or("")));
        }
    }
}

/// The type of a Secret is what it was unless a new one is given (and then refused).
fn prepare_update(new: &mut Value, old: &Value, _: &Context) {
    if text(new, "type").is_empty() {
        crate::value::carry_over(new, old, "type");
    }
}

fn validate(secret: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    let mut bytes = 0;
    for (key, value) in entries(secret, "data") {
        data::validate_key(key, "data", &mut errors);
        bytes += data::decoded_len(value);
    }
    if bytes > data::BYTES_MAX {
        errors.push(FieldError::too_long("data", data::BYTES_MAX));
    }
    validate_type(secret, &mut errors);
    errors
}

fn validate_type(secret: &Value, errors: &mut Errors) {
    let has = |key: &str| get(secret, "data").get(key).is_some();
    let require = |key: &str, errors: &mut Errors| {
        if !has(key) {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
    };
    let json_in = |key: &str, errors: &mut Errors| {
        let Some(encoded) = get(secret, "data").get(key).and_then(Value::as_str) else {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
            return;
        };
        let decoded = STANDARD.decode(encoded).unwrap_or_default();
        if let Err(error) = serde_json::from_slice::<serde_json::Map<String, Value>>(&decoded) {
            let detail = if decoded.is_empty() { "unexpected end of JSON input".to_owned() } else { error.to_string() };
            errors.push(FieldError::invalid(format!("data[{key}]"), &"<secret contents redacted>".into(), &detail));
        }
    };
    match text(secret, "type") {
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if get(secret, "metadata.annotations").get(name).and_then(Value::as_str).unwrap_or("").is_empty() {
                errors.push(FieldError::required(format!("metadata.annotations[{name}]"), ""));
            }
        }
        "kubernetes.io/dockercfg" => json_in(".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => json_in(".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            errors.push(FieldError::required("data[username]", ""));
            errors.push(FieldError::required("data[password]", ""));
        }
        "kubernetes.io/ssh-auth" => {
            let empty = get(secret, "data").get("ssh-privatekey").and_then(Value::as_str).unwrap_or("").is_empty();
            if empty {
                errors.push(FieldError::required("data[ssh-privatekey]", ""));
            }
        }
        "kubernetes.io/tls" => {
            require("tls.crt", errors);
            require("tls.key", errors);
        }
        _ => {}
    }
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if get(new, "type") != get(old, "type") {
        errors.push(FieldError::invalid("type", get(new, "type"), "field is immutable"));
    }
    if flag(old, "immutable") {
        if !flag(new, "immutable") {
            errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
        }
        if !equal(get(new, "data"), get(old, "data")) {
            errors.push(FieldError::forbidden("data", "field is immutable when `immutable` is set"));
        }
    }
    errors.append(&mut validate(new, context));
    errors
}
