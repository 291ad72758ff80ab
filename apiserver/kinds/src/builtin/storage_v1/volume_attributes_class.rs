//! VolumeAttributesClass.

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::text;

pub const HOOKS: Hooks = Hooks { table: Some(TABLE), ..Hooks::NONE };

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("DriverName", "string", "io.k8s.api.storage.v1.VolumeAttributesClass", "driverName"), AGE],
    |class, now| vec![table::name(class), text(class, "driverName").into(), table::age(class, now)],
);
