//! PriorityClass.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{flag, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    // Nothing in a PriorityClass is desired state that a controller would follow.
    desired_state_changed: Some(|_, _| false),
    table: Some(TABLE),
    ..Hooks::NONE
};

const CLASS: &str = "io.k8s.api.scheduling.v1.PriorityClass";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Value", "integer", CLASS, "value"),
        table::field("Global-Default", "boolean", CLASS, "globalDefault"),
        AGE,
        table::field("PreemptionPolicy", "string", CLASS, "preemptionPolicy"),
    ],
    |class, now| {
        vec![
            table::name(class),
            table::count(class, "value"),
            flag(class, "globalDefault").into(),
            table::age(class, now),
            text(class, "preemptionPolicy").into(),
        ]
    },
);

fn default(class: &mut Value) {
    set_default(class, "preemptionPolicy", "PreemptLowerPriority");
}
