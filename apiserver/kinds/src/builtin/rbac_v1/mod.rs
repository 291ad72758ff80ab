//! The rows of rbac.authorization.k8s.io/v1.

mod binding;
mod role;
mod validate;

use crate::row::KindRow;

const NAMESPACED: KindRow = KindRow { group: "rbac.authorization.k8s.io", version: "v1", ..KindRow::NAMESPACED };
const CLUSTER: KindRow = KindRow { group: "rbac.authorization.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        create_on_update: true,
        hooks: binding::CLUSTER,
        ..CLUSTER
    },
    KindRow {
        kind: "ClusterRole",
        plural: "clusterroles",
        singular: "clusterrole",
        create_on_update: true,
        hooks: role::CLUSTER,
        ..CLUSTER
    },
    KindRow {
        kind: "RoleBinding",
        plural: "rolebindings",
        singular: "rolebinding",
        create_on_update: true,
        hooks: binding::ROLE,
        ..NAMESPACED
    },
    KindRow {
        kind: "Role",
        plural: "roles",
        singular: "role",
        create_on_update: true,
        hooks: role::ROLE,
        ..NAMESPACED
    },
];
