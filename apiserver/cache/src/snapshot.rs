//! Snapshots: all objects of one resource at one revision, immutable, taken in O(1).

use std::sync::Arc;

use crate::error::StoreError;
use crate::object::Object;
use crate::ordered::{Ordered, Position};

/// Why there is no snapshot of the wanted revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The revision was compacted. 410 Expired.
    #[error("revision {wanted} has been compacted; the oldest is {oldest}")]
    Compacted { wanted: u64, oldest: u64 },
    /// The revision has not happened, or not reached this front-end.
    #[error("revision {wanted} is in the future; the current one is {current}")]
    Future { wanted: u64, current: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the applier publishes: the objects and the revision at which they last changed.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub objects: Ordered,
    pub changed: u64,
}

/// All objects of a resource as they were at one revision. Cheap to clone; holds on to the objects.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) state: Arc<State>,
    pub(crate) revision: u64,
}

impl Snapshot {
    /// The store's revision that this is the state of: the list's resourceVersion.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn len(&self) -> usize {
        self.state.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The object with this key (`<namespace>/<name>` or `<name>`).
    pub fn get(&self, key: &str) -> Option<&Arc<Object>> {
        self.state.objects.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.state.objects.iter()
    }

    /// The objects of a namespace (empty: of all) whose key is not less than `start` (empty: from the first).
    pub fn walk(&self, namespace: &str, start: &str) -> Walk {
        let objects = &self.state.objects;
        let (mut next, end) = match namespace {
            "" => (objects.start(), objects.end()),
            // '0' is the character behind '/'.
            _ => (objects.lower_bound(&format!("{namespace}/")), objects.lower_bound(&format!("{namespace}0"))),
        };
        if !start.is_empty() {
            next = next.max(objects.lower_bound(start));
        }
        Walk { snapshot: self.clone(), next, end }
    }

    /// The one object with this key, if there is one.
    pub fn walk_one(&self, key: &str) -> Walk {
        let objects = &self.state.objects;
        let next = objects.lower_bound(key);
        let end = match objects.at(next) {
            Some((object, behind)) if object.key() == key => behind,
            _ => next,
        };
        Walk { snapshot: self.clone(), next, end }
    }
}

/// A walk over a part of a snapshot, which it keeps alive. Copies nothing.
#[derive(Clone)]
pub struct Walk {
    snapshot: Snapshot,
    next: Position,
    end: Position,
}

impl Walk {
    /// The next object, borrowed from the snapshot.
    pub fn next_object(&mut self) -> Option<&Arc<Object>> {
        if self.next >= self.end {
            return None;
        }
        let (object, next) = self.snapshot.state.objects.at(self.next)?;
        self.next = next;
        Some(object)
    }

    /// The object that [`Walk::next_object`] would return.
    pub fn peek(&self) -> Option<&Arc<Object>> {
        if self.next >= self.end {
            return None;
        }
        self.snapshot.state.objects.at(self.next).map(|(object, _)| object)
    }

    /// How many objects are left.
    pub fn remaining(&self) -> usize {
        self.snapshot.state.objects.count(self.next, self.end)
    }

    /// Ends the walk behind the next `count` objects; returns how many were cut off.
    pub fn truncate(&mut self, count: usize) -> usize {
        let cut = self.remaining().saturating_sub(count);
        let mut end = self.next;
        if cut > 0 {
            for _ in 0..count {
                match self.snapshot.state.objects.at(end) {
                    Some((_, next)) => end = next,
                    None => break,
                }
            }
            self.end = end;
        }
        cut
    }

    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}
