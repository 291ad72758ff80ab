//! ResourceQuota.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::path::Path;
use crate::pod_template::resources;
use crate::table::{self, AGE, NAME};
use crate::value::{entries, existing, get, items, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    validate_create: Some(|quota, _| validate(quota)),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own(
            "Request",
            "string",
            "Request represents a minimum amount of cpu/memory that a container may consume.",
        ),
        table::own(
            "Limit",
            "string",
            "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
        ),
        AGE,
    ],
    |quota, now| {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (name, hard) in entries(quota, "status.hard") {
            let used = get(quota, "status.used").get(name).unwrap_or(&Value::Null);
            let line = format!("{name}: {}/{}", table::quantity(used), table::quantity(hard));
            if name.starts_with("limits.") { limits.push(line) } else { requests.push(line) }
        }
        vec![table::name(quota), requests.join(", ").into(), limits.join(", ").into(), table::age(quota, now)]
    },
);

fn default(quota: &mut Value) {
    if let Some(spec) = existing(quota, "spec") {
        resources::round_up(existing(spec, "hard"));
    }
    if let Some(status) = existing(quota, "status") {
        resources::round_up(existing(status, "hard"));
        resources::round_up(existing(status, "used"));
    }
}

/// Scopes that a quota can be limited to.
const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
/// What a quota can count without a domain in the name.
const STANDARD: [&str; 22] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "storage",
    "nodes",
    "count",
];

fn validate(quota: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = get(quota, "spec");
    let path = Path::new("spec");
    amounts(get(spec, "hard"), &path.child("hard"), &mut errors);
    scopes(spec, &path, &mut errors);
    scope_selector(spec, &path, &mut errors);
    errors
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    if context.subresource == "status" {
        let mut errors = Errors::new();
        for list in ["hard", "used"] {
            let path = Path::new("status");
            amounts(get(get(new, "status"), list), &path.child(list), &mut errors);
        }
        return errors;
    }
    let mut errors = validate(new);
    let sorted = |quota: &Value| {
        let mut scopes: Vec<&str> = items(quota, "spec.scopes").iter().filter_map(Value::as_str).collect();
        scopes.sort_unstable();
        scopes.join(",")
    };
    if sorted(new) != sorted(old) {
        errors.push(FieldError::invalid("spec.scopes", get(new, "spec.scopes"), "field is immutable"));
    }
    errors
}

fn amounts(list: &Value, path: &Path, errors: &mut Errors) {
    for (name, value) in list.as_object().into_iter().flatten() {
        let at = path.key(name);
        let complaints = kuorum_schema::names::qualified_name(name);
        let well_formed = complaints.is_empty();
        crate::rules::invalid_each(at, name, complaints, errors);
        if !name.contains('/') {
            let known = STANDARD.contains(&name.as_str()) || name.contains("hugepages-");
            if well_formed && !known {
                let detail = "must be a standard resource type or fully qualified";
                errors.push(FieldError::invalid(at, &name.as_str().into(), detail));
            }
            if !known {
                errors.push(FieldError::invalid(at, &name.as_str().into(), "must be a standard resource for quota"));
            }
        }
        if let Some(amount) = resources::quantity(value)
            && amount.sign() < 0
        {
            let detail = "must be greater than or equal to 0";
            errors.push(FieldError::invalid(at, &amount.canonical().into(), detail));
        }
    }
}

fn scopes(spec: &Value, path: &Path, errors: &mut Errors) {
    let list: Vec<&str> = items(spec, "scopes").iter().filter_map(Value::as_str).collect();
    if list.is_empty() {
        return;
    }
    let at = path.child("scopes");
    let mut complain = |detail: &str| errors.push(FieldError::invalid(at, get(spec, "scopes"), detail));
    let fits = |scope: &str, resource: &str| match scope {
        "BestEffort" => resource == "pods",
        _ => {
            resource == "pods"
                || ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"]
                    .contains(&resource)
        }
    };
    for scope in &list {
        if !SCOPES.contains(scope) {
            complain("unsupported scope");
        }
        for (resource, _) in entries(spec, "hard") {
            if SCOPES[..6].contains(scope) && !fits(scope, resource) {
                complain("unsupported scope applied to resource");
            }
        }
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| list.contains(scope)) {
            complain("conflicting scopes");
        }
    }
}

fn scope_selector(spec: &Value, path: &Path, errors: &mut Errors) {
    let at = path.child("scopeSelector.matchExpressions");
    for requirement in items(spec, "scopeSelector.matchExpressions") {
        let (scope, operator) = (text(requirement, "scopeName"), text(requirement, "operator"));
        let values = items(requirement, "values");
        if !SCOPES.contains(&scope) {
            errors.push(FieldError::invalid(at.child("scopeName"), &scope.into(), "unsupported scope"));
        }
        if ["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity"]
            .contains(&scope)
            && operator != "Exists"
        {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(FieldError::invalid(at.child("operator"), &operator.into(), detail));
        }
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(FieldError::required(at.child("values"), detail));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.push(FieldError::invalid(at.child("values"), get(requirement, "values"), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                let detail = "not a valid selector operator";
                errors.push(FieldError::invalid(at.child("operator"), &other.into(), detail));
            }
        }
    }
}
