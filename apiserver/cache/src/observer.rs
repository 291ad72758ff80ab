//! Observers: indexes that others derive from a resource and that must never be behind it.

use std::sync::Arc;

use crate::object::Object;

/// Is told of every change of a resource, in order, before readers see it: what a fence has brought to the resource,
/// it has brought to its observers. Runs in the task that applies events, so it must be quick and must not wait.
pub trait Observer: Send + Sync {
    /// These objects, and no others, are there now: at the registration, at the initial load, and behind a gap in the
    /// history.
    fn replaced(&self, objects: &[Arc<Object>]);

    /// One object changed. At least one of the two is there.
    fn changed(&self, before: Option<&Arc<Object>>, after: Option<&Arc<Object>>);
}
