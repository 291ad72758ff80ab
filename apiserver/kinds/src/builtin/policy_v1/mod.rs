//! The rows of policy/v1.

mod pdb;

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
    hooks: pdb::HOOKS,
    ..NAMESPACED
}];
