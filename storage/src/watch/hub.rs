//! The ring of recent revisions. Publishing takes a lock for as long as it takes to push pointers; readers copy
//! pointers out and never hold publishing up.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::mvcc::RevisionEvents;

/// Recent events kept in memory. They only serve sessions that are a moment behind; the rest is on disk.
const RING_BYTES_MAX: usize = 2 << 20;
/// As [`RING_BYTES_MAX`], for small events.
const RING_REVISIONS_MAX: usize = 8_192;

/// How far the state machine is. All values only grow, but for an installed snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub applied_index: u64,
    pub revision: u64,
    pub compact_revision: u64,
}

/// What the ring has behind a position.
#[derive(Debug)]
pub enum Taken {
    /// Revisions in order, complete from the position on; empty when there are none yet. Up to `revision` nothing is
    /// left out.
    Events { revisions: Vec<Arc<RevisionEvents>>, up_to: u64 },
    /// The ring no longer reaches so far back.
    Behind,
}

/// The ring and the progress that wakes subscribers.
pub struct Hub {
    ring: RwLock<Ring>,
    progress: watch::Sender<Progress>,
}

/// Invariant: holds every revision in `(floor, newest]` that changed something.
struct Ring {
    revisions: VecDeque<Arc<RevisionEvents>>,
    bytes: usize,
    floor: u64,
    newest: u64,
}

fn cost(revision: &RevisionEvents) -> usize {
    revision.events.iter().map(|e| e.key.len() + e.value.len() + size_of_val(e)).sum()
}

impl Hub {
    pub fn new(progress: Progress) -> Self {
        let ring = Ring { revisions: VecDeque::new(), bytes: 0, floor: progress.revision, newest: progress.revision };
        Self { ring: RwLock::new(ring), progress: watch::Sender::new(progress) }
    }

    /// Adds revisions that are committed and written, then tells how far the state machine is.
    pub fn publish(&self, revisions: Vec<RevisionEvents>, progress: Progress) {
        if !revisions.is_empty() {
            let mut ring = self.ring.write();
            for revision in revisions {
                debug_assert!(revision.revision > ring.newest);
                ring.bytes += cost(&revision);
                ring.newest = revision.revision;
                ring.revisions.push_back(Arc::new(revision));
            }
            while ring.bytes > RING_BYTES_MAX || ring.revisions.len() > RING_REVISIONS_MAX {
                let Some(oldest) = ring.revisions.pop_front() else { break };
                ring.bytes -= cost(&oldest);
                ring.floor = oldest.revision;
            }
        }
        self.progress.send_replace(progress);
    }

    /// Starts again behind an installed snapshot: what led to it was never seen here.
    pub fn reset(&self, progress: Progress) {
        let mut ring = self.ring.write();
        *ring = Ring { revisions: VecDeque::new(), bytes: 0, floor: progress.revision, newest: progress.revision };
        drop(ring);
        self.progress.send_replace(progress);
    }

    /// Revisions after `after`, at least one if there is one, and about `bytes_max` of them at most.
    pub fn take(&self, after: u64, bytes_max: usize) -> Taken {
        let ring = self.ring.read();
        if after < ring.floor {
            return Taken::Behind;
        }
        let first = ring.revisions.partition_point(|r| r.revision <= after);
        let mut revisions = Vec::new();
        let mut bytes = 0;
        let mut up_to = ring.newest.max(after);
        for revision in ring.revisions.range(first..) {
            if bytes >= bytes_max {
                break;
            }
            bytes += cost(revision);
            revisions.push(revision.clone());
        }
        if let Some(last) = revisions.last() {
            up_to = last.revision;
        }
        Taken::Events { revisions, up_to }
    }

    /// How far the state machine is, and its changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// How far the state machine is now.
    pub fn now(&self) -> Progress {
        *self.progress.borrow()
    }
}

#[cfg(test)]
mod tests {
    use kuorum_proto::v1::Event;

    use super::*;

    fn publish(hub: &Hub, revision: u64, bytes: usize) {
        let event = Event { revision, value: vec![0; bytes].into(), ..Default::default() };
        let events = RevisionEvents { revision, events: vec![event] };
        hub.publish(vec![events], Progress { revision, ..Default::default() });
    }

    fn revisions(taken: Taken) -> Option<(Vec<u64>, u64)> {
        match taken {
            Taken::Events { revisions, up_to } => Some((revisions.iter().map(|r| r.revision).collect(), up_to)),
            Taken::Behind => None,
        }
    }

    #[test]
    fn a_reader_gets_everything_behind_its_position_or_is_told() {
        let hub = Hub::new(Progress { revision: 10, ..Default::default() });
        assert_eq!(revisions(hub.take(9, 1)), None);
        assert_eq!(revisions(hub.take(10, 1)), Some((vec![], 10)));
        publish(&hub, 11, 1);
        publish(&hub, 12, 1);
        assert_eq!(revisions(hub.take(10, usize::MAX)), Some((vec![11, 12], 12)));
        assert_eq!(revisions(hub.take(10, 1)), Some((vec![11], 11)), "at least one, whatever its size");
        assert_eq!(revisions(hub.take(12, 1)), Some((vec![], 12)));
        publish(&hub, 13, RING_BYTES_MAX);
        assert_eq!(revisions(hub.take(11, 1)), None, "pushed out by a big one");
        assert_eq!(hub.now().revision, 13);
        hub.reset(Progress { revision: 50, ..Default::default() });
        assert_eq!(revisions(hub.take(13, 1)), None);
    }

    #[test]
    fn the_ring_is_bounded() {
        let hub = Hub::new(Progress::default());
        for revision in 1..=2 * RING_REVISIONS_MAX as u64 {
            publish(&hub, revision, 0);
        }
        let ring = hub.ring.read();
        assert!(ring.revisions.len() <= RING_REVISIONS_MAX && ring.bytes <= RING_BYTES_MAX);
        assert_eq!(ring.floor + 1, ring.revisions[0].revision);
    }
}
