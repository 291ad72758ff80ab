//! ServiceAccount.

use crate::hooks::Hooks;
use crate::metadata::Pass;
use crate::table;

pub const HOOKS: Hooks =
    Hooks { table: Some(table::NAME_AND_AGE), update_metadata: &[Pass::Update, Pass::Create], ..Hooks::NONE };
