//! The store over gRPC: a session that follows the log, a stream of transactions, and reads of the past.

pub mod connect;
mod contact;
mod fence;
mod members;
mod read;
mod session;
mod write;

use std::sync::{Arc, Weak};
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::connect::Config;
use self::contact::Contact;
use self::fence::Fences;
use self::members::Members;
use self::write::Writer;
use crate::error::StoreError;
use crate::store::Inner;
use crate::txn::{CommitOutcome, Txn};

/// The largest message that is taken from a member: a batch of events may carry many objects.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 << 20;

pub(crate) struct Remote {
    store: Weak<Inner>,
    members: Arc<Members>,
    fences: Arc<Fences>,
    writer: Arc<Writer>,
    contact: Arc<Contact>,
    stop: CancellationToken,
    /// Ends the background tasks when the store is dropped.
    _stop_on_drop: DropGuard,
}

impl Remote {
    pub fn new(config: Config, store: Weak<Inner>) -> Self {
        let stop = CancellationToken::new();
        let contact = Arc::new(Contact::new());
        Remote {
            store,
            writer: Arc::new(Writer::new(config.client_id, contact.clone())),
            members: Arc::new(Members::new(config)),
            fences: Arc::new(Fences::new(contact.clone())),
            contact,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Spawns the two background tasks.
    pub fn start(&self) {
        let session = session::run(self.store.clone(), self.members.clone(), self.fences.clone(), self.contact.clone());
        let writes = write::run(self.writer.clone(), self.members.clone());
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(session));
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(writes));
    }

    /// Whether a leader has answered lately.
    pub fn available(&self) -> bool {
        !self.contact.lost()
    }

    pub async fn fence(&self, deadline: Instant) -> Result<u64, StoreError> {
        self.fences.wait(deadline).await
    }

    pub async fn commit(&self, txn: Txn, deadline: Instant) -> Result<CommitOutcome, StoreError> {
        let store = self.store.upgrade().ok_or(StoreError::Deadline)?;
        self.writer.commit(txn, deadline, &store).await
    }
}

/// Half to all of a pause: front-ends that lost the same member do not come back in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.0))
}
