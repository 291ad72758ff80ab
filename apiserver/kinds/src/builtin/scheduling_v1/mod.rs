//! The rows of scheduling.k8s.io/v1.

mod priority_class;

use crate::row::KindRow;

const CLUSTER: KindRow = KindRow { group: "scheduling.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    generation: true,
    hooks: priority_class::HOOKS,
    ..CLUSTER
}];
