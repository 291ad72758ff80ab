//! The rules of claims to devices, their templates and classes.

use kuorum_schema::names;
use serde_json::Value;

use crate::expressions::{self, Scope, Type};
use crate::field::{Errors, FieldError};
use crate::metadata;
use crate::path::Path;
use crate::pod_template::validate::is_extended_resource;
use crate::rules::{invalid_each, one_of, required};
use crate::value::{equal, get, int, is_set, items, text};

const LIST_MAX: usize = 32;
const SUBREQUESTS_MAX: usize = 8;
const CONSUMERS_MAX: usize = 256;
const EXPRESSION_MAX: usize = 10 * 1024;
const DRIVER_MAX: usize = 63;
const IDENTIFIER_MAX: usize = 32;
const REFERENCE: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/// Complaints about each item of a list, about names that are there twice, and about a list that is too long.
fn each(
    list: &[Value],
    max: usize,
    name: fn(&Value) -> Option<&str>,
    path: &Path,
    errors: &mut Errors,
    mut rule: impl FnMut(&Value, &Path, &mut Errors),
) {
    for (i, item) in list.iter().enumerate() {
        rule(item, &path.index(i), errors);
        if let Some(shown) = name(item)
            && list[..i].iter().any(|earlier| name(earlier) == Some(shown))
        {
            errors.push(FieldError::duplicate(path.index(i), &shown.into()));
        }
    }
    if list.len() > max {
        errors.push(FieldError::too_many(path, list.len(), max));
    }
}

fn by_name(item: &Value) -> Option<&str> {
    item.get("name").and_then(Value::as_str)
}

/// Complaints about the spec of a claim.
pub fn claim_spec(spec: &Value, path: &Path, errors: &mut Errors) {
    let (devices, path) = (get(spec, "devices"), path.child("devices"));
    let refers = |name: &str| is_request(items(devices, "requests"), name);
    each(items(devices, "requests"), LIST_MAX, by_name, &path.child("requests"), errors, request);
    each(
        items(devices, "constraints"),
        LIST_MAX,
        |_| None,
        &path.child("constraints"),
        errors,
        |item, path, errors| {
            references(item, &refers, path, errors);
            let chosen = ["matchAttribute", "distinctAttribute"].map(|key| (key, get(item, key).as_str()));
            match chosen {
                [(key, Some(attribute)), (_, None)] | [(_, None), (key, Some(attribute))] => {
                    fully_qualified(attribute, &path.child(key), errors);
                }
                _ => {
                    let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple \
                              fields are set";
                    errors.push(FieldError::required(path, detail));
                }
            }
        },
    );
    each(
        items(devices, "config"),
        LIST_MAX,
        |_| None,
        &path.child("config"),
        errors,
        |item, path, errors| {
            references(item, &refers, path, errors);
            configuration(item, path, errors);
        },
    );
}

/// Whether there is such a request, or such an alternative of one.
fn is_request(requests: &[Value], name: &str) -> bool {
    let (main, sub) = name.split_once('/').map_or((name, None), |(main, sub)| (main, Some(sub)));
    requests.iter().filter(|request| text(request, "name") == main).any(|request| {
        sub.is_none_or(|sub| items(request, "firstAvailable").iter().any(|inner| text(inner, "name") == sub))
    })
}

fn references(item: &Value, refers: &dyn Fn(&str) -> bool, path: &Path, errors: &mut Errors) {
    each(items(item, "requests"), LIST_MAX, Value::as_str, &path.child("requests"), errors, |name, path, errors| {
        reference(name.as_str().unwrap_or(""), refers, path, errors);
    });
}

fn reference(name: &str, refers: &dyn Fn(&str) -> bool, path: &Path, errors: &mut Errors) {
    if !refers(name) {
        errors.push(FieldError::invalid(path, &name.into(), REFERENCE));
    }
}

fn request(request: &Value, path: &Path, errors: &mut Errors) {
    let name = text(request, "name");
    invalid_each(path.child("name"), name, names::dns1123_label(name), errors);
    let alternatives = items(request, "firstAvailable");
    each(alternatives, SUBREQUESTS_MAX, by_name, &path.child("firstAvailable"), errors, |item, path, errors| {
        let name = text(item, "name");
        invalid_each(path.child("name"), name, names::dns1123_label(name), errors);
        devices_of_class(item, path, errors);
    });
    let exactly = get(request, "exactly");
    if exactly.is_object() {
        devices_of_class(exactly, &path.child("exactly"), errors);
    }
    let detail = "exactly one of `exactly` or `firstAvailable` is required";
    match (exactly.is_object(), alternatives.is_empty()) {
        (false, true) => errors.push(FieldError::required(path, detail)),
        (true, false) => {
            let detail = format!("{detail}, but multiple fields are set");
            errors.push(FieldError::invalid(path, &Value::Null, &detail));
        }
        _ => {}
    }
}

fn devices_of_class(request: &Value, path: &Path, errors: &mut Errors) {
    required(request, "deviceClassName", path, errors);
    let class = text(request, "deviceClassName");
    if !class.is_empty() {
        invalid_each(path.child("deviceClassName"), class, names::dns1123_subdomain(class), errors);
    }
    selectors(request, path, errors);
    let count = int(request, "count").unwrap_or(0);
    let problem = match text(request, "allocationMode") {
        "All" if count != 0 => Some("must not be specified when allocationMode is 'All'"),
        "ExactCount" if count <= 0 => Some("must be greater than zero"),
        _ => None,
    };
    if let Some(detail) = problem {
        errors.push(FieldError::invalid(path.child("count"), &count.into(), detail));
    }
    one_of(request, "allocationMode", &["All", "ExactCount"], path, errors);
    tolerations(request, path, errors);
}

fn tolerations(request: &Value, path: &Path, errors: &mut Errors) {
    each(
        items(request, "tolerations"),
        16,
        |_| None,
        &path.child("tolerations"),
        errors,
        |item, path, errors| {
            let (key, value) = (text(item, "key"), text(item, "value"));
            if !key.is_empty() {
                metadata::validate_label_name(key, &path.child("key"), errors);
            }
            match text(item, "operator") {
                "Exists" if !value.is_empty() => {
                    let detail = "must be empty for operator `Exists`";
                    errors.push(FieldError::invalid(path.child("value"), &value.into(), detail));
                }
                "Exists" => {}
                "Equal" => invalid_each(path.child("value"), value, names::label_value(value), errors),
                "" => errors.push(FieldError::required(path.child("operator"), "")),
                _ => one_of(item, "operator", &["Equal", "Exists"], path, errors),
            }
            if is_set(item, "effect") {
                one_of(item, "effect", &["NoExecute", "NoSchedule"], path, errors);
            }
        },
    );
}

fn selectors(object: &Value, path: &Path, errors: &mut Errors) {
    each(
        items(object, "selectors"),
        LIST_MAX,
        |_| None,
        &path.child("selectors"),
        errors,
        |item, path, errors| {
            let path = path.child("cel");
            let cel = get(item, "cel");
            if !cel.is_object() {
                errors.push(FieldError::required(path, ""));
                return;
            }
            let source = text(cel, "expression");
            let at = path.child("expression");
            if source.len() > EXPRESSION_MAX {
                errors.push(FieldError::too_long(at, EXPRESSION_MAX));
                return;
            }
            let scope = Scope { names: &["device"], ..Scope::default() };
            let problem = match expressions::check(source, &scope) {
                Ok(Type::Bool | Type::Dynamic) => return,
                Ok(other) => format!("must evaluate to bool or the unknown type, not {other}"),
                Err(problem) => problem,
            };
            errors.push(FieldError::invalid(at, &source.into(), &problem));
        },
    );
}

/// A name with its domain: `dra.example.com/model`.
fn fully_qualified(name: &str, path: &Path, errors: &mut Errors) {
    let Some((domain, rest)) = name.split_once('/') else {
        if name.is_empty() {
            errors.push(FieldError::required(path, "name required"));
        } else {
            identifier(name, path, errors);
            let detail = "a fully qualified name must be a domain and a name separated by a slash";
            errors.push(FieldError::invalid(path, &name.into(), detail));
        }
        return;
    };
    if domain.is_empty() {
        errors.push(FieldError::invalid(path, &"".into(), "the domain must not be empty"));
    } else {
        driver_rules(domain, path, errors);
    }
    if rest.is_empty() {
        errors.push(FieldError::invalid(path, &"".into(), "the name must not be empty"));
    } else {
        identifier(rest, path, errors);
    }
}

fn identifier(name: &str, path: &Path, errors: &mut Errors) {
    if name.len() > IDENTIFIER_MAX {
        errors.push(FieldError::too_long(path, IDENTIFIER_MAX));
    }
    for complaint in names::c_identifier(name) {
        errors.push(FieldError::invalid(path, &name.into(), &complaint));
    }
}

fn driver(name: &str, path: &Path, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        driver_rules(name, path, errors);
    }
}

fn driver_rules(name: &str, path: &Path, errors: &mut Errors) {
    if name.len() > DRIVER_MAX {
        errors.push(FieldError::too_long(path, DRIVER_MAX));
    }
    for complaint in names::dns1123_subdomain(&name.to_lowercase()) {
        errors.push(FieldError::invalid(path, &name.into(), &complaint));
    }
}

fn configuration(config: &Value, path: &Path, errors: &mut Errors) {
    let (opaque, path) = (get(config, "opaque"), path.child("opaque"));
    if !opaque.is_object() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    driver(text(opaque, "driver"), &path.child("driver"), errors);
    let (parameters, at) = (get(opaque, "parameters"), path.child("parameters"));
    match parameters {
        Value::Null => errors.push(FieldError::required(at, "")),
        Value::Object(_) => {
            if parameters.to_string().len() > EXPRESSION_MAX {
                errors.push(FieldError::too_long(at, EXPRESSION_MAX));
            }
        }
        _ => errors.push(FieldError::invalid(at, &"<value omitted>".into(), "must be a valid JSON object")),
    }
}

/// Complaints about a template of claims: what its claims would be.
pub fn template(template: &Value) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (get(template, "spec"), Path::new("spec"));
    let (meta, at) = (get(spec, "metadata"), path.child("metadata"));
    metadata::validate_annotations(get(meta, "annotations"), &at.child("annotations"), &mut errors);
    metadata::validate_labels(get(meta, "labels"), &at.child("labels"), &mut errors);
    for key in meta.as_object().into_iter().flatten().map(|(key, _)| key) {
        if !matches!(key.as_str(), "labels" | "annotations") && is_set(meta, key) {
            errors.push(FieldError::forbidden(at.child(key), "cannot be set"));
        }
    }
    claim_spec(get(spec, "spec"), &path.child("spec"), &mut errors);
    errors
}

/// Complaints about a class of devices.
pub fn class(class: &Value) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (get(class, "spec"), Path::new("spec"));
    selectors(spec, &path, &mut errors);
    each(items(spec, "config"), LIST_MAX, |_| None, &path.child("config"), &mut errors, configuration);
    if let Some(name) = get(spec, "extendedResourceName").as_str()
        && !is_extended_resource(name)
    {
        let detail = "must be a valid extended resource name";
        errors.push(FieldError::invalid(path.child("extendedResourceName"), &name.into(), detail));
    }
    errors
}

/// Complaints about what was given to a claim, and to whom.
pub fn claim_status(new: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let (status, path) = (get(new, "status"), Path::new("status"));
    let reserved = items(status, "reservedFor");
    let at = path.child("reservedFor");
    let by_uid: fn(&Value) -> Option<&str> = |consumer| consumer.get("uid").and_then(Value::as_str);
    each(reserved, CONSUMERS_MAX, by_uid, &at, &mut errors, |consumer, path, errors| {
        for key in ["resource", "name", "uid"] {
            required(consumer, key, path, errors);
        }
    });
    let allocation = get(status, "allocation");
    if !reserved.is_empty() && !allocation.is_object() {
        errors.push(FieldError::forbidden(at, "may not be specified when `allocated` is not set"));
    } else if is_set(new, "metadata.deletionTimestamp")
        && reserved.iter().any(|consumer| !items(old, "status.reservedFor").contains(consumer))
    {
        let detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        errors.push(FieldError::forbidden(at, detail));
    }
    let before = get(old, "status.allocation");
    let at = path.child("allocation");
    if before.is_object() && allocation.is_object() {
        if !equal(allocation, before) {
            errors.push(FieldError::invalid(at, allocation, "field is immutable"));
        }
        return errors;
    }
    let requests = items(new, "spec.devices.requests");
    let refers = |name: &str| is_request(requests, name);
    let (devices, at) = (get(allocation, "devices"), at.child("devices"));
    each(
        items(devices, "results"),
        LIST_MAX,
        |_| None,
        &at.child("results"),
        &mut errors,
        |result, path, errors| {
            reference(text(result, "request"), &refers, &path.child("request"), errors);
            driver(text(result, "driver"), &path.child("driver"), errors);
            pool(text(result, "pool"), &path.child("pool"), errors);
            let device = text(result, "device");
            invalid_each(path.child("device"), device, names::dns1123_label(device), errors);
        },
    );
    errors
}

fn pool(name: &str, path: &Path, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    for part in name.split('/') {
        for complaint in names::dns1123_subdomain(part) {
            errors.push(FieldError::invalid(path, &part.into(), &complaint));
        }
    }
}
