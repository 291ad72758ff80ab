//! The rows of flowcontrol.apiserver.k8s.io/v1.

mod conditions;
mod fixed;
mod flow_schema;
mod priority_level;

use crate::row::{KindRow, Subresource};

const CLUSTER: KindRow = KindRow { group: "flowcontrol.apiserver.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "FlowSchema",
        plural: "flowschemas",
        singular: "flowschema",
        subresources: &[Subresource::STATUS],
        generation: true,
        hooks: flow_schema::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "PriorityLevelConfiguration",
        plural: "prioritylevelconfigurations",
        singular: "prioritylevelconfiguration",
        subresources: &[Subresource::STATUS],
        generation: true,
        hooks: priority_level::HOOKS,
        ..CLUSTER
    },
];
