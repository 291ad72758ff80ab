//! PodDisruptionBudget.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::get;

pub const HOOKS: Hooks = Hooks { table: Some(TABLE), ..Hooks::NONE };

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Min Available", "string", "The minimum number of pods that must be available."),
        table::own("Max Unavailable", "string", "The maximum number of pods that may be unavailable."),
        table::own("Allowed Disruptions", "integer", "Calculated number of pods that may be disrupted at this time."),
        AGE,
    ],
    |budget, now| {
        let bound = |path: &str| match get(budget, path) {
            Value::Null => "N/A".to_owned(),
            value => table::scalar(value),
        };
        vec![
            table::name(budget),
            bound("spec.minAvailable").into(),
            bound("spec.maxUnavailable").into(),
            table::count(budget, "status.disruptionsAllowed"),
            table::age(budget, now),
        ]
    },
);
