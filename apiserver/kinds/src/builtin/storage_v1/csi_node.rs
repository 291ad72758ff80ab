//! CSINode.

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::items;

pub const HOOKS: Hooks = Hooks { table: Some(TABLE), ..Hooks::NONE };

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Drivers", "integer", "Drivers indicates the number of CSI drivers registered on the node"),
        AGE,
    ],
    |node, now| vec![table::name(node), items(node, "spec.drivers").len().into(), table::age(node, now)],
);
