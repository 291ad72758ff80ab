//! ServiceCIDR.

use serde_json::Value;

use crate::hooks::{Context, Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::items;

pub const HOOKS: Hooks = Hooks { prepare_update: Some(prepare_update), table: Some(TABLE), ..Hooks::NONE };

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("CIDRs", "string", "io.k8s.api.networking.v1.ServiceCIDRSpec", "cidrs"), AGE],
    |cidr, now| {
        let list = table::join(items(cidr, "spec.cidrs").iter().filter_map(Value::as_str));
        vec![table::name(cidr), list.into(), table::age(cidr, now)]
    },
);

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource == "status" {
        crate::metadata::keep_for_status(new, old);
    }
}
