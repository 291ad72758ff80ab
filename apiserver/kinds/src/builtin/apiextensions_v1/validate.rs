//! The rules of a CustomResourceDefinition, but for those of its schemas.

use kuorum_schema::names;
use serde_json::Value;

use super::schema_rules;
use crate::builtin::admissionregistration_v1::webhook_client;
use crate::field::{Errors, FieldError};
use crate::hooks::Context;
use crate::internal;
use crate::path::Path;
use crate::rules::{immutable, required_one_of};
use crate::value::{equal, flag, get, is_set, items, text};

const APPROVAL: &str = "api-approved.kubernetes.io";
const APPROVAL_MORE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";
const WARNING_MAX: usize = 256;
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
/// The names that a definition must have.
const NAMES: [&str; 4] = ["plural", "singular", "kind", "listKind"];

pub fn create(crd: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    let name = text(crd, "metadata.name");
    let wanted = format!("{}.{}", text(crd, "spec.names.plural"), text(crd, "spec.group"));
    if !name.is_empty() && name != wanted {
        errors.push(FieldError::invalid("metadata.name", &name.into(), "must be spec.names.plural+\".\"+spec.group"));
    }
    spec(crd, &mut errors);
    status(crd, &mut errors);
    stored_versions(crd, &mut errors);
    approval(crd, None, &mut errors);
    preserve_unknown_fields(crd, None, &mut errors);
    errors
}

pub fn update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource == "status" {
        status(new, &mut errors);
        return errors;
    }
    spec(new, &mut errors);
    let (now, before, path) = (get(new, "spec"), get(old, "spec"), Path::new("spec"));
    let in_use =
        items(old, "status.conditions").iter().any(|c| text(c, "type") == "Established" && text(c, "status") == "True");
    if in_use {
        immutable(get(now, "scope"), get(before, "scope"), path.child("scope"), &mut errors);
        let kind = path.child("names");
        immutable(get(now, "names.kind"), get(before, "names.kind"), kind.child("kind"), &mut errors);
    }
    immutable(get(now, "group"), get(before, "group"), path.child("group"), &mut errors);
    let plural = path.child("names");
    immutable(get(now, "names.plural"), get(before, "names.plural"), plural.child("plural"), &mut errors);
    status(new, &mut errors);
    stored_versions(new, &mut errors);
    approval(new, Some(old), &mut errors);
    preserve_unknown_fields(new, Some(old), &mut errors);
    errors
}

fn spec(crd: &Value, errors: &mut Errors) {
    let (spec, path) = (get(crd, "spec"), Path::new("spec"));
    group(text(spec, "group"), path.child("group"), errors);
    required_one_of(spec, "scope", &["Cluster", "Namespaced"], &path, errors);

    let list = items(spec, "versions");
    let shared = |key: &str| list.first().filter(|first| list.iter().all(|v| equal(get(v, key), get(first, key))));
    let schema = shared("schema").filter(|version| get(version, "schema.openAPIV3Schema").is_object());
    let (subresources, columns) = (shared("subresources"), shared("additionalPrinterColumns"));
    let of_versions = path.child("versions");
    for (i, version) in list.iter().enumerate() {
        if !get(version, "schema.openAPIV3Schema").is_object() {
            let (at, key) = (of_versions.index(i), "schema");
            errors.push(FieldError::required(at.child(key).child("openAPIV3Schema"), ""));
        }
    }
    for (i, version) in list.iter().enumerate() {
        let (path, name) = (of_versions.index(i), text(version, "name"));
        invalid_joined(name, path.child("name"), errors);
        deprecation_warning(version, &path, errors);
        if schema.is_none() {
            self::schema(version, &path.child("schema"), errors);
        }
        if subresources.is_none() {
            scale(get(version, "subresources.scale"), &path.child("subresources"), errors);
        }
        if columns.is_none() {
            self::columns(version, &path, errors);
        }
    }
    let shown = || match list {
        [] => "null".to_owned(),
        list => shown_versions(list, schema.is_some(), subresources.is_some(), columns.is_some()),
    };
    let name = |version: &Value| text(version, "name").to_owned();
    if list.iter().enumerate().any(|(i, version)| list[..i].iter().any(|earlier| name(earlier) == name(version))) {
        errors.push(FieldError::invalid_shown(of_versions, &shown(), "must contain unique version names"));
    }
    if list.iter().filter(|version| flag(version, "storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid_shown(of_versions, &shown(), detail));
    }
    if let Some(first) = list.first().filter(|first| is_set(first, "name")) {
        invalid_joined(text(first, "name"), path.child("version"), errors);
    }

    let of_names = path.child("names");
    for key in NAMES.into_iter().filter(|key| !is_set(get(spec, "names"), key)) {
        errors.push(FieldError::required(of_names.child(key), ""));
    }
    names_of(get(spec, "names"), &of_names, errors);
    if let Some(version) = schema {
        self::schema(version, &path.child("validation"), errors);
    }
    if let Some(version) = subresources {
        scale(get(version, "subresources.scale"), &path.child("subresources"), errors);
    }
    if let Some(version) = columns {
        self::columns(version, &path, errors);
    }
    conversion(get(spec, "conversion"), &path.child("conversion"), errors);
}

/// The versions as Go prints them; what all have in common is kept elsewhere.
fn shown_versions(list: &[Value], schema: bool, subresources: bool, columns: bool) -> String {
    let mut list = list.to_vec();
    let keys = [("schema", schema), ("subresources", subresources), ("additionalPrinterColumns", columns)];
    for version in &mut list {
        for (key, shared) in keys {
            if shared && let Some(fields) = version.as_object_mut() {
                fields.remove(key);
            }
        }
    }
    internal::show_list("CustomResourceDefinitionVersion", &Value::Array(list))
}

/// Complaints about a DNS-1035 label, as one.
fn invalid_joined(label: &str, path: Path, errors: &mut Errors) {
    let complaints = names::dns1035_label(label);
    if !complaints.is_empty() {
        errors.push(FieldError::invalid(path, &label.into(), &complaints.join(",")));
    }
}

fn group(group: &str, path: Path, errors: &mut Errors) {
    if group.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let complaints = names::dns1123_subdomain(group);
    if !complaints.is_empty() {
        errors.push(FieldError::invalid(path, &group.into(), &complaints.join(",")));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid(path, &group.into(), "should be a domain with at least one dot"));
    }
}

fn deprecation_warning(version: &Value, path: &Path, errors: &mut Errors) {
    let Some(warning) = get(version, "deprecationWarning").as_str() else { return };
    let unprintable = warning.char_indices().find(|(_, c)| c.is_control());
    let complaints = [
        (!flag(version, "deprecated")).then(|| "can only be set for deprecated versions".to_owned()),
        (warning.len() > WARNING_MAX).then(|| format!("must be <= {WARNING_MAX} characters long")),
        warning.is_empty().then(|| "must not be an empty string".to_owned()),
        unprintable.map(|(at, _)| {
            format!("must only contain printable UTF-8 characters; non-printable character found at index {at}")
        }),
    ];
    for complaint in complaints.into_iter().flatten() {
        errors.push(FieldError::invalid(path.child("deprecationWarning"), &warning.into(), &complaint));
    }
}

fn schema(version: &Value, path: &Path, errors: &mut Errors) {
    let schema = get(version, "schema.openAPIV3Schema");
    if schema.is_object() {
        let with_status = get(version, "subresources.status").is_object();
        schema_rules::validate(schema, with_status, &path.child("openAPIV3Schema"), errors);
    }
}

fn scale(scale: &Value, path: &Path, errors: &mut Errors) {
    if !scale.is_object() {
        return;
    }
    let path = path.child("scale");
    for (key, roots, must, detail) in [
        ("specReplicasPath", &[".spec."] as &[&str], true, "should be a json path under .spec"),
        ("statusReplicasPath", &[".status."], true, "should be a json path under .status"),
        ("labelSelectorPath", &[".spec.", ".status."], false, "should be a json path under either .spec or .status"),
    ] {
        let (shown, at) = (text(scale, key), path.child(key));
        if shown.is_empty() {
            if must {
                errors.push(FieldError::required(at, ""));
            }
        } else if !shown.starts_with('.') {
            errors.push(FieldError::invalid(at, &shown.into(), "must be a simple json path starting with ."));
        } else if !roots.iter().any(|root| shown.starts_with(root)) {
            errors.push(FieldError::invalid(at, &shown.into(), detail));
        }
    }
}

fn columns(version: &Value, path: &Path, errors: &mut Errors) {
    let list = path.child("additionalPrinterColumns");
    for (i, column) in items(version, "additionalPrinterColumns").iter().enumerate() {
        let path = list.index(i);
        if !is_set(column, "name") {
            errors.push(FieldError::required(path.child("name"), ""));
        }
        let detail = format!("must be one of {}", COLUMN_TYPES.join(","));
        match text(column, "type") {
            "" => errors.push(FieldError::required(path.child("type"), &detail)),
            kind if !COLUMN_TYPES.contains(&kind) => {
                errors.push(FieldError::invalid(path.child("type"), &kind.into(), &detail));
            }
            _ => {}
        }
        let format = text(column, "format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.push(FieldError::invalid(path.child("format"), &format.into(), &detail));
        }
        let at = path.child("JSONPath");
        match text(column, "jsonPath") {
            "" => errors.push(FieldError::required(at, "")),
            shown if !shown.starts_with('.') => {
                errors.push(FieldError::invalid(at, &shown.into(), "must be a simple json path starting with ."));
            }
            _ => {}
        }
    }
}

fn conversion(conversion: &Value, path: &Path, errors: &mut Errors) {
    if !conversion.is_object() {
        return;
    }
    required_one_of(conversion, "strategy", &["None", "Webhook"], path, errors);
    let client = get(conversion, "webhook.clientConfig");
    let versions = get(conversion, "webhook.conversionReviewVersions");
    let (of_client, of_versions) = (path.child("webhookClientConfig"), path.child("conversionReviewVersions"));
    let none = items(conversion, "webhook.conversionReviewVersions").is_empty();
    if text(conversion, "strategy") != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if client.is_object() {
            errors.push(FieldError::forbidden(of_client, detail));
        }
        if !none {
            errors.push(FieldError::forbidden(of_versions, detail));
        }
        return;
    }
    if client.is_object() {
        webhook_client::validate(client, &of_client, errors);
    } else {
        errors.push(FieldError::required(of_client, "required when strategy is set to Webhook"));
    }
    if none {
        errors.push(FieldError::required(of_versions, ""));
    } else {
        webhook_client::validate_review_versions(versions, &of_versions, errors);
    }
}

fn names_of(given: &Value, path: &Path, errors: &mut Errors) {
    for key in NAMES {
        let name = text(given, key);
        if name.is_empty() {
            continue;
        }
        let mixed = key == "kind" || key == "listKind";
        let complaints = names::dns1035_label(&if mixed { name.to_lowercase() } else { name.to_owned() });
        if !complaints.is_empty() {
            let start = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            let detail = format!("{start}{}", complaints.join(","));
            errors.push(FieldError::invalid(path.child(key), &name.into(), &detail));
        }
    }
    each_label(given, "shortNames", path, errors);
    let kind = text(given, "kind");
    if !kind.is_empty() && kind == text(given, "listKind") {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(path.child("listKind"), &kind.into(), detail));
    }
    each_label(given, "categories", path, errors);
}

fn each_label(given: &Value, key: &str, path: &Path, errors: &mut Errors) {
    let list = path.child(key);
    for (i, name) in items(given, key).iter().enumerate() {
        invalid_joined(name.as_str().unwrap_or(""), list.index(i), errors);
    }
}

fn status(crd: &Value, errors: &mut Errors) {
    let path = Path::new("status");
    names_of(get(crd, "status.acceptedNames"), &path.child("acceptedNames"), errors);
}

fn stored_versions(crd: &Value, errors: &mut Errors) {
    let stored = items(crd, "status.storedVersions");
    let path = Path::new("status");
    let path = path.child("storedVersions");
    if stored.is_empty() {
        errors.push(FieldError::invalid_shown(path, "null", "must have at least one stored version"));
        return;
    }
    let versions = items(crd, "spec.versions");
    for version in versions.iter().filter(|v| flag(v, "storage") && !stored.contains(get(v, "name"))) {
        let name = text(version, "name");
        let detail = format!("must have the storage version {name}");
        errors.push(FieldError::invalid_shown(path, &get(crd, "status.storedVersions").to_string(), &detail));
    }
    for (i, name) in stored.iter().enumerate().filter(|(_, name)| !versions.iter().any(|v| get(v, "name") == *name)) {
        errors.push(FieldError::invalid(path.index(i), name, "must appear in spec.versions"));
    }
}

/// How a definition in a group of the Kubernetes community says that it was approved.
#[derive(PartialEq, Eq)]
enum Approval {
    Missing,
    Invalid,
    Given,
}

fn approval_of(crd: &Value) -> Approval {
    let annotations = get(crd, "metadata.annotations");
    let given = annotations.get(APPROVAL).and_then(Value::as_str).unwrap_or("");
    let is_url = given.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !rest.is_empty()
            && !rest.starts_with(['/', '?', '#'])
    });
    match given {
        "" => Approval::Missing,
        given if is_url || given.starts_with("unapproved") => Approval::Given,
        _ => Approval::Invalid,
    }
}

fn approval(crd: &Value, old: Option<&Value>, errors: &mut Errors) {
    let group = text(crd, "spec.group");
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|start| start.is_empty() || start.ends_with('.')));
    let state = approval_of(crd);
    if !protected || old.is_some_and(|old| approval_of(old) == state) {
        return;
    }
    let field = format!("metadata.annotations[{APPROVAL}]");
    let start = format!("protected groups must have approval annotation \"{APPROVAL}\"");
    match state {
        Approval::Given => {}
        Approval::Missing => errors.push(FieldError::required(field, &format!("{start}, {APPROVAL_MORE}"))),
        Approval::Invalid => {
            let given = get(crd, "metadata.annotations")[APPROVAL].clone();
            let detail = format!("{start} with either a URL or a reason starting with \"unapproved\", {APPROVAL_MORE}");
            errors.push(FieldError::invalid(field, &given, &detail));
        }
    }
}

fn preserve_unknown_fields(crd: &Value, old: Option<&Value>, errors: &mut Errors) {
    let kept = |crd: &Value| flag(crd, "spec.preserveUnknownFields");
    if kept(crd) && !old.is_some_and(kept) {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                      spec.versions[*].schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", &true.into(), detail));
    }
}
