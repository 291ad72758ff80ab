//! Linearizable reads: callers that wait together share one round of ReadIndex; a follower asks the leader.

use std::{sync::Arc, time::Duration};

use kuorum_proto::v1;
use openraft::{
    Raft, ReadPolicy,
    async_runtime::watch::WatchReceiver,
    errors::{ForwardToLeader, LinearizableReadError, RaftError},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    machine::Machine,
    network::client::{Transport, within},
    node::ReadError,
    ports::{Member, NodeId, StateMachine},
    types::TypeConfig,
};

/// Reads that may wait for the next round. They cost a few bytes each; the callers bound themselves far below this.
const WAITING_MAX: usize = 64 * 1024;
/// A round that finds no leader is tried again until this has passed: longer than most elections; callers ask again.
const ROUND_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the leader may take to answer a follower.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a round waits for news of a leader before it asks again all the same.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

type Waiter = oneshot::Sender<Result<u64, ReadError>>;
type Config<M> = TypeConfig<<M as StateMachine>::Response>;

/// Where reads ask for an index. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ReadIndex {
    any: mpsc::Sender<Waiter>,
    local: mpsc::Sender<Waiter>,
}

impl ReadIndex {
    /// Starts the two tasks that run the rounds; they end when the last handle is dropped.
    pub(crate) fn spawn<M: StateMachine>(raft: Raft<Config<M>, Machine<M>>, transport: Arc<Transport>) -> Self {
        let (any, any_waiting) = mpsc::channel(WAITING_MAX);
        let (local, local_waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run_rounds(Round { raft: raft.clone(), forward: Some(transport) }, any_waiting));
        tokio::spawn(run_rounds(Round::<M> { raft, forward: None }, local_waiting));
        Self { any, local }
    }

    /// An index from whoever leads.
    pub(crate) async fn any(&self) -> Result<u64, ReadError> {
        wait(&self.any).await
    }

    /// An index from this member, if it leads.
    pub(crate) async fn local(&self) -> Result<u64, ReadError> {
        wait(&self.local).await
    }
}

async fn wait(queue: &mpsc::Sender<Waiter>) -> Result<u64, ReadError> {
    let (tx, rx) = oneshot::channel();
    queue.send(tx).await.map_err(|_| ReadError::Stopped)?;
    rx.await.unwrap_or(Err(ReadError::Stopped))
}

/// One round after another, each for everybody who was waiting when it began.
async fn run_rounds<M: StateMachine>(round: Round<M>, mut queue: mpsc::Receiver<Waiter>) {
    let mut waiters = Vec::new();
    while queue.recv_many(&mut waiters, WAITING_MAX).await > 0 {
        let outcome = round.run().await;
        for waiter in waiters.drain(..) {
            let _ = waiter.send(outcome.clone());
        }
    }
}

struct Round<M: StateMachine> {
    raft: Raft<Config<M>, Machine<M>>,
    /// How to ask the leader; `None`: only this member's own leadership counts.
    forward: Option<Arc<Transport>>,
}

impl<M: StateMachine> Round<M> {
    async fn run(&self) -> Result<u64, ReadError> {
        let deadline = Instant::now() + ROUND_TIMEOUT;
        loop {
            let reason = match self.attempt().await {
                Err(ReadError::NoLeader(reason)) => reason,
                outcome => return outcome,
            };
            if self.forward.is_none() || Instant::now() >= deadline {
                return Err(ReadError::NoLeader(reason));
            }
            let mut changes = self.raft.server_metrics();
            let _ = changes.borrow_and_update();
            let _ = tokio::time::timeout(RETRY_INTERVAL, changes.changed()).await;
        }
    }

    async fn attempt(&self) -> Result<u64, ReadError> {
        let error = match self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(read) => return Ok(read.read_log_id().index()),
            Err(RaftError::Fatal(_)) => return Err(ReadError::Stopped),
            Err(RaftError::APIError(error)) => error,
        };
        match (&self.forward, error) {
            (
                Some(transport),
                LinearizableReadError::ForwardToLeader(ForwardToLeader {
                    leader_id: Some(id),
                    leader_node: Some(leader),
                    ..
                }),
            ) if id != transport.id => ask(transport, id, &leader).await,
            (_, error) => Err(ReadError::NoLeader(error.to_string())),
        }
    }
}

async fn ask(transport: &Transport, id: NodeId, leader: &Member) -> Result<u64, ReadError> {
    let no_answer = |reason: String| ReadError::NoLeader(format!("{} does not answer: {reason}", leader.name));
    let mut client = transport.control(id, leader).map_err(|e| no_answer(e.to_string()))?;
    let answer = client.read_index(transport.request(id, v1::ReadIndexRequest {}));
    let answer = within(ASK_TIMEOUT, answer).await.map_err(|e| no_answer(e.message().to_owned()))?;
    Ok(answer.index)
}
