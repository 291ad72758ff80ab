//! ComponentStatus: made up when it is asked for, never stored.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, NAME};
use crate::value::{items, text};

pub const HOOKS: Hooks = Hooks { warnings: Some(warnings), table: Some(TABLE), ..Hooks::NONE };

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Status", "string", "Status of the component conditions"),
        table::own("Message", "string", "Message of the component conditions"),
        table::own("Error", "string", "Error of the component conditions"),
    ],
    |component, _| {
        let mut cells: Vec<Value> = vec![table::name(component), "Unknown".into(), "".into(), "".into()];
        for condition in items(component, "conditions").iter().filter(|c| text(c, "type") == "Healthy") {
            cells[1] = if text(condition, "status") == "True" { "Healthy".into() } else { "Unhealthy".into() };
            cells[2] = text(condition, "message").into();
            cells[3] = text(condition, "error").into();
        }
        cells
    },
);

fn warnings(_: &Value, _: Option<&Value>) -> Vec<String> {
    vec!["v1 ComponentStatus is deprecated in v1.19+".to_owned()]
}
