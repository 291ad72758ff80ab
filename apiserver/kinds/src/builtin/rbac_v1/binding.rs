//! RoleBinding and ClusterRoleBinding.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{child, items, items_mut, set_default_text, text};

const GROUP: &str = "rbac.authorization.k8s.io";

pub const ROLE: Hooks = Hooks { table: Some(ROLE_TABLE), ..CLUSTER };
pub const CLUSTER: Hooks =
    Hooks { default: Some(default), table: Some(CLUSTER_TABLE), name: super::role::name, ..Hooks::NONE };

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
