//! One reader of events: its position, its prefix, and the choice between memory and disk.

use std::sync::Arc;

use bytes::Bytes;
use kuorum_proto::v1::Event;
use tokio::sync::watch;

use super::hub::{Progress, Taken};
use crate::machine::Store;
use crate::mvcc::{self, RevisionEvents};

/// Payload of one delivery. Small enough that messages of several sessions interleave, big enough to be efficient.
const DELIVERY_BYTES_MAX: usize = 512 << 10;

/// What a subscriber gets at a time: whole revisions, in order.
#[derive(Debug)]
pub struct Delivery {
    pub events: Vec<Event>,
    /// Everything under the prefix up to this revision has now been delivered.
    pub up_to: u64,
}

/// Sees each event under its prefix once, in revision order, from its starting position on.
pub struct Subscriber {
    store: Arc<Store>,
    progress: watch::Receiver<Progress>,
    prefix: Bytes,
    position: u64,
}

impl Subscriber {
    /// Events with a revision greater than `after` follow.
    pub fn new(store: Arc<Store>, prefix: Bytes, after: u64) -> Self {
        let progress = store.hub().progress();
        Self { store, progress, prefix, position: after }
    }

    /// Everything up to here was delivered.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Resolves when the state machine has moved since the last call.
    pub async fn moved(&mut self) {
        // The hub lives as long as the store that we hold, so the sender cannot be gone.
        let _ = self.progress.changed().await;
    }

    /// What there is behind the position; `None` when there is nothing.
    ///
    /// # Errors
    /// [`mvcc::Error::Compacted`] when events behind the position are gone.
    pub async fn next(&mut self) -> mvcc::Result<Option<Delivery>> {
        match self.store.hub().take(self.position, DELIVERY_BYTES_MAX) {
            Taken::Events { up_to, .. } if up_to == self.position => Ok(None),
            Taken::Events { revisions, up_to } => {
                let events = revisions.iter().flat_map(|r| r.events.iter());
                let events = events.filter(|e| e.key.starts_with(&self.prefix)).cloned().collect();
                self.position = up_to;
                Ok(Some(Delivery { events, up_to }))
            }
            Taken::Behind => {
                let (store, prefix, after) = (self.store.clone(), self.prefix.clone(), self.position);
                let read = move || store.history(&prefix, after, u64::MAX, false, DELIVERY_BYTES_MAX);
                let (revisions, up_to) = tokio::task::spawn_blocking(read).await.map_err(|e| {
                    mvcc::Error::Engine(crate::engine::Error::Database {
                        operation: "read history",
                        message: e.to_string(),
                    })
                })??;
                self.position = up_to;
                Ok(Some(Delivery { events: flatten(revisions), up_to }))
            }
        }
    }
}

fn flatten(revisions: Vec<RevisionEvents>) -> Vec<Event> {
    revisions.into_iter().flat_map(|r| r.events).collect()
}
