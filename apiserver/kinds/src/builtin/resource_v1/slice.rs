//! ResourceSlice.

use crate::hooks::{Hooks, TablePrinter};
use crate::row::SelectableField;
use crate::table::{self, AGE, NAME};
use crate::value::text;

pub const HOOKS: Hooks = Hooks { table: Some(TABLE), ..Hooks::NONE };

pub const FIELDS: &[SelectableField] = &[
    SelectableField { name: "spec.nodeName", value: |slice| text(slice, "spec.nodeName").to_owned() },
    SelectableField { name: "spec.driver", value: |slice| text(slice, "spec.driver").to_owned() },
];

const SPEC: &str = "io.k8s.api.resource.v1.ResourceSliceSpec";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Node", "string", SPEC, "nodeName"),
        table::field("Driver", "string", SPEC, "driver"),
        table::field("Pool", "string", "io.k8s.api.resource.v1.ResourcePool", "name"),
        AGE,
    ],
    |slice, now| {
        vec![
            table::name(slice),
            text(slice, "spec.nodeName").into(),
            text(slice, "spec.driver").into(),
            text(slice, "spec.pool.name").into(),
            table::age(slice, now),
        ]
    },
);
