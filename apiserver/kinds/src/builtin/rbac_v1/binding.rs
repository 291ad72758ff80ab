//! RoleBinding and ClusterRoleBinding.

use serde_json::Value;

use super::validate;
use crate::field::Errors;
use crate::hooks::{Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::table::{self, AGE, NAME};
use crate::value::{child, items, items_mut, set_default_text, text};

const GROUP: &str = "rbac.authorization.k8s.io";

pub const ROLE: Hooks = Hooks {
    validate_create: Some(|binding, _| validate_binding(binding, &["Role", "ClusterRole"])),
    validate_update: Some(|new, old, _| validate_change(new, old, &["Role", "ClusterRole"])),
    table: Some(ROLE_TABLE),
    ..CLUSTER
};
pub const CLUSTER: Hooks = Hooks {
    default: Some(default),
    validate_create: Some(|binding, _| validate_binding(binding, &["ClusterRole"])),
    validate_update: Some(|new, old, _| validate_change(new, old, &["ClusterRole"])),
    table: Some(CLUSTER_TABLE),
    name: super::role::name,
    update_metadata: &[Pass::Create, Pass::Create, Pass::Update],
    ..Hooks::NONE
};

const ROLE_TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own(
            "Role",
            "string",
            "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
        ),
        AGE,
        table::own("Users", "string", "Users in the roleBinding").wide(),
        table::own("Groups", "string", "Groups in the roleBinding").wide(),
        table::own("ServiceAccounts", "string", "ServiceAccounts in the roleBinding").wide(),
    ],
    cells,
);

const CLUSTER_TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own(
            "Role",
            "string",
            "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
        ),
        AGE,
        table::own("Users", "string", "Users in the clusterRoleBinding").wide(),
        table::own("Groups", "string", "Groups in the clusterRoleBinding").wide(),
        table::own("ServiceAccounts", "string", "ServiceAccounts in the clusterRoleBinding").wide(),
    ],
    cells,
);

fn cells(binding: &Value, now: i64) -> Vec<Value> {
    let of_kind = |kind: &str| -> String {
        let subjects = items(binding, "subjects").iter().filter(|s| text(s, "kind") == kind);
        let names: Vec<String> = subjects
            .map(|s| match kind {
                "ServiceAccount" => format!("{}/{}", text(s, "namespace"), text(s, "name")),
                _ => text(s, "name").to_owned(),
            })
            .collect();
        names.join(", ")
    };
    vec![
        table::name(binding),
        format!("{}/{}", text(binding, "roleRef.kind"), text(binding, "roleRef.name")).into(),
        table::age(binding, now),
        of_kind("User").into(),
        of_kind("Group").into(),
        of_kind("ServiceAccount").into(),
    ]
}

fn default(binding: &mut Value) {
    if let Some(reference) = child(binding, "roleRef") {
        set_default_text(reference, "apiGroup", GROUP);
    }
    for subject in items_mut(binding, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            set_default_text(subject, "apiGroup", GROUP);
        }
    }
}

fn validate_binding(binding: &Value, kinds: &[&str]) -> Errors {
    let mut errors = Errors::new();
    validate::binding(binding, kinds, &mut errors);
    errors
}

fn validate_change(new: &Value, old: &Value, kinds: &[&str]) -> Errors {
    let mut errors = validate_binding(new, kinds);
    validate::role_unchanged(new, old, &mut errors);
    errors
}
