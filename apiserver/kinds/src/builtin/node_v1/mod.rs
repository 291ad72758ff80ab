//! The rows of node.k8s.io/v1.

mod runtime_class;

use crate::row::KindRow;

const CLUSTER: KindRow = KindRow { group: "node.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "RuntimeClass",
    plural: "runtimeclasses",
    singular: "runtimeclass",
    create_on_update: true,
    unconditional_update: false,
    hooks: runtime_class::HOOKS,
    ..CLUSTER
}];
