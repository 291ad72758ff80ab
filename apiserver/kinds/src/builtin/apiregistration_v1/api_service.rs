//! APIService.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::path::Path;
use crate::rules::{invalid_each, required};
use crate::table::{self, AGE, NAME};
use crate::value::{existing, flag, get, int, is_set, items, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_update: Some(|new, old, context: &Context| {
        if context.subresource == "status" {
            crate::metadata::keep_for_status(new, old);
        }
    }),
    validate_create: Some(|service, _| validate(service)),
    validate_update: Some(|new, _, context| if context.subresource.is_empty() { validate(new) } else { Errors::new() }),
    table: Some(TABLE),
    name: |name, _| kuorum_schema::names::path_segment_name(name),
    update_metadata: &[Pass::Update, Pass::Create],
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Service", "string", "The reference to the service that hosts this API endpoint."),
        table::own("Available", "string", "Whether this service is available."),
        AGE,
    ],
    |service, now| {
        let backend = get(service, "spec.service");
        let backend = if backend.is_object() {
            format!("{}/{}", text(backend, "namespace"), text(backend, "name"))
        } else {
            "Local".to_owned()
        };
        vec![table::name(service), backend.into(), available(service).into(), table::age(service, now)]
    },
);

fn available(service: &Value) -> String {
    let condition = items(service, "status.conditions").iter().find(|c| text(c, "type") == "Available");
    match condition {
        None => "Unknown".to_owned(),
        Some(c) if text(c, "status") == "True" => "True".to_owned(),
        Some(c) => format!("{} ({})", text(c, "status"), text(c, "reason")),
    }
}

fn default(service: &mut Value) {
    if let Some(backend) = existing(service, "spec").and_then(|spec| existing(spec, "service")) {
        set_default(backend, "port", 443);
    }
}

/// Largest priorities of a group and of a version in it.
const GROUP_PRIORITY_MAX: i64 = 20_000;
const VERSION_PRIORITY_MAX: i64 = 1_000;

fn validate(service: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = get(service, "spec");
    let path = Path::new("spec");
    let (group, version) = (text(spec, "group"), text(spec, "version"));
    let wanted = format!("{version}.{group}");
    let name = text(service, "metadata.name");
    if name != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
        errors.push(FieldError::invalid("metadata.name", &name.into(), &detail));
    }
    if group.is_empty() {
        if version != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.push(FieldError::required(path.child("group"), detail));
        }
    } else {
        invalid_each(path.child("group"), group, kuorum_schema::names::dns1123_subdomain(group), &mut errors);
    }
    invalid_each(path.child("version"), version, kuorum_schema::names::dns1035_label(version), &mut errors);
    for (key, max) in [("groupPriorityMinimum", GROUP_PRIORITY_MAX), ("versionPriority", VERSION_PRIORITY_MAX)] {
        let priority = int(spec, key).unwrap_or(0);
        if !(1..=max).contains(&priority) {
            let detail = format!("must be positive and less than {max}");
            errors.push(FieldError::invalid(path.child(key), &priority.into(), &detail));
        }
    }
    backend(spec, &path, &mut errors);
    errors
}

fn backend(spec: &Value, path: &Path, errors: &mut Errors) {
    let service = get(spec, "service");
    let insecure = flag(spec, "insecureSkipTLSVerify");
    let insecure_path = path.child("insecureSkipTLSVerify");
    if !service.is_object() {
        if is_set(spec, "caBundle") {
            let bytes = crate::builtin::core_v1::data::decoded_len(get(spec, "caBundle"));
            let shown = format!("{bytes} bytes").into();
            let detail = "local APIServices may not have a caBundle";
            errors.push(FieldError::invalid(path.child("caBundle"), &shown, detail));
        }
        if insecure {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(FieldError::invalid(insecure_path, &true.into(), detail));
        }
        return;
    }
    let path = path.child("service");
    required(service, "namespace", &path, errors);
    required(service, "name", &path, errors);
    let port = int(service, "port").unwrap_or(0);
    let complaints = kuorum_schema::names::port_number(port);
    if !complaints.is_empty() {
        let detail = format!("port is not valid: {}", complaints.join("; "));
        errors.push(FieldError::invalid(path.child("port"), &port.into(), &detail));
    }
    if insecure && is_set(spec, "caBundle") {
        errors.push(FieldError::invalid(insecure_path, &true.into(), "may not be true if caBundle is present"));
    }
}
