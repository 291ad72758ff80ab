//! Linearizable reads: every reader that waits when a round starts shares its read index.

use std::sync::Arc;
use std::time::Duration;

use kuorum_raft::{Node, ReadError};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::machine::{Machine, Store};

/// Rounds under way. More than one, so that a reader that comes just after a round began does not wait for its end.
const ROUNDS_MAX: usize = 4;
/// A round that takes longer has no quorum: readers are told, instead of waiting for ever.
const ROUND_TIMEOUT: Duration = Duration::from_secs(3);

type Answer = Result<u64, ReadError>;

/// Where readers ask. Cheap to clone.
#[derive(Clone)]
pub struct Fences {
    waiting: mpsc::UnboundedSender<oneshot::Sender<Answer>>,
}

impl Fences {
    /// Starts the task that runs rounds; it ends when the last clone is dropped.
    pub fn start(node: Arc<Node<Machine>>, store: Arc<Store>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(run(node, store, receiver));
        Self { waiting: sender }
    }

    /// A revision that this member has applied, and that holds everything acknowledged before the call.
    ///
    /// # Errors
    /// No leader confirmed it in time.
    pub async fn read(&self) -> Answer {
        let (sender, receiver) = oneshot::channel();
        self.waiting.send(sender).map_err(|_| ReadError::Stopped)?;
        receiver.await.unwrap_or(Err(ReadError::Stopped))
    }
}

async fn run(
    node: Arc<Node<Machine>>,
    store: Arc<Store>,
    mut waiting: mpsc::UnboundedReceiver<oneshot::Sender<Answer>>,
) {
    let rounds = Arc::new(Semaphore::new(ROUNDS_MAX));
    while let Some(first) = waiting.recv().await {
        let Ok(permit) = rounds.clone().acquire_owned().await else { return };
        let mut readers = vec![first];
        while let Ok(reader) = waiting.try_recv() {
            readers.push(reader);
        }
        let (node, store) = (node.clone(), store.clone());
        tokio::spawn(async move {
            let round = async {
                let index = node.read_index().await?;
                node.wait_applied(index).await?;
                Ok(store.hub().now().revision)
            };
            let answer = tokio::time::timeout(ROUND_TIMEOUT, round).await;
            let answer = answer.unwrap_or_else(|_| Err(ReadError::NoLeader("no quorum in time".into())));
            drop(permit);
            for reader in readers {
                let _ = reader.send(answer.clone());
            }
        });
    }
}
