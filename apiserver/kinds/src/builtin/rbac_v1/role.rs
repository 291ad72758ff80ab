//! Role and ClusterRole.

use serde_json::Value;

use super::validate;
use crate::field::Errors;
use crate::hooks::Hooks;
use crate::metadata::Pass;

pub const ROLE: Hooks = Hooks {
    validate_create: Some(|role, _| validate_role(role)),
    validate_update: Some(|new, _, _| validate_role(new)),
    name,
    update_metadata: &[Pass::Create, Pass::Create, Pass::Update],
    ..Hooks::NONE
};
pub const CLUSTER: Hooks = Hooks {
    validate_create: Some(|role, _| validate_cluster_role(role)),
    validate_update: Some(|new, _, _| validate_cluster_role(new)),
    name,
    update_metadata: &[Pass::Create, Pass::Create, Pass::Update],
    ..Hooks::NONE
};

/// RBAC objects may have any name that can stand in a path: `system:node`.
pub fn name(name: &str, prefix: bool) -> Vec<String> {
    if prefix { kuorum_schema::names::path_segment_prefix(name) } else { kuorum_schema::names::path_segment_name(name) }
}

fn validate_role(role: &Value) -> Errors {
    let mut errors = Errors::new();
    validate::rules(role, true, &mut errors);
    errors
}

fn validate_cluster_role(role: &Value) -> Errors {
    let mut errors = Errors::new();
    validate::rules(role, false, &mut errors);
    validate::aggregation(role, &mut errors);
    errors
}
