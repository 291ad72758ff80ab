//! DeviceClass.

use super::validate;
use crate::hooks::Hooks;
use crate::table;

pub const HOOKS: Hooks = Hooks {
    validate_create: Some(|class, _| validate::class(class)),
    validate_update: Some(|class, _, _| validate::class(class)),
    table: Some(table::NAME_AND_AGE),
    ..Hooks::NONE
};
