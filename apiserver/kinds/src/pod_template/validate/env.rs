//! Environment variables and their sources.

use kuorum_schema::names;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::pod_template::resources::quantity;
use crate::rules::{invalid_each, required};
use crate::value::{get, is_set, items, text};

/// What a variable can be taken from.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The variables and variable sources of a container.
pub fn all(container: &Value, field: &Path, errors: &mut Errors) {
    let at = field.child("env");
    for (i, variable) in items(container, "env").iter().enumerate() {
        let at = at.index(i);
        let name = text(variable, "name");
        if name.is_empty() {
            errors.push(FieldError::required(at.child("name"), ""));
        } else {
            invalid_each(at.child("name"), name, names::relaxed_env_var_name(name), errors);
        }
        if get(variable, "valueFrom").is_object() {
            value_from(variable, &at.child("valueFrom"), errors);
        }
    }
    let at = field.child("envFrom");
    for (i, source) in items(container, "envFrom").iter().enumerate() {
        env_from(source, &at, i, errors);
    }
}

fn value_from(variable: &Value, field: &Path, errors: &mut Errors) {
    let source = get(variable, "valueFrom");
    let mut count = 0;
    for kind in ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"] {
        let reference = get(source, kind);
        if !reference.is_object() {
            continue;
        }
        count += 1;
        let field = field.child(kind);
        match kind {
            "fieldRef" => field_ref(reference, &ENV_FIELDS, &field, errors),
            "resourceFieldRef" => resource_field_ref(reference, false, &field, errors),
            "configMapKeyRef" | "secretKeyRef" => {
                let name = text(reference, "name");
                invalid_each(field.child("name"), name, names::dns1123_subdomain(name), errors);
                let key = text(reference, "key");
                if key.is_empty() {
                    errors.push(FieldError::required(field.child("key"), ""));
                } else {
                    invalid_each(field.child("key"), key, names::config_map_key(key), errors);
                }
            }
            _ => {
                for key in ["volumeName", "path", "key"] {
                    required(reference, key, &field, errors);
                }
            }
        }
    }
    let complaint = match count {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if is_set(variable, "value") => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(FieldError::invalid(field, &"".into(), complaint));
}

/// A reference to a field of the pod.
pub fn field_ref(reference: &Value, allowed: &[&str], field: &Path, errors: &mut Errors) {
    let path = text(reference, "fieldPath");
    if !is_set(reference, "apiVersion") {
        errors.push(FieldError::required(field.child("apiVersion"), ""));
        return;
    }
    if path.is_empty() {
        errors.push(FieldError::required(field.child("fieldPath"), ""));
        return;
    }
    let at = field.child("fieldPath");
    let convert =
        |detail: String| FieldError::invalid(at, &path.into(), &format!("error converting fieldPath: {detail}"));
    if text(reference, "apiVersion") != "v1" {
        errors.push(convert(format!("unsupported pod version: {}", text(reference, "apiVersion"))));
        return;
    }
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        match map {
            "metadata.labels" => invalid_each(*field, key, names::qualified_name(key), errors),
            "metadata.annotations" => {
                invalid_each(*field, key, names::qualified_name(&key.to_lowercase()), errors);
            }
            _ => errors.push(convert(format!("field label does not support subscript: {path}"))),
        }
        return;
    }
    let convertible = allowed.contains(&path)
        || ENV_FIELDS.contains(&path)
        || matches!(
            path,
            "metadata.annotations"
                | "metadata.labels"
                | "spec.restartPolicy"
                | "spec.schedulerName"
                | "status.phase"
                | "spec.hostNetwork"
                | "status.nominatedNodeName"
        );
    if !convertible {
        errors.push(convert(format!("field label not supported: {path}")));
    } else if !allowed.contains(&path) {
        errors.push(FieldError::not_supported(at, &path.into(), allowed));
    }
}

const UNITS: &str = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";

/// A reference to a request or limit of a container; volumes must name the container.
pub fn resource_field_ref(reference: &Value, volume: bool, field: &Path, errors: &mut Errors) {
    let resource = text(reference, "resource");
    let known = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let name = resource.split_once('.').map_or("", |(_, name)| name);
    let huge = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if volume && !is_set(reference, "containerName") {
        errors.push(FieldError::required(field.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(field.child("resource"), ""));
    } else if !known.contains(&resource) && !huge {
        errors.push(FieldError::not_supported(field.child("resource"), &resource.into(), &known));
    }
    if !known.contains(&resource) && !huge {
        return;
    }
    let Some(divisor) = quantity(get(reference, "divisor")) else { return };
    let shown = divisor.canonical();
    let good = match name {
        "cpu" => matches!(shown.as_str(), "0" | "1" | "1m"),
        _ => shown == "0" || UNITS.split(", ").any(|unit| unit == shown),
    };
    if !good {
        let detail = match name {
            "cpu" => "only divisor's values 1m and 1 are supported with the cpu resource".to_owned(),
            "memory" => format!("only divisor's values {UNITS} are supported with the memory resource"),
            "ephemeral-storage" => {
                format!("only divisor's values {UNITS} are supported with the local ephemeral storage resource")
            }
            _ => format!("only divisor's values {UNITS} are supported with the hugepages resource"),
        };
        errors.push(FieldError::invalid(field.child("divisor"), &resource.into(), &detail));
    }
}

fn env_from(source: &Value, list: &Path, index: usize, errors: &mut Errors) {
    let field = list.index(index);
    let prefix = text(source, "prefix");
    if !prefix.is_empty() {
        invalid_each(field.child("prefix"), prefix, names::relaxed_env_var_name(prefix), errors);
    }
    let mut count = 0;
    for kind in ["configMapRef", "secretRef"] {
        let reference = get(source, kind);
        if !reference.is_object() {
            continue;
        }
        count += 1;
        let field = field.child(kind);
        let name = text(reference, "name");
        if name.is_empty() {
            errors.push(FieldError::required(field.child("name"), ""));
        } else {
            invalid_each(field.child("name"), name, names::dns1123_subdomain(name), errors);
        }
    }
    let complaint = match count {
        0 => "must specify one of: `configMapRef` or `secretRef`",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(FieldError::invalid(list, &"".into(), complaint));
}
