//! The rows of autoscaling/v2.

pub mod hpa;
pub mod validate;

use crate::row::{KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "autoscaling", version: "v2", ..KindRow::NAMESPACED };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    subresources: &[Subresource::STATUS],
    hooks: hpa::HOOKS,
    ..NAMESPACED
}];
