//! The rows of coordination.k8s.io/v1.

mod lease;

use crate::row::KindRow;

const NAMESPACED: KindRow = KindRow { group: "coordination.k8s.io", version: "v1", ..KindRow::NAMESPACED };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    create_on_update: true,
    unconditional_update: false,
    hooks: lease::HOOKS,
    ..NAMESPACED
}];
