//! The rows of policy/v1.

use crate::row::{KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "policy", version: "v1", ..KindRow::NAMESPACED };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short_names: &["pdb"],
    subresources: &[Subresource::STATUS],
    generation: true,
    unconditional_update: false,
    ..NAMESPACED
}];
