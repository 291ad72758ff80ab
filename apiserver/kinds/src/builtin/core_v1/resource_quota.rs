//! ResourceQuota.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::pod_template::resources;
use crate::table::{self, AGE, NAME};
use crate::value::{entries, existing, get};

pub const HOOKS: Hooks = Hooks { default: Some(default), table: Some(TABLE), ..Hooks::NONE };

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
