//! One change of one object, shared by all watchers.

use std::sync::{Arc, OnceLock};

use crate::object::Object;

/// What a change is to a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
}

impl EventType {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Added => "ADDED",
            EventType::Modified => "MODIFIED",
            EventType::Deleted => "DELETED",
        }
    }
}

/// One change: what the object was before, and what it is now. At least one of them is there.
#[derive(Debug)]
pub struct Event {
    /// Place in the resource's sequence of events: decides when a bucket forgets it.
    pub(super) sequence: u64,
    revision: u64,
    before: Option<Arc<Object>>,
    after: Option<Arc<Object>>,
    /// `before` at this event's revision, made for the first watcher that needs it.
    gone: OnceLock<Arc<Object>>,
}

impl Event {
    pub(crate) fn new(sequence: u64, revision: u64, before: Option<Arc<Object>>, after: Option<Arc<Object>>) -> Self {
        Event { sequence, revision, before, after, gone: OnceLock::new() }
    }

    /// The store's revision that made the change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn before(&self) -> Option<&Arc<Object>> {
        self.before.as_ref()
    }

    pub fn after(&self) -> Option<&Arc<Object>> {
        self.after.as_ref()
    }

    /// What the change is to a watcher of the objects that `selects` holds for, and the object to show: the new one,
    /// or the last selected one under this event's revision.
    pub fn seen_by(&self, selects: impl Fn(&Object) -> bool) -> Option<(EventType, &Arc<Object>)> {
        let before = self.before.as_ref().filter(|object| selects(object));
        let after = self.after.as_ref().filter(|object| selects(object));
        match (before, after) {
            (None, None) => None,
            (None, Some(object)) => Some((EventType::Added, object)),
            (Some(_), Some(object)) => Some((EventType::Modified, object)),
            (Some(object), None) => {
                Some((EventType::Deleted, self.gone.get_or_init(|| Arc::new(object.at_revision(self.revision)))))
            }
        }
    }

    /// Bytes of memory that the ring holds only because of this event, about. The new object is usually held anyway.
    pub(super) fn memory_bytes(&self) -> usize {
        // A deletion makes a second copy of the object under the new revision.
        let copies = if self.after.is_none() { 2 } else { 1 };
        size_of::<Self>() + self.before.as_ref().map_or(0, |object| object.memory_bytes() * copies)
    }
}
