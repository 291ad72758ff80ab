//! The rows of apiregistration.k8s.io/v1.

use crate::row::{KindRow, Subresource};

const CLUSTER: KindRow = KindRow { group: "apiregistration.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "APIService",
    plural: "apiservices",
    singular: "apiservice",
    categories: &["api-extensions"],
    subresources: &[Subresource::STATUS],
    unconditional_update: false,
    ..CLUSTER
}];
