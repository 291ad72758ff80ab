//! ServiceAccount.

use crate::hooks::Hooks;
use crate::table;

pub const HOOKS: Hooks = Hooks { table: Some(table::NAME_AND_AGE), ..Hooks::NONE };
