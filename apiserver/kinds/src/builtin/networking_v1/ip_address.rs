//! IPAddress.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, NAME};
use crate::value::{get, text};

pub const HOOKS: Hooks = Hooks { table: Some(TABLE), ..Hooks::NONE };

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
