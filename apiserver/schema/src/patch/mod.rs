//! Patches: JSON Patch, JSON merge patch and strategic merge patch, each on an object in memory.
//!
//! A patch is decoded once and can then be applied to any number of versions of an object, which is what a write that
//! lost a race does. Nothing here knows HTTP; [`PatchError`] says which kind of refusal the server gives.

pub(crate) mod document;
pub mod gofmt;
pub mod json;
pub mod merge;
mod shown;
pub mod strategic;

pub use json::JsonPatch;
pub use merge::MergePatch;
pub use shown::{Opened, show};
pub use strategic::StrategicPatch;

/// Deepest nesting of a patch and of what it makes of an object: what the decoder keeps. The functions here recurse
/// once per level of the patch.
pub const PATCH_DEPTH_MAX: usize = crate::codec::KEPT_DEPTH_MAX;

/// Why a patch is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is malformed: 400 `BadRequest` with this message.
    #[error("{0}")]
    BadRequest(String),
    /// The patch has too many operations: 413 with this message, after "Request entity too large: ".
    #[error("{0}")]
    TooLarge(String),
    /// An operation cannot be done on this object: 422 `Invalid` with the server's generic text. The text here is for
    /// the log.
    #[error("{0}")]
    Unprocessable(String),
    /// A strategic merge patch does not fit the object's type: 500 with this message, as the real server answers.
    #[error("{0}")]
    Internal(String),
}

#[cfg(test)]
mod recordings;
