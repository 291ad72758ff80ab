//! FlowSchema.

use serde_json::Value;

use super::{conditions, fixed};
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::path::Path;
use crate::rules::{one_of, required};
use crate::table::{self, AGE, NAME};
use crate::value::{child, get, int, items, set_default_int, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_update: Some(prepare_update),
    validate_create: Some(|schema, _| validate(schema)),
    validate_update: Some(|new, _, context| match context.subresource {
        "" => validate(new),
        _ => conditions::validate(new),
    }),
    table: Some(TABLE),
    ..Hooks::NONE
};

const SPEC: &str = "io.k8s.api.flowcontrol.v1.FlowSchemaSpec";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field(
            "PriorityLevel",
            "string",
            "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationReference",
            "name",
        ),
        table::field("MatchingPrecedence", "string", SPEC, "matchingPrecedence"),
        table::field("DistinguisherMethod", "string", SPEC, "distinguisherMethod"),
        AGE,
        table::own("MissingPL", "string", "references a broken or non-existent PriorityLevelConfiguration"),
    ],
    |schema, now| {
        let dangling = items(schema, "status.conditions").iter().find(|c| text(c, "type") == "Dangling");
        vec![
            table::name(schema),
            text(schema, "spec.priorityLevelConfiguration.name").into(),
            table::count(schema, "spec.matchingPrecedence"),
            table::or_none(text(schema, "spec.distinguisherMethod.type")),
            table::age(schema, now),
            dangling.map_or("?", |c| text(c, "status")).into(),
        ]
    },
);

fn default(schema: &mut Value) {
    if let Some(spec) = child(schema, "spec") {
        set_default_int(spec, "matchingPrecedence", 1000);
    }
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource == "status" {
        crate::metadata::keep_for_status(new, old);
    }
}

const PRECEDENCE_MAX: i64 = 10_000;
const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

fn validate(schema: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = get(schema, "spec");
    let path = Path::new("spec");
    let precedence = int(spec, "matchingPrecedence").unwrap_or(0);
    let at = path.child("matchingPrecedence");
    if precedence <= 0 {
        errors.push(FieldError::invalid(at, &precedence.into(), "must be a positive value"));
    }
    if precedence > PRECEDENCE_MAX {
        let detail = format!("must not be greater than {PRECEDENCE_MAX}");
        errors.push(FieldError::invalid(at, &precedence.into(), &detail));
    }
    if precedence == 1 && text(schema, "metadata.name") != "exempt" {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.push(FieldError::invalid(at, &precedence.into(), detail));
    }
    let method = get(spec, "distinguisherMethod");
    if method.is_object() && !matches!(text(method, "type"), "ByNamespace" | "ByUser") {
        let shown = format!("{{\"Type\":{}}}", get(method, "type"));
        let known = ["ByNamespace", "ByUser"];
        errors.push(FieldError::not_supported_shown(path.child("distinguisherMethod.type"), &shown, &known));
    }
    let level = get(spec, "priorityLevelConfiguration");
    required(level, "name", &path.child("priorityLevelConfiguration"), &mut errors);
    let list = path.child("rules");
    for (i, rule) in items(spec, "rules").iter().enumerate() {
        policy_rule(rule, &list.index(i), &mut errors);
    }
    fixed::schema(schema, &mut errors);
    errors
}

fn policy_rule(rule: &Value, path: &Path, errors: &mut Errors) {
    let subjects = items(rule, "subjects");
    let list = path.child("subjects");
    if subjects.is_empty() {
        errors.push(FieldError::required(list, "subjects must contain at least one value"));
    }
    for (i, found) in subjects.iter().enumerate() {
        subject(found, &list.index(i), errors);
    }
    let (resources, others) = (items(rule, "resourceRules"), items(rule, "nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(FieldError::required(path, detail));
    }
    let list = path.child("resourceRules");
    for (i, found) in resources.iter().enumerate() {
        resource_rule(found, &list.index(i), errors);
    }
    let list = path.child("nonResourceRules");
    for (i, found) in others.iter().enumerate() {
        non_resource_rule(found, &list.index(i), errors);
    }
}

fn subject(subject: &Value, path: &Path, errors: &mut Errors) {
    let kind = text(subject, "kind");
    let key = match kind {
        "User" => "user",
        "Group" => "group",
        "ServiceAccount" => "serviceAccount",
        _ => {
            one_of(subject, "kind", &["Group", "ServiceAccount", "User"], path, errors);
            return;
        }
    };
    let body = get(subject, key);
    let at = path.child(key);
    if !body.is_object() {
        let detail = format!("{key} is required when subject kind is '{kind}'");
        errors.push(FieldError::required(at, &detail));
        return;
    }
    required(body, "name", &at, errors);
    if kind == "ServiceAccount" && text(body, "namespace").is_empty() {
        let detail = "must specify namespace for service account";
        errors.push(FieldError::required(at.child("namespace"), detail));
    }
}

fn verbs(rule: &Value, path: &Path, errors: &mut Errors) {
    let verbs = items(rule, "verbs");
    if verbs.is_empty() {
        errors.push(FieldError::required(path.child("verbs"), "verbs must contain at least one value"));
    } else if verbs.iter().any(|v| v == "*") {
        if verbs.len() > 1 {
            let detail = "if '*' is present, must not specify other verbs";
            errors.push(FieldError::invalid(path.child("verbs"), get(rule, "verbs"), detail));
        }
    } else if verbs.iter().any(|v| !VERBS.contains(&v.as_str().unwrap_or(""))) {
        errors.push(FieldError::not_supported(path.child("verbs"), get(rule, "verbs"), &VERBS));
    }
}

fn resource_rule(rule: &Value, path: &Path, errors: &mut Errors) {
    verbs(rule, path, errors);
    for (key, thing) in [("apiGroups", "api group"), ("resources", "resource")] {
        if items(rule, key).is_empty() {
            let detail = format!("resource rules must supply at least one {thing}");
            errors.push(FieldError::required(path.child(key), &detail));
        }
    }
    if items(rule, "namespaces").is_empty() && get(rule, "clusterScope") != &Value::Bool(true) {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(FieldError::required(path.child("namespaces"), detail));
    }
}

fn non_resource_rule(rule: &Value, path: &Path, errors: &mut Errors) {
    verbs(rule, path, errors);
    let urls = items(rule, "nonResourceURLs");
    let list = path.child("nonResourceURLs");
    if urls.is_empty() {
        let detail = "nonResourceURLs must contain at least one value";
        errors.push(FieldError::required(list, detail));
    }
    for (i, url) in urls.iter().enumerate().filter(|(_, url)| *url != "*") {
        let path = url.as_str().unwrap_or("");
        if !path.starts_with('/') {
            errors.push(FieldError::invalid(list.index(i), url, "must start with slash"));
        } else if path.contains(' ') {
            errors.push(FieldError::invalid(list.index(i), url, "must not contain white-space"));
        } else if path.contains("//") {
            errors.push(FieldError::invalid(list.index(i), url, "must not contain double slash"));
        } else if path.find('*').is_some_and(|at| at + 1 != path.len()) {
            errors.push(FieldError::invalid(list.index(i), url, "wildcard can only do suffix matching"));
        }
    }
}
