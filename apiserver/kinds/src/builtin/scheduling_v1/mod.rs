//! The rows of scheduling.k8s.io/v1.

use crate::row::KindRow;

const CLUSTER: KindRow = KindRow { group: "scheduling.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    generation: true,
    ..CLUSTER
}];
