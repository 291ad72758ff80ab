//! IPAddress.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::path::Path;
use crate::rules::invalid_each;
use crate::table::{self, NAME};
use crate::value::{get, text};

pub const HOOKS: Hooks = Hooks {
    validate_create: Some(|address, _| validate(address)),
    validate_update: Some(|new, old, _| validate_change(new, old)),
    table: Some(TABLE),
    name,
    ..Hooks::NONE
};

/// Two columns and three cells: so it is in kube-apiserver, and clients ignore the third.
const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("ParentRef", "string", "io.k8s.api.networking.v1.IPAddressSpec", "parentRef")],
    |address, now| vec![table::name(address), parent(address).into(), table::age(address, now)],
);

fn parent(address: &Value) -> String {
    let reference = get(address, "spec.parentRef");
    if !reference.is_object() {
        return "<none>".to_owned();
    }
    let mut shown = text(reference, "resource").to_owned();
    for part in [text(reference, "group")].into_iter().filter(|p| !p.is_empty()) {
        shown = format!("{shown}.{part}");
    }
    for part in [text(reference, "namespace"), text(reference, "name")].into_iter().filter(|p| !p.is_empty()) {
        shown = format!("{shown}/{part}");
    }
    shown
}

/// An IPAddress is named by the address.
fn name(name: &str, _: bool) -> Vec<String> {
    let complaints = kuorum_schema::names::ip_strict(name);
    match name.parse::<std::net::IpAddr>() {
        Ok(ip) if complaints.is_empty() && ip.to_string() != name => {
            vec![format!("must be in canonical form (\"{ip}\")")]
        }
        _ => complaints,
    }
}

fn validate(address: &Value) -> Errors {
    let mut errors = Errors::new();
    let reference = get(address, "spec.parentRef");
    let path = Path::new("spec.parentRef");
    if !reference.is_object() {
        errors.push(FieldError::required(path, ""));
        return errors;
    }
    let group = text(reference, "group");
    if !group.is_empty() {
        invalid_each(path.child("group"), group, kuorum_schema::names::dns1123_subdomain(group), &mut errors);
    }
    for key in ["resource", "name", "namespace"] {
        let part = text(reference, key);
        if part.is_empty() && key != "namespace" {
            errors.push(FieldError::required(path.child(key), ""));
        } else {
            invalid_each(path.child(key), part, kuorum_schema::names::path_segment_name(part), &mut errors);
        }
    }
    errors
}

fn validate_change(new: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let reference = get(new, "spec.parentRef");
    if !crate::value::equal(reference, get(old, "spec.parentRef")) {
        let quoted = |key: &str| Value::from(text(reference, key));
        let shown = format!(
            "{{\"Group\":{},\"Resource\":{},\"Namespace\":{},\"Name\":{}}}",
            quoted("group"),
            quoted("resource"),
            quoted("namespace"),
            quoted("name"),
        );
        errors.push(FieldError::invalid_shown("spec.parentRef", &shown, "field is immutable"));
    }
    errors
}
