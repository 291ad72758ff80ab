//! The rules of admission policies and their bindings.

use kuorum_schema::names;
use serde_json::Value;

use super::rules::{self, REQUEST_VARIABLES};
use crate::expressions::{Scope, Type};
use crate::field::{Errors, FieldError};
use crate::hooks::Context;
use crate::path::Path;
use crate::rules::{invalid_each, optional_one_of, required_one_of};
use crate::value::{get, items, text};

const FAILURE_POLICIES: [&str; 2] = ["Fail", "Ignore"];
const REINVOCATION_POLICIES: [&str; 2] = ["IfNeeded", "Never"];
const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const ANNOTATIONS_MAX: usize = 20;

/// Complaints about a policy.
pub fn policy(policy: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    let mutating = text(policy, "kind") == "MutatingAdmissionPolicy";
    let (spec, path) = (get(policy, "spec"), Path::new("spec"));
    required_one_of(spec, "failurePolicy", &FAILURE_POLICIES, &path, &mut errors);
    if mutating {
        required_one_of(spec, "reinvocationPolicy", &REINVOCATION_POLICIES, &path, &mut errors);
    }
    let params = get(spec, "paramKind").is_object();
    if params {
        param_kind(get(spec, "paramKind"), &path.child("paramKind"), &mut errors);
    }
    if get(spec, "matchConstraints").is_object() {
        let (constraints, path) = (get(spec, "matchConstraints"), path.child("matchConstraints"));
        match_resources(constraints, &path, &mut errors);
        if items(constraints, "resourceRules").is_empty() {
            errors.push(FieldError::required(path.child("resourceRules"), ""));
        }
    } else {
        errors.push(FieldError::required(path.child("matchConstraints"), ""));
    }
    rules::match_conditions(items(spec, "matchConditions"), params, &path.child("matchConditions"), &mut errors);

    let mut names = REQUEST_VARIABLES.to_vec();
    names.push("namespaceObject");
    if params {
        names.push("params");
    }
    let variables = variables(items(spec, "variables"), &names, &path.child("variables"), &mut errors);
    let scope = Scope { names: &names, variables: Some(&variables), ..Scope::default() };
    if mutating {
        mutations(items(spec, "mutations"), &scope, &path.child("mutations"), &mut errors);
    } else {
        validations_and_annotations(policy, &scope, &path, &mut errors);
    }
    errors
}

fn param_kind(kind: &Value, path: &Path, errors: &mut Errors) {
    let shown = text(kind, "apiVersion");
    let at = path.child("apiVersion");
    match *shown.split('/').collect::<Vec<_>>() {
        [""] => errors.push(FieldError::required(at, "")),
        [version] => invalid_version(version, at, shown, errors),
        [group, version] => {
            invalid_each(at, shown, names::dns1123_subdomain(group), errors);
            invalid_version(version, at, shown, errors);
        }
        _ => {
            let detail = format!("unexpected GroupVersion string: {shown}");
            errors.push(FieldError::invalid(at, &shown.into(), &detail));
        }
    }
    let (name, at) = (text(kind, "kind"), path.child("kind"));
    if name.is_empty() {
        errors.push(FieldError::required(at, ""));
        return;
    }
    let complaints = names::dns1035_label(&name.to_lowercase());
    if !complaints.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", complaints.join(","));
        errors.push(FieldError::invalid(at, &name.into(), &detail));
    }
}

fn invalid_version(version: &str, path: Path, shown: &str, errors: &mut Errors) {
    if version.is_empty() {
        errors.push(FieldError::invalid(path, &shown.into(), "version must be specified"));
        return;
    }
    let complaints = names::dns1035_label(version);
    if !complaints.is_empty() {
        errors.push(FieldError::invalid(path, &shown.into(), &complaints.join(",")));
    }
}

/// Which requests a policy or binding is about.
fn match_resources(resources: &Value, path: &Path, errors: &mut Errors) {
    optional_one_of(resources, "matchPolicy", &["Equivalent", "Exact"], path, errors);
    for key in ["namespaceSelector", "objectSelector"] {
        if get(resources, key).is_object() {
            rules::selector(resources, key, path, errors);
        } else {
            errors.push(FieldError::required(path.child(key), ""));
        }
    }
    for key in ["resourceRules", "excludeResourceRules"] {
        let list = path.child(key);
        for (i, rule) in items(resources, key).iter().enumerate() {
            let path = list.index(i);
            resource_names(items(rule, "resourceNames"), &path.child("resourceNames"), errors);
            rules::rule_with_operations(rule, &path, errors);
        }
    }
}

fn resource_names(list: &[Value], path: &Path, errors: &mut Errors) {
    for (i, name) in list.iter().enumerate() {
        let shown = name.as_str().unwrap_or("");
        for complaint in names::path_segment_name(shown) {
            errors.push(FieldError::invalid(path.index(i), name, &complaint));
        }
        if list[..i].contains(name) {
            errors.push(FieldError::duplicate(path.index(i), name));
        }
    }
}

/// The types of a policy's variables, each of which can use the ones before it.
fn variables(list: &[Value], names: &[&str], path: &Path, errors: &mut Errors) -> Vec<(String, Type)> {
    let mut known: Vec<(String, Type)> = Vec::new();
    for (i, variable) in list.iter().enumerate() {
        let path = path.index(i);
        let name = text(variable, "name");
        if name.is_empty() {
            errors.push(FieldError::required(path.child("name"), "name is not specified"));
        } else if !is_identifier(name) {
            let detail = "must be a valid CEL identifier";
            errors.push(FieldError::invalid(path.child("name"), &name.into(), detail));
        }
        let scope = Scope { names, variables: Some(&known), ..Scope::default() };
        let kind = expression(variable, "expression", &scope, &[], &path, errors);
        known.push((name.to_owned(), kind));
    }
    known
}

fn is_identifier(name: &str) -> bool {
    const RESERVED: [&str; 20] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
    ];
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
        && name != "while"
}

/// An expression that has to be there; its type. Any type will do if none is wanted.
fn expression(object: &Value, key: &str, scope: &Scope, wanted: &[Type], path: &Path, errors: &mut Errors) -> Type {
    if text(object, key).trim().is_empty() {
        errors.push(FieldError::required(path.child(key), &format!("{key} is not specified")));
        return Type::Dynamic;
    }
    rules::expression(object, key, scope, wanted, path, errors)
}

fn validations_and_annotations(policy: &Value, scope: &Scope, path: &Path, errors: &mut Errors) {
    let spec = get(policy, "spec");
    let (validations, annotations) = (items(spec, "validations"), items(spec, "auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(FieldError::required(path.child("validations"), detail));
        errors.push(FieldError::required(path.child("auditAnnotations"), detail));
        return;
    }
    let list = path.child("validations");
    for (i, validation) in validations.iter().enumerate() {
        self::validation(validation, scope, &list.index(i), errors);
    }
    let list = path.child("auditAnnotations");
    if annotations.len() > ANNOTATIONS_MAX {
        errors.push(FieldError::too_many(list, annotations.len(), ANNOTATIONS_MAX));
    }
    for (i, annotation) in annotations.iter().enumerate() {
        let path = list.index(i);
        let key = text(annotation, "key");
        if key.is_empty() {
            errors.push(FieldError::required(path.child("key"), ""));
        } else {
            let full = format!("{}/{key}", text(policy, "metadata.name"));
            invalid_each(path.child("key"), &full, names::qualified_name(&full), errors);
        }
        expression(annotation, "valueExpression", scope, &[Type::Text, Type::Null], &path, errors);
        if !key.is_empty() && annotations[..i].iter().any(|earlier| text(earlier, "key") == key) {
            errors.push(FieldError::duplicate(path.child("key"), &key.into()));
        }
    }
}

fn validation(validation: &Value, scope: &Scope, path: &Path, errors: &mut Errors) {
    expression(validation, "expression", scope, &[Type::Bool], path, errors);
    let message = text(validation, "messageExpression");
    if !message.is_empty() && message.trim().is_empty() {
        let detail = "must be non-empty if specified";
        errors.push(FieldError::invalid(path.child("messageExpression"), &message.into(), detail));
    } else if !message.is_empty() {
        rules::expression(validation, "messageExpression", scope, &[Type::Text], path, errors);
    }
    let message = text(validation, "message");
    let complaint = match message.trim() {
        "" if !message.is_empty() => Some("message must be non-empty if specified"),
        shown if shown.contains(['\n', '\r']) => Some("must not contain line breaks"),
        _ => None,
    };
    if let Some(detail) = complaint {
        errors.push(FieldError::invalid(path.child("message"), &message.into(), detail));
    }
    optional_one_of(validation, "reason", &REASONS, path, errors);
}

/// The ways to change an object: the field that says how, and the type of its value.
const PATCHES: [(&str, &str, Type); 2] =
    [("ApplyConfiguration", "applyConfiguration", Type::Object), ("JSONPatch", "jsonPatch", Type::Dynamic)];

fn mutations(list: &[Value], scope: &Scope, path: &Path, errors: &mut Errors) {
    if list.is_empty() {
        errors.push(FieldError::required(path, "mutations must contain at least one item"));
    }
    for (i, mutation) in list.iter().enumerate() {
        let path = path.index(i);
        let chosen = text(mutation, "patchType");
        let Some((_, field, kind)) = PATCHES.iter().find(|(name, ..)| *name == chosen) else {
            required_one_of(mutation, "patchType", &PATCHES.map(|(name, ..)| name), &path, errors);
            continue;
        };
        if get(mutation, field).is_object() {
            let at = path.child(field);
            expression(get(mutation, field), "expression", scope, std::slice::from_ref(kind), &at, errors);
        } else {
            let detail = format!("must be specified when patchType is {chosen}");
            errors.push(FieldError::required(path.child(field), &detail));
        }
        for (_, other, _) in PATCHES.iter().filter(|(name, ..)| *name != chosen) {
            if get(mutation, other).is_object() {
                let shown = format!("{{{other}}}");
                let detail = format!("must not be specified when patchType is {chosen}");
                errors.push(FieldError::invalid(path.child(other), &shown.into(), &detail));
            }
        }
    }
}

/// Complaints about a binding.
pub fn binding(binding: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (get(binding, "spec"), Path::new("spec"));
    let name = text(spec, "policyName");
    if name.is_empty() {
        errors.push(FieldError::required(path.child("policyName"), ""));
    } else {
        invalid_each(path.child("policyName"), name, names::dns1123_subdomain(name), &mut errors);
    }
    if get(spec, "paramRef").is_object() {
        param_ref(get(spec, "paramRef"), &path.child("paramRef"), &mut errors);
    }
    if get(spec, "matchResources").is_object() {
        // The path is misspelt in kube-apiserver.
        match_resources(get(spec, "matchResources"), &path.child("matchResouces"), &mut errors);
    }
    if text(binding, "kind") == "ValidatingAdmissionPolicyBinding" {
        validation_actions(items(spec, "validationActions"), &path.child("validationActions"), &mut errors);
    }
    errors
}

fn param_ref(reference: &Value, path: &Path, errors: &mut Errors) {
    let name = text(reference, "name");
    let selector = get(reference, "selector").is_object();
    if !name.is_empty() {
        invalid_each(path.child("name"), name, names::path_segment_name(name), errors);
    }
    match (name.is_empty(), selector) {
        (false, true) => {
            for key in ["name", "selector"] {
                errors.push(FieldError::forbidden(path.child(key), "name and selector are mutually exclusive"));
            }
        }
        (true, true) => rules::selector(reference, "selector", path, errors),
        (true, false) => errors.push(FieldError::required(path, "one of name or selector must be specified")),
        (false, false) => {}
    }
    required_one_of(reference, "parameterNotFoundAction", &["Deny", "Allow"], path, errors);
}

fn validation_actions(actions: &[Value], path: &Path, errors: &mut Errors) {
    const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];
    if actions.is_empty() {
        errors.push(FieldError::required(path, "at least one validation action is required"));
    }
    for (i, action) in actions.iter().enumerate() {
        if !ACTIONS.contains(&action.as_str().unwrap_or("")) {
            errors.push(FieldError::not_supported(path.index(i), action, &ACTIONS));
        }
        if actions[..i].contains(action) {
            errors.push(FieldError::duplicate(path.index(i), action));
        }
    }
    let has = |wanted: &str| actions.iter().any(|action| action == wanted);
    if has("Deny") && has("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the \
                      API response and headers serves no purpose)";
        let shown = actions.to_vec().into();
        errors.push(FieldError::invalid(path, &shown, detail));
    }
}
