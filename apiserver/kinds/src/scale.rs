//! The `autoscaling/v1` Scale view of a workload.

use serde_json::{Value, json};

use crate::label_selector;
use crate::value::{child, entries, get, int, set, text};

/// The Scale of an object. `kind` is the object's kind: a ReplicationController has a plain map as selector.
pub fn of(object: &Value, kind: &str) -> Value {
    let meta = get(object, "metadata");
    let mut scale_meta = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = meta.get(key) {
            set(&mut scale_meta, key, value.clone());
        }
    }
    let mut spec = json!({});
    let replicas = int(object, "spec.replicas").unwrap_or(0);
    if replicas != 0 {
        spec["replicas"] = replicas.into();
    }
    let mut status = json!({"replicas": int(object, "status.replicas").unwrap_or(0)});
    let selector = selector(object, kind);
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": scale_meta,
        "spec": spec,
        "status": status,
    })
}

/// The label selector of the object's pods, as text.
pub fn selector(object: &Value, kind: &str) -> String {
    if kind == "ReplicationController" {
        let pairs: Vec<String> =
            entries(object, "spec.selector").map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect();
        return pairs.join(",");
    }
    label_selector::to_string(get(object, "spec.selector"))
}

/// Writes the replicas of a Scale into its object.
pub fn apply(object: &mut Value, scale: &Value) {
    let replicas = int(scale, "spec.replicas").unwrap_or(0);
    if let Some(spec) = child(object, "spec") {
        set(spec, "replicas", replicas);
    }
}

/// What is wrong with a Scale that is to be written.
pub fn validate(scale: &Value) -> crate::field::Errors {
    let mut errors = crate::field::Errors::new();
    let name = text(scale, "metadata.name");
    if name.is_empty() {
        errors.push(crate::field::FieldError::required("metadata.name", "name or generateName is required"));
    }
    if int(scale, "spec.replicas").unwrap_or(0) < 0 {
        errors.push(crate::field::FieldError::invalid(
            "spec.replicas",
            get(scale, "spec.replicas"),
            "must be greater than or equal to 0",
        ));
    }
    errors
}
