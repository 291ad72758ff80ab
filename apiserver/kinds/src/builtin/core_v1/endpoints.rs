//! Endpoints, the older form of EndpointSlice.

use serde_json::Value;

use super::service::validate::external_ip;
use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::path::Path;
use crate::rules::{invalid_each, port, required_one_of};
use crate::table::{self, AGE, NAME};
use crate::value::{get, items, items_mut, set_default_text, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    warnings: Some(warnings),
    validate_create: Some(|endpoints, _| validate(endpoints)),
    validate_update: Some(|new, _, _| validate(new)),
    table: Some(TABLE),
    update_metadata: &[Pass::Update, Pass::Create],
    ..Hooks::NONE
};

/// How many addresses a table shows.
const SHOWN_MAX: usize = 3;

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("Endpoints", "string", "io.k8s.api.core.v1.Endpoints", "subsets"), AGE],
    |endpoints, now| vec![table::name(endpoints), addresses(endpoints).into(), table::age(endpoints, now)],
);

fn addresses(endpoints: &Value) -> String {
    let mut all = Vec::new();
    for subset in items(endpoints, "subsets") {
        let ips = || items(subset, "addresses").iter().map(|a| text(a, "ip"));
        if items(subset, "ports").is_empty() {
            all.extend(ips().map(str::to_owned));
        }
        for port in items(subset, "ports") {
            let number = get(port, "port");
            all.extend(
                ips().map(|ip| if ip.contains(':') { format!("[{ip}]:{number}") } else { format!("{ip}:{number}") }),
            );
        }
    }
    if all.is_empty() {
        return "<none>".to_owned();
    }
    table::abbreviated(all.iter().map(String::as_str), SHOWN_MAX)
}

fn default(endpoints: &mut Value) {
    for subset in items_mut(endpoints, "subsets") {
        for port in items_mut(subset, "ports") {
            set_default_text(port, "protocol", "TCP");
        }
    }
}

fn warnings(_: &Value, _: Option<&Value>) -> Vec<String> {
    vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()]
}

fn validate(endpoints: &Value) -> Errors {
    let mut errors = Errors::new();
    let list = Path::new("subsets");
    for (i, subset) in items(endpoints, "subsets").iter().enumerate() {
        let path = list.index(i);
        if items(subset, "addresses").is_empty() && items(subset, "notReadyAddresses").is_empty() {
            errors.push(FieldError::required(path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for key in ["addresses", "notReadyAddresses"] {
            let list = path.child(key);
            for (j, found) in items(subset, key).iter().enumerate() {
                address(found, &list.index(j), &mut errors);
            }
        }
        let list = path.child("ports");
        let ports = items(subset, "ports");
        for (j, found) in ports.iter().enumerate() {
            endpoint_port(found, ports.len() > 1, &list.index(j), &mut errors);
        }
    }
    errors
}

fn address(found: &Value, path: &Path, errors: &mut Errors) {
    external_ip(text(found, "ip"), path.child("ip"), errors);
    let host = text(found, "hostname");
    if !host.is_empty() {
        invalid_each(path.child("hostname"), host, kuorum_schema::names::dns1123_label(host), errors);
    }
    if let Some(node) = get(found, "nodeName").as_str() {
        invalid_each(path.child("nodeName"), node, kuorum_schema::names::dns1123_subdomain(node), errors);
    }
}

fn endpoint_port(found: &Value, named: bool, path: &Path, errors: &mut Errors) {
    let name = text(found, "name");
    if !name.is_empty() {
        invalid_each(path.child("name"), name, kuorum_schema::names::dns1123_label(name), errors);
    } else if named {
        errors.push(FieldError::required(path.child("name"), ""));
    }
    port(get(found, "port"), path.child("port"), errors);
    required_one_of(found, "protocol", &["SCTP", "TCP", "UDP"], path, errors);
    if let Some(protocol) = get(found, "appProtocol").as_str() {
        invalid_each(path.child("appProtocol"), protocol, kuorum_schema::names::qualified_name(protocol), errors);
    }
}
