//! EndpointSlice.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::metadata::labels_equal;
use crate::table::{self, AGE, NAME};
use crate::value::{equal, get, int, items, items_mut, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    desired_state_changed: Some(desired_state_changed),
    warnings: Some(warnings),
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
