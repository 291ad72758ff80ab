//! The watch side of a resource: a ring of shared events, buckets of watchers, a cursor per watcher.
//!
//! An event is put into the buckets whose watchers it may concern (by object, by field, by namespace, all), so its
//! cost follows the watchers that match. A watcher that falls behind the ring is told so; it never delays another.

mod bucket;
mod event;
mod hub;
mod watcher;

pub use event::{Event, EventType};
pub(crate) use hub::Hub;
pub(crate) use watcher::watch_selection;
pub use watcher::{Chunk, ChunkLimits, Format, JsonLines, WatchEnd, Watcher};

use std::sync::Arc;

use crate::error::StoreError;
use crate::object::Object;

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// With an ADDED for every current object; then what changes.
    State,
    /// With what changed behind this revision.
    After(u64),
}

/// Which objects of the resource are watched, as far as the index knows. Empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// A selectable field (its index in the resource) and the value that it must have.
    pub field: Option<(usize, String)>,
}

impl Scope {
    pub fn matches(&self, object: &Object) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| namespace == object.namespace())
            && self.name.as_deref().is_none_or(|name| name == object.name())
            && self.field.as_ref().is_none_or(|(index, value)| value == object.field(*index))
    }
}

/// What is selected beyond the [`Scope`].
pub type Filter = Arc<dyn Fn(&Object) -> bool + Send + Sync>;

/// Why a watch cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// What happened behind this revision is no longer known. 410 Expired.
    #[error("revision {wanted} is too old; the oldest is {oldest}")]
    Expired { wanted: u64, oldest: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}
