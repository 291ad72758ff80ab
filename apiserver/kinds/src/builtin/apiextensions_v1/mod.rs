//! The rows of apiextensions.k8s.io/v1.

mod crd;
mod schema_rules;
mod validate;

use crate::row::{KindRow, Subresource};

const CLUSTER: KindRow = KindRow { group: "apiextensions.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    singular: "customresourcedefinition",
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    subresources: &[Subresource::STATUS],
    hash_version: Some("v1beta1"),
    generation: true,
    unconditional_update: false,
    hooks: crd::HOOKS,
    ..CLUSTER
}];
