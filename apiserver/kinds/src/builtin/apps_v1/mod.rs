//! The rows of apps/v1.

mod controller_revision;
mod daemon_set;
mod deployment;
mod replica_set;
mod stateful_set;
pub mod workload;

use crate::row::{KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "apps", version: "v1", ..KindRow::NAMESPACED };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "ControllerRevision",
        plural: "controllerrevisions",
        singular: "controllerrevision",
        hooks: controller_revision::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "DaemonSet",
        plural: "daemonsets",
        singular: "daemonset",
        short_names: &["ds"],
        categories: &["all"],
        subresources: &[Subresource::STATUS],
        generation: true,
        hooks: daemon_set::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "Deployment",
        plural: "deployments",
        singular: "deployment",
        short_names: &["deploy"],
        categories: &["all"],
        subresources: &[Subresource::SCALE, Subresource::STATUS],
        generation: true,
        hooks: deployment::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "ReplicaSet",
        plural: "replicasets",
        singular: "replicaset",
        short_names: &["rs"],
        categories: &["all"],
        subresources: &[Subresource::SCALE, Subresource::STATUS],
        generation: true,
        hooks: replica_set::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "StatefulSet",
        plural: "statefulsets",
        singular: "statefulset",
        short_names: &["sts"],
        categories: &["all"],
        subresources: &[Subresource::SCALE, Subresource::STATUS],
        generation: true,
        hooks: stateful_set::HOOKS,
        ..NAMESPACED
    },
];

/// The only field of a replica count's status that Go always prints.
pub fn clear_replica_status(object: &mut serde_json::Value) {
    crate::value::set(object, "status", serde_json::json!({"replicas": 0}));
}
