//! The rows of discovery.k8s.io/v1.

mod endpoint_slice;

use crate::row::KindRow;

const NAMESPACED: KindRow = KindRow { group: "discovery.k8s.io", version: "v1", ..KindRow::NAMESPACED };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    generation: true,
    hooks: endpoint_slice::HOOKS,
    ..NAMESPACED
}];
