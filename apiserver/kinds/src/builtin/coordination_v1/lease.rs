//! Lease.

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::text;

pub const HOOKS: Hooks = Hooks { table: Some(TABLE), ..Hooks::NONE };

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("Holder", "string", "io.k8s.api.coordination.v1.LeaseSpec", "holderIdentity"), AGE],
    |lease, now| vec![table::name(lease), text(lease, "spec.holderIdentity").into(), table::age(lease, now)],
);
