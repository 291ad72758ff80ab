//! Probes and the handlers that they share with lifecycle hooks.

use kuorum_schema::names;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::rules::{invalid_each, non_negative, one_of, port_or_name, required};
use crate::value::{get, int, items};

/// The three probes of a container.
pub fn all(container: &Value, _grace_period_seconds: i64, field: &Path, errors: &mut Errors) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let found = get(container, name);
        if found.is_object() {
            probe(found, name, &field.child(name), errors);
        }
    }
}

fn probe(probe: &Value, name: &str, field: &Path, errors: &mut Errors) {
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], field, errors);
    for key in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        non_negative(probe, key, field, errors);
    }
    let grace = get(probe, "terminationGracePeriodSeconds");
    if int(probe, "terminationGracePeriodSeconds").is_some_and(|n| n <= 0) {
        let detail = "must be greater than 0";
        errors.push(FieldError::invalid(field.child("terminationGracePeriodSeconds"), grace, detail));
    }
    if name == "readinessProbe" {
        if !grace.is_null() {
            let detail = "must not be set for readinessProbes";
            errors.push(FieldError::invalid(field.child("terminationGracePeriodSeconds"), grace, detail));
        }
    } else if int(probe, "successThreshold").unwrap_or(1) != 1 {
        let shown = get(probe, "successThreshold");
        errors.push(FieldError::invalid(field.child("successThreshold"), shown, "must be 1"));
    }
}

/// Exactly one of the handlers in `kinds`.
pub fn handler(handler: &Value, kinds: &[&str], field: &Path, errors: &mut Errors) {
    let mut count = 0;
    for kind in kinds {
        let action = get(handler, kind);
        if !action.is_object() {
            continue;
        }
        let field = field.child(kind);
        count += 1;
        if count > 1 {
            errors.push(FieldError::forbidden(field, "may not specify more than 1 handler type"));
            continue;
        }
        match *kind {
            "exec" if items(action, "command").is_empty() => {
                errors.push(FieldError::required(field.child("command"), ""));
            }
            "httpGet" => http_get(action, &field, errors),
            "tcpSocket" => port_or_name(get(action, "port"), field.child("port"), errors),
            "grpc" => crate::rules::port(get(action, "port"), field.child("port"), errors),
            _ => {}
        }
    }
    if count == 0 {
        errors.push(FieldError::required(field, "must specify a handler type"));
    }
}

fn http_get(action: &Value, field: &Path, errors: &mut Errors) {
    required(action, "path", field, errors);
    port_or_name(get(action, "port"), field.child("port"), errors);
    one_of(action, "scheme", &["HTTP", "HTTPS"], field, errors);
    for header in items(action, "httpHeaders") {
        let name = crate::value::text(header, "name");
        invalid_each(field.child("httpHeaders"), name, names::http_header_name(name), errors);
    }
}
