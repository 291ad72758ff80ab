//! The rows of apiregistration.k8s.io/v1.

mod api_service;

use crate::row::{KindRow, Subresource};

const CLUSTER: KindRow = KindRow { group: "apiregistration.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "APIService",
    plural: "apiservices",
    singular: "apiservice",
    categories: &["api-extensions"],
    subresources: &[Subresource::STATUS],
    unconditional_update: false,
    hooks: api_service::HOOKS,
    ..CLUSTER
}];
