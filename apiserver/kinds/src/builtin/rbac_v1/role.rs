//! Role and ClusterRole.

use crate::hooks::Hooks;

pub const HOOKS: Hooks = Hooks { name, ..Hooks::NONE };

/// RBAC objects may have any name that can stand in a path: `system:node`.
pub fn name(name: &str, prefix: bool) -> Vec<String> {
    if prefix { kuorum_schema::names::path_segment_prefix(name) } else { kuorum_schema::names::path_segment_name(name) }
}
