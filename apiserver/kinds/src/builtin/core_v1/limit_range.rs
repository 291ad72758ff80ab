//! LimitRange: the defaults of a container limit come from its bounds.

use kuorum_schema::quantity::Quantity;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::Hooks;
use crate::metadata::Pass;
use crate::path::Path;
use crate::pod_template::resources::quantity;
use crate::rules::invalid_each;
use crate::value::{child, entries, existing, get, items, items_mut, set, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    validate_create: Some(|range, _| validate(range)),
    validate_update: Some(|new, _, _| validate(new)),
    update_metadata: &[Pass::Create],
    ..Hooks::NONE
};

fn default(range: &mut Value) {
    let Some(spec) = existing(range, "spec") else { return };
    for limit in items_mut(spec, "limits") {
        if text(limit, "type") == "Container" {
            // A default limit is the maximum; a default request is the default limit, else the minimum.
            fill(limit, "max", "default");
            fill(limit, "default", "defaultRequest");
            fill(limit, "min", "defaultRequest");
        }
    }
}

fn fill(limit: &mut Value, from: &str, to: &str) {
    let missing: Vec<(String, Value)> = entries(limit, from)
        .filter(|(name, _)| get(limit, to).get(name).is_none())
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    if !missing.is_empty()
        && let Some(target) = child(limit, to)
    {
        for (name, value) in missing {
            set(target, &name, value);
        }
    }
}

const TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];
const STANDARD: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "storage"];

fn validate(range: &Value) -> Errors {
    let mut errors = Errors::new();
    let list = Path::new("spec.limits");
    let limits = items(range, "spec.limits");
    for (i, limit) in limits.iter().enumerate() {
        let path = list.index(i);
        let kind = text(limit, "type");
        let complaints = kuorum_schema::names::qualified_name(kind);
        let named = complaints.is_empty();
        invalid_each(path.child("type"), kind, complaints, &mut errors);
        if named && !kind.contains('/') && !TYPES.contains(&kind) {
            let detail = "must be a standard limit type or fully qualified";
            errors.push(FieldError::invalid(path.child("type"), &kind.into(), detail));
        }
        if limits[..i].iter().any(|earlier| text(earlier, "type") == kind) {
            errors.push(FieldError::duplicate(path.child("type"), &kind.into()));
        }
        limit_item(limit, kind, &path, &mut errors);
    }
    errors
}

fn limit_item(limit: &Value, kind: &str, path: &Path, errors: &mut Errors) {
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let at = path.child(list);
        if kind == "Pod" && matches!(list, "default" | "defaultRequest") && !get(limit, list).is_null() {
            errors.push(FieldError::forbidden(at, "may not be specified when `type` is 'Pod'"));
        }
        for (name, _) in entries(limit, list) {
            resource_name(name, kind, &at.key(name), errors);
        }
    }
    if kind == "PersistentVolumeClaim" {
        let given = |list: &str| get(limit, list).get("storage").is_some();
        if !given("min") && !given("max") {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            errors.push(FieldError::required(path.child("limits"), detail));
        }
    }
    let mut names: Vec<&str> = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
        .iter()
        .flat_map(|list| entries(limit, list).map(|(name, _)| name))
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        bounds(limit, name, path, errors);
    }
}

fn resource_name(name: &str, kind: &str, path: &Path, errors: &mut Errors) {
    let complaints = kuorum_schema::names::qualified_name(name);
    let well_formed = complaints.is_empty();
    invalid_each(*path, name, complaints, errors);
    let known = STANDARD.contains(&name) || name.starts_with("hugepages-");
    if name.contains('/') || known {
        return;
    }
    if well_formed {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path, &name.into(), detail));
    }
    if kind == "Container" || kind == "Pod" {
        errors.push(FieldError::invalid(path, &name.into(), "must be a standard resource for containers"));
    }
}

/// min ≤ defaultRequest ≤ default ≤ max.
fn bounds(limit: &Value, name: &str, path: &Path, errors: &mut Errors) {
    let of = |list: &str| get(limit, list).get(name).and_then(quantity);
    let (least, most, default, request) = (of("min"), of("max"), of("default"), of("defaultRequest"));
    let mut order =
        |list: &str, small: Option<Quantity>, large: Option<Quantity>, words: (&str, &str), shown_large: bool| {
            if let (Some(small), Some(large)) = (small, large)
                && small > large
            {
                let shown = if shown_large { large } else { small };
                let detail = format!(
                    "{} value {} is greater than {} value {}",
                    words.0,
                    small.canonical(),
                    words.1,
                    large.canonical()
                );
                let at = path.child(list);
                errors.push(FieldError::invalid(at.key(name), &shown.canonical().into(), &detail));
            }
        };
    order("min", least, most, ("min", "max"), false);
    order("defaultRequest", least, request, ("min", "default request"), true);
    order("defaultRequest", request, most, ("default request", "max"), false);
    order("defaultRequest", request, default, ("default request", "default limit"), false);
    order("default", least, default, ("min", "default"), false);
    order("default", default, most, ("default", "max"), true);
    if let Some(ratio) = of("maxLimitRequestRatio")
        && ratio.milli_value() < 1000
    {
        let shown = ratio.canonical();
        let at = path.child("maxLimitRequestRatio");
        errors.push(FieldError::invalid(
            at.key(name),
            &shown.as_str().into(),
            &format!("ratio {shown} is less than 1"),
        ));
    }
}
