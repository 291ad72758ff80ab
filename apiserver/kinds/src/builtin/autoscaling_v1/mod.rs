//! The rows of autoscaling/v1.

mod annotations;
mod hpa;

use crate::row::{KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "autoscaling", version: "v1", ..KindRow::NAMESPACED };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    subresources: &[Subresource::STATUS],
    storage: Some(("autoscaling", "v2", "HorizontalPodAutoscaler")),
    hooks: hpa::HOOKS,
    ..NAMESPACED
}];
