//! RuntimeClass.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::pod_template::resources;
use crate::table::{self, AGE, NAME};
use crate::value::{existing, text};

pub const HOOKS: Hooks = Hooks { default: Some(default), table: Some(TABLE), ..Hooks::NONE };

const TABLE: TablePrinter = TablePrinter::new(
    // kube-apiserver describes this column with nothing.
    &[NAME, table::own("Handler", "string", ""), AGE],
    |class, now| vec![table::name(class), text(class, "handler").into(), table::age(class, now)],
);

fn default(class: &mut Value) {
    if let Some(overhead) = existing(class, "overhead") {
        resources::round_up(existing(overhead, "podFixed"));
    }
}
