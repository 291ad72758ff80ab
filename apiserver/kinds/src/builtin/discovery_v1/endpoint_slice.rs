//! EndpointSlice.

use serde_json::Value;

use crate::builtin::core_v1::service::validate::external_ip;
use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::metadata::labels_equal;
use crate::path::Path;
use crate::rules::{invalid_each, required_one_of};
use crate::table::{self, AGE, NAME};
use crate::value::{equal, get, int, items, items_mut, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    desired_state_changed: Some(desired_state_changed),
    warnings: Some(warnings),
    validate_create: Some(|slice, _| validate(slice)),
    validate_update: Some(|new, old, _| validate_change(new, old)),
    table: Some(TABLE),
    ..Hooks::NONE
};

const SLICE: &str = "io.k8s.api.discovery.v1.EndpointSlice";
/// How many ports and addresses a table shows.
const SHOWN_MAX: usize = 3;

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("AddressType", "string", SLICE, "addressType"),
        table::field("Ports", "string", SLICE, "ports"),
        table::field("Endpoints", "string", SLICE, "endpoints"),
        AGE,
    ],
    |slice, now| {
        let ports: Vec<String> = items(slice, "ports")
            .iter()
            .map(|port| match int(port, "port") {
                Some(number) => number.to_string(),
                None => port.get("name").map_or("*", |n| n.as_str().unwrap_or("*")).to_owned(),
            })
            .collect();
        let ports = table::abbreviated(ports.iter().map(String::as_str), SHOWN_MAX);
        let addresses = items(slice, "endpoints").iter().flat_map(|e| items(e, "addresses")).filter_map(Value::as_str);
        vec![
            table::name(slice),
            text(slice, "addressType").into(),
            table::or_unset(&ports),
            table::or_unset(&table::abbreviated(addresses, SHOWN_MAX)),
            table::age(slice, now),
        ]
    },
);

fn default(slice: &mut Value) {
    for port in items_mut(slice, "ports") {
        set_default(port, "name", "");
        set_default(port, "protocol", "TCP");
    }
}

/// All of a slice is desired state, its labels too (they say whose it is).
fn desired_state_changed(new: &Value, old: &Value) -> bool {
    let differs = |key: &str| !equal(get(new, key), get(old, key));
    differs("addressType") || differs("endpoints") || differs("ports") || !labels_equal(new, old)
}

fn warnings(new: &Value, _: Option<&Value>) -> Vec<String> {
    if text(new, "addressType") == "FQDN" {
        vec!["spec.addressType: FQDN endpoints are deprecated".to_owned()]
    } else {
        Vec::new()
    }
}

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;

fn validate(slice: &Value) -> Errors {
    let mut errors = Errors::new();
    let kind = text(slice, "addressType");
    if kind.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else if !matches!(kind, "FQDN" | "IPv4" | "IPv6") {
        errors.push(FieldError::not_supported("addressType", &kind.into(), &["FQDN", "IPv4", "IPv6"]));
    }
    endpoints(slice, kind, &mut errors);
    ports(slice, &mut errors);
    errors
}

fn endpoints(slice: &Value, kind: &str, errors: &mut Errors) {
    let list = Path::new("endpoints");
    let endpoints = items(slice, "endpoints");
    if endpoints.len() > ENDPOINTS_MAX {
        errors.push(FieldError::too_many(list, endpoints.len(), ENDPOINTS_MAX));
        return;
    }
    for (i, endpoint) in endpoints.iter().enumerate() {
        let path = list.index(i);
        let at = path.child("addresses");
        let addresses = items(endpoint, "addresses");
        if addresses.is_empty() {
            errors.push(FieldError::required(at, "must contain at least 1 address"));
        } else if addresses.len() > ADDRESSES_MAX {
            errors.push(FieldError::too_many(at, addresses.len(), ADDRESSES_MAX));
        }
        for (j, address) in addresses.iter().enumerate() {
            address_of(address.as_str().unwrap_or(""), kind, &at, j, errors);
        }
        if let Some(node) = get(endpoint, "nodeName").as_str() {
            invalid_each(path.child("nodeName"), node, kuorum_schema::names::dns1123_subdomain(node), errors);
        }
        if let Some(host) = get(endpoint, "hostname").as_str() {
            invalid_each(path.child("hostname"), host, kuorum_schema::names::dns1123_label(host), errors);
        }
        hints(get(endpoint, "hints"), &path.child("hints"), errors);
    }
}

fn address_of(address: &str, kind: &str, list: &Path, index: usize, errors: &mut Errors) {
    match kind {
        "IPv4" | "IPv6" => {
            let complaints = kuorum_schema::names::ip_strict(address);
            if complaints.is_empty() && address.contains(':') != (kind == "IPv6") {
                let detail = format!("must be an {kind} address");
                errors.push(FieldError::invalid(list, &address.into(), &detail));
            } else {
                external_ip(address, list.index(index), errors);
            }
        }
        "FQDN" => {
            let complaints = kuorum_schema::names::fully_qualified_domain_name(address);
            invalid_each(list.index(index), address, complaints, errors);
        }
        _ => {}
    }
}

fn hints(hints: &Value, path: &Path, errors: &mut Errors) {
    for key in ["forZones", "forNodes"] {
        let list = path.child(key);
        let found = items(hints, key);
        for (i, hint) in found.iter().enumerate() {
            let path = list.index(i);
            let name = text(hint, "name");
            if found[..i].iter().any(|earlier| text(earlier, "name") == name) {
                errors.push(FieldError::duplicate(path.child("name"), &name.into()));
            }
            let complaints = if key == "forNodes" {
                kuorum_schema::names::dns1123_subdomain(name)
            } else {
                kuorum_schema::names::label_value(name)
            };
            invalid_each(path.child("name"), name, complaints, errors);
        }
    }
}

fn ports(slice: &Value, errors: &mut Errors) {
    let list = Path::new("ports");
    let ports = items(slice, "ports");
    if ports.len() > PORTS_MAX {
        errors.push(FieldError::too_many(list, ports.len(), PORTS_MAX));
        return;
    }
    for (i, found) in ports.iter().enumerate() {
        let path = list.index(i);
        let name = text(found, "name");
        if !name.is_empty() {
            invalid_each(path.child("name"), name, kuorum_schema::names::dns1123_label(name), errors);
        }
        if ports[..i].iter().any(|earlier| text(earlier, "name") == name) {
            errors.push(FieldError::duplicate(path.child("name"), &name.into()));
        }
        required_one_of(found, "protocol", &["SCTP", "TCP", "UDP"], &path, errors);
        if let Some(protocol) = get(found, "appProtocol").as_str() {
            invalid_each(path.child("appProtocol"), protocol, kuorum_schema::names::qualified_name(protocol), errors);
        }
    }
}

fn validate_change(new: &Value, old: &Value) -> Errors {
    if text(new, "addressType") != text(old, "addressType") {
        return vec![FieldError::invalid("addressType", get(new, "addressType"), "field is immutable")];
    }
    validate(new)
}
