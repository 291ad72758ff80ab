//! The rows of flowcontrol.apiserver.k8s.io/v1.

use crate::row::{KindRow, Subresource};

const CLUSTER: KindRow = KindRow { group: "flowcontrol.apiserver.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "FlowSchema",
        plural: "flowschemas",
        singular: "flowschema",
        subresources: &[Subresource::STATUS],
        generation: true,
        ..CLUSTER
    },
    KindRow {
        kind: "PriorityLevelConfiguration",
        plural: "prioritylevelconfigurations",
        singular: "prioritylevelconfiguration",
        subresources: &[Subresource::STATUS],
        generation: true,
        ..CLUSTER
    },
];
