//! What webhooks and policies share: which requests they are about, and conditions on them.

use serde_json::Value;

use crate::expressions::{self, Scope, Type};
use crate::field::{Errors, FieldError};
use crate::label_selector;
use crate::path::Path;
use crate::rules::{invalid_each, optional_one_of};
use crate::value::{get, items, text};

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];
const CONDITIONS_MAX: usize = 64;

/// What every expression about a request can name.
pub const REQUEST_VARIABLES: [&str; 4] = ["object", "oldObject", "request", "authorizer"];

/// Complaints about a rule: operations on resources.
pub fn rule_with_operations(rule: &Value, path: &Path, errors: &mut Errors) {
    let operations = items(rule, "operations");
    let at = path.child("operations");
    if operations.is_empty() {
        errors.push(FieldError::required(at, ""));
    }
    alone(operations, "operations", &at, errors);
    for (i, operation) in operations.iter().enumerate() {
        if !OPERATIONS.contains(&operation.as_str().unwrap_or("")) {
            errors.push(FieldError::not_supported(at.index(i), operation, &OPERATIONS));
        }
    }
    for (key, words) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let at = path.child(key);
        if items(rule, key).is_empty() {
            errors.push(FieldError::required(at, ""));
        }
        alone(items(rule, key), words, &at, errors);
    }
    let versions = path.child("apiVersions");
    for (i, _) in items(rule, "apiVersions").iter().enumerate().filter(|(_, version)| *version == "") {
        errors.push(FieldError::required(versions.index(i), ""));
    }
    resources(items(rule, "resources"), &path.child("resources"), errors);
    optional_one_of(rule, "scope", &SCOPES, path, errors);
}

/// A star says it all.
fn alone(list: &[Value], words: &str, path: &Path, errors: &mut Errors) {
    if list.len() > 1 && list.iter().any(|item| item == "*") {
        let detail = format!("if '*' is present, must not specify other {words}");
        errors.push(FieldError::invalid(path, &list.to_vec().into(), &detail));
    }
}

/// Resources and subresources, none of them covered by a star besides.
fn resources(list: &[Value], path: &Path, errors: &mut Errors) {
    if list.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    let (mut all_of, mut of_all): (Vec<&str>, Vec<&str>) = Default::default();
    let mut plain = false;
    for (i, resource) in list.iter().enumerate() {
        let name = resource.as_str().unwrap_or("");
        if name.is_empty() {
            errors.push(FieldError::required(path.index(i), ""));
            continue;
        }
        let Some((resource, subresource)) = name.split_once('/') else {
            plain = name != "*";
            continue;
        };
        for (covered, star) in [
            (all_of.contains(&resource), format!("{resource}/*")),
            (of_all.contains(&subresource), format!("*/{subresource}")),
        ] {
            if covered {
                let detail = format!("if '{star}' is present, must not specify {name}");
                errors.push(FieldError::invalid(path.index(i), &name.into(), &detail));
            }
        }
        if subresource == "*" {
            all_of.push(resource);
        }
        if resource == "*" {
            of_all.push(subresource);
        }
    }
    let has = |star: &str| list.iter().any(|item| item == star);
    if list.len() > 1 && has("*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.push(FieldError::invalid(path, &list.to_vec().into(), detail));
    }
    if has("*") && plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(FieldError::invalid(path, &list.to_vec().into(), detail));
    }
}

/// Complaints about a label selector, if there is one.
pub fn selector(object: &Value, key: &str, path: &Path, errors: &mut Errors) {
    if get(object, key).is_object() {
        label_selector::validate(get(object, key), &path.child(key), errors);
    }
}

/// Complaints about an expression, whose value has one of the types.
pub fn expression(object: &Value, key: &str, scope: &Scope, wanted: &[Type], path: &Path, errors: &mut Errors) -> Type {
    let source = text(object, key);
    expressions::check_type(source, scope, wanted).unwrap_or_else(|problem| {
        errors.push(FieldError::invalid(path.child(key), &source.into(), &problem));
        Type::Dynamic
    })
}

/// Complaints about the conditions under which a webhook or policy is asked.
pub fn match_conditions(list: &[Value], params: bool, path: &Path, errors: &mut Errors) {
    if list.len() > CONDITIONS_MAX {
        errors.push(FieldError::too_many(path, list.len(), CONDITIONS_MAX));
        return;
    }
    let mut names = REQUEST_VARIABLES.to_vec();
    if params {
        names.push("params");
    }
    for (i, condition) in list.iter().enumerate() {
        let path = path.index(i);
        if text(condition, "expression").trim().is_empty() {
            errors.push(FieldError::required(path.child("expression"), ""));
        } else {
            let scope = Scope { names: &names, ..Scope::default() };
            expression(condition, "expression", &scope, &[Type::Bool], &path, errors);
        }
        let name = text(condition, "name");
        if name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        } else {
            invalid_each(path.child("name"), name, kuorum_schema::names::qualified_name(name), errors);
            if list[..i].iter().any(|earlier| text(earlier, "name") == name) {
                errors.push(FieldError::duplicate(path.child("name"), &name.into()));
            }
        }
    }
}
