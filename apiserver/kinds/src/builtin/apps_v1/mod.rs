//! The rows of apps/v1.

use crate::row::{KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "apps", version: "v1", ..KindRow::NAMESPACED };

pub const KINDS: &[KindRow] = &[
    KindRow { kind: "ControllerRevision", plural: "controllerrevisions", singular: "controllerrevision", ..NAMESPACED },
    KindRow {
        kind: "DaemonSet",
        plural: "daemonsets",
        singular: "daemonset",
        short_names: &["ds"],
        categories: &["all"],
        subresources: &[Subresource::STATUS],
        generation: true,
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
        ..NAMESPACED
    },
];
