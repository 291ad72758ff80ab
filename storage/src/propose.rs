//! Group commit: whatever transactions are waiting become one log entry. An idle store takes one at once; a busy one
//! fills entries while the earlier ones are on their way, so the cost of an fsync and a round is shared by many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kuorum_proto::v1::{self, command, op, txn_result};
use kuorum_raft::{Node, ProposeError};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::machine::{Machine, Store};
use crate::mvcc::{Alarm, Applied};

/// Transactions of one entry: enough to make an entry's fixed cost small, few enough to apply within a millisecond.
const BATCH_TXNS_MAX: usize = 512;
/// Bytes of one entry, but for a single transaction that is bigger: so that replication stays smooth.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Entries in flight. While they are under way the next one fills, so a small number is what makes groups; more than
/// one keeps the disk and the network busy at the same time.
const ENTRIES_IN_FLIGHT_MAX: usize = 2;
/// Transactions waiting for a place in an entry. Beyond it submitters wait, and flow control reaches the clients.
const QUEUE_MAX: usize = 4_096;

/// An entry that takes longer has lost its quorum, or a disk stands still: its submitters are told that the outcome is
/// unknown, and no further entry is made. Longer than a loaded disk takes, shorter than a front-end's patience.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// The answer to a submitted transaction.
#[derive(Debug)]
pub enum Reply {
    Result(v1::TxnResult),
    /// It was not proposed; another member leads.
    NotLeader,
}

struct Pending {
    txn: command::ClientTxn,
    seq: u64,
    bytes: usize,
    puts: bool,
    reply: mpsc::UnboundedSender<Reply>,
}

/// Where transactions are handed in. Cheap to clone.
#[derive(Clone)]
pub struct Proposer {
    queue: mpsc::Sender<Pending>,
}

impl Proposer {
    /// Starts the task that makes entries; it ends when the last clone is dropped.
    pub fn start(node: Arc<Node<Machine>>, store: Arc<Store>, member_id: u64, quota_bytes: u64) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let in_flight = Arc::new(Semaphore::new(ENTRIES_IN_FLIGHT_MAX));
        let worker = Worker {
            node,
            store,
            member_id,
            quota_bytes,
            in_flight,
            unapplied: Arc::default(),
            raising: Arc::default(),
        };
        tokio::spawn(worker.run(waiting));
        Self { queue }
    }

    /// Queues a transaction; its answer will come through `reply`, also when it cannot be proposed. Waits while the
    /// queue is full. Returns false when the member has stopped.
    pub async fn submit(
        &self,
        client_id: Bytes,
        acked_below: u64,
        txn: v1::Txn,
        reply: mpsc::UnboundedSender<Reply>,
    ) -> bool {
        let (seq, bytes) = (txn.seq, txn.encoded_len());
        let puts = txn.ops.iter().any(|op| matches!(op.op, Some(op::Op::Put(_))));
        let txn = command::ClientTxn { client_id, acked_below, txn: Some(txn) };
        self.queue.send(Pending { txn, seq, bytes, puts, reply }).await.is_ok()
    }
}

/// Milliseconds since the epoch: the leader's clock, the only one in the replicated state.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

struct Worker {
    node: Arc<Node<Machine>>,
    store: Arc<Store>,
    member_id: u64,
    quota_bytes: u64,
    in_flight: Arc<Semaphore>,
    /// Bytes of puts that are proposed and not yet in the counters.
    unapplied: Arc<AtomicU64>,
    raising: Arc<std::sync::atomic::AtomicBool>,
}

impl Worker {
    async fn run(self, mut waiting: mpsc::Receiver<Pending>) {
        let mut next = None;
        // How long an entry may wait for a place; none once it has waited in vain, until there is a place again.
        let mut patience = STALLED_AFTER;
        loop {
            let first: Pending = match next.take() {
                Some(pending) => pending,
                None => match waiting.recv().await {
                    Some(pending) => pending,
                    None => return,
                },
            };
            let permit = match tokio::time::timeout(patience, self.in_flight.clone().acquire_owned()).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(_)) => return,
                Err(_) => {
                    patience = Duration::ZERO;
                    refuse(first);
                    while let Ok(pending) = waiting.try_recv() {
                        refuse(pending);
                    }
                    continue;
                }
            };
            patience = STALLED_AFTER;
            let mut bytes = first.bytes;
            let mut group = vec![first];
            while group.len() < BATCH_TXNS_MAX {
                match waiting.try_recv() {
                    Ok(pending) if bytes + pending.bytes > BATCH_BYTES_MAX => {
                        next = Some(pending);
                        break;
                    }
                    Ok(pending) => {
                        bytes += pending.bytes;
                        group.push(pending);
                    }
                    Err(_) => break,
                }
            }
            self.refuse_over_quota(&mut group);
            if !group.is_empty() {
                self.propose(group, permit).await;
            }
        }
    }

    /// Over the quota the leader takes no more puts, and raises the alarm that makes every later leader do the same.
    fn refuse_over_quota(&self, group: &mut Vec<Pending>) {
        let room = |bytes: u64| {
            let used = self.store.counters().used_bytes + self.unapplied.load(Ordering::Relaxed);
            used.saturating_add(bytes) <= self.quota_bytes
        };
        let bytes: usize = group.iter().filter(|p| p.puts).map(|p| p.bytes).sum();
        if bytes == 0 || room(bytes as u64) || self.node.status().borrow().leader != Some(self.member_id) {
            return;
        }
        let mut admitted = 0;
        group.retain(|pending| {
            if !pending.puts || room(admitted + pending.bytes as u64) {
                admitted += if pending.puts { pending.bytes as u64 } else { 0 };
                return true;
            }
            let code = txn_result::rejected::Code::NoSpace;
            let _ = pending.reply.send(rejected(pending.seq, code, "database space exceeded"));
            false
        });
        self.raise_alarm();
    }

    fn raise_alarm(&self) {
        let raised = self.store.counters().alarms.iter().any(|a| a.kind == Alarm::NO_SPACE);
        if raised || self.raising.swap(true, Ordering::Relaxed) {
            return;
        }
        let (node, raising, member_id) = (self.node.clone(), self.raising.clone(), self.member_id);
        tokio::spawn(async move {
            let alarm = command::SetAlarm { member_id, kind: Alarm::NO_SPACE.into(), active: true };
            match propose(&node, command::Body::Alarm(alarm)).await {
                Ok(_) => tracing::error!("quota exceeded: alarm NOSPACE raised, puts are refused until it is disarmed"),
                Err(error) => tracing::warn!(%error, "could not raise the NOSPACE alarm"),
            }
            raising.store(false, Ordering::Relaxed);
        });
    }

    async fn propose(&self, group: Vec<Pending>, permit: OwnedSemaphorePermit) {
        metrics::histogram!("kuorum_group_commit_transactions").record(group.len() as f64);
        let bytes: usize = group.iter().filter(|p| p.puts).map(|p| p.bytes).sum();
        let (txns, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|p| (p.txn, (p.seq, p.reply))).unzip();
        let command = v1::Command { time_unix_ms: now_ms(), body: Some(command::Body::Batch(command::Batch { txns })) };
        let applied = match self.node.propose(command.encode_to_vec().into()).await {
            Ok(applied) => applied,
            Err(error) => return answer(replies, Err(error)),
        };
        self.unapplied.fetch_add(bytes as u64, Ordering::Relaxed);
        let unapplied = self.unapplied.clone();
        tokio::spawn(async move {
            let mut applied = std::pin::pin!(applied);
            match tokio::time::timeout(STALLED_AFTER, &mut applied).await {
                Ok(outcome) => answer(replies, outcome.map(|(_, response)| response)),
                Err(_) => {
                    answer(replies, Err(ProposeError::OutcomeUnknown));
                    // Its place stays taken: more entries would only make the wait longer.
                    let _ = applied.await;
                }
            }
            unapplied.fetch_sub(bytes as u64, Ordering::Relaxed);
            drop(permit);
        });
    }
}

fn rejected(seq: u64, code: txn_result::rejected::Code, message: &str) -> Reply {
    let rejected = txn_result::Rejected { code: code as i32, message: message.into() };
    Reply::Result(v1::TxnResult { seq, outcome: Some(txn_result::Outcome::Rejected(rejected)) })
}

/// Nothing was proposed, and nothing can be for now: the submitter may ask elsewhere, or here again.
fn refuse(pending: Pending) {
    let _ = pending.reply.send(Reply::NotLeader);
}

/// Gives each submitter its answer. One that is gone does not matter.
fn answer(replies: Vec<(u64, mpsc::UnboundedSender<Reply>)>, outcome: Result<Applied, ProposeError>) {
    match outcome {
        Ok(Applied::Txns(results)) if results.len() == replies.len() => {
            for ((_, reply), result) in replies.into_iter().zip(results) {
                let _ = reply.send(Reply::Result(result));
            }
        }
        Err(ProposeError::NotLeader(_)) => {
            for (_, reply) in replies {
                let _ = reply.send(Reply::NotLeader);
            }
        }
        outcome => {
            use txn_result::rejected::Code;
            let (code, message) = match outcome {
                Err(error @ ProposeError::TooLarge(_)) => (Code::TooLarge, error.to_string()),
                Err(error) => (Code::OutcomeUnknown, error.to_string()),
                Ok(_) => (Code::OutcomeUnknown, "the entry was applied as something else".to_string()),
            };
            for (seq, reply) in replies {
                let _ = reply.send(rejected(seq, code, &message));
            }
        }
    }
}

/// Proposes a command that stands alone, and waits for its answer.
///
/// # Errors
/// As [`Node::propose`].
pub async fn propose(node: &Node<Machine>, body: command::Body) -> Result<Applied, ProposeError> {
    let command = v1::Command { time_unix_ms: now_ms(), body: Some(body) };
    let (_, applied) = node.propose(command.encode_to_vec().into()).await?.await?;
    Ok(applied)
}
