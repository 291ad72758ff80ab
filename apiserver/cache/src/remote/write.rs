//! Transactions: one stream to the leader, many in flight, each applied at most once.
//!
//! A transaction keeps its sequence number through every retry, and the store remembers what it did with it. What was
//! sent and not answered when its caller's patience ends is reported as unknown; nothing else is. Patience lasts as
//! long as the leader answers others.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream;
use kuorum_proto::v1;
use kuorum_proto::v1::store_client::StoreClient;
use kuorum_proto::v1::txn_result::Outcome;
use kuorum_proto::v1::txn_result::rejected::Code as RejectedCode;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::MESSAGE_BYTES_MAX;
use super::contact::{Contact, PATIENCE};
use super::members::Members;
use crate::error::StoreError;
use crate::store::Inner;
use crate::txn::{CommitOutcome, Txn};

/// Transactions of one message: the store proposes them together.
const BATCH_TXNS_MAX: usize = 1024;
/// And their bytes; one larger transaction travels alone.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Transactions that wait for an answer; more are refused at once. At 3 MiB a body this is the bound that matters
/// only when the store stands still: the API server admits fewer requests than that.
const PENDING_MAX: usize = 8192;
/// How long an answer that is on its way is waited for when patience has ended. Shorter than a pause between streams.
const REFUSAL_WAIT: Duration = Duration::from_millis(100);
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

pub(crate) struct Writer {
    client_id: bytes::Bytes,
    contact: Arc<Contact>,
    state: Mutex<State>,
    /// There is something to send and no stream.
    wanted: Notify,
}

#[derive(Default)]
struct State {
    last_seq: u64,
    /// Not answered, by sequence number.
    pending: BTreeMap<u64, Pending>,
    /// Sequence numbers up to here have been sent on the current stream.
    sent_through: u64,
    /// Counts streams: the requests of an earlier one send nothing more.
    stream: u64,
    waker: Option<Waker>,
    /// When a transaction was last decided.
    decided: Option<Instant>,
    trouble: String,
}

struct Pending {
    txn: v1::Txn,
    bytes: usize,
    done: oneshot::Sender<Outcome>,
    /// Set before the transaction is handed to a stream; shared with the caller.
    maybe_applied: Arc<AtomicBool>,
    /// An earlier stream broke with this transaction on it.
    unknown: bool,
}

impl Writer {
    pub fn new(client_id: [u8; 16], contact: Arc<Contact>) -> Self {
        let client_id = bytes::Bytes::copy_from_slice(&client_id);
        Writer { client_id, contact, state: Mutex::default(), wanted: Notify::new() }
    }

    pub async fn commit(&self, txn: Txn, deadline: Instant, store: &Inner) -> Result<CommitOutcome, StoreError> {
        if deadline <= Instant::now() {
            return Err(StoreError::Deadline);
        }
        let maybe_applied = Arc::new(AtomicBool::new(false));
        let mut answer = self.enqueue(txn, maybe_applied.clone())?;
        let mut until = deadline.min(Instant::now() + self.contact.patience());
        let mut answered = tokio::time::timeout_at(until, &mut answer).await;
        while answered.is_err() {
            // While others are decided, the store works, if slowly.
            let later = deadline.min(self.decided().map_or(until, |decided| decided + PATIENCE));
            if later <= until {
                break;
            }
            until = later;
            answered = tokio::time::timeout_at(until, &mut answer).await;
        }
        if answered.is_err() && maybe_applied.load(Ordering::SeqCst) {
            // A refusal that is on its way makes the difference between "not written" and "unknown".
            answered = tokio::time::timeout_at(deadline.min(until + REFUSAL_WAIT), &mut answer).await;
        }
        match answered {
            Ok(Ok(outcome)) => outcome_of(outcome, store).await,
            _ => {
                // Closed first, then asked: what the stream has not taken by now, it will not take.
                answer.close();
                if let Ok(outcome) = answer.try_recv() {
                    return outcome_of(outcome, store).await;
                }
                let trouble = self.trouble();
                match maybe_applied.load(Ordering::SeqCst) {
                    true => Err(StoreError::OutcomeUnknown(trouble)),
                    false => Err(StoreError::Unavailable(trouble)),
                }
            }
        }
    }

    fn enqueue(&self, txn: Txn, maybe_applied: Arc<AtomicBool>) -> Result<oneshot::Receiver<Outcome>, StoreError> {
        let (done, answer) = oneshot::channel();
        let mut txn = v1::Txn { seq: 0, compares: txn.compares, ops: txn.ops };
        let bytes = txn.encoded_len();
        let mut state = self.state.lock();
        if state.pending.len() >= PENDING_MAX {
            return Err(StoreError::Overloaded(format!("{PENDING_MAX} transactions are waiting")));
        }
        state.last_seq += 1;
        txn.seq = state.last_seq;
        state.pending.insert(txn.seq, Pending { txn, bytes, done, maybe_applied, unknown: false });
        let waker = state.waker.take();
        drop(state);
        match waker {
            Some(waker) => waker.wake(),
            None => self.wanted.notify_one(),
        }
        Ok(answer)
    }

    fn decided(&self) -> Option<Instant> {
        self.state.lock().decided
    }

    fn trouble(&self) -> String {
        let state = self.state.lock();
        if state.trouble.is_empty() { "no leader answers".to_owned() } else { state.trouble.clone() }
    }

    /// Begins a stream: everything that is not answered is sent on it.
    fn open(self: &Arc<Self>) -> Requests {
        let mut state = self.state.lock();
        state.stream += 1;
        state.sent_through = 0;
        state.waker = None;
        Requests { writer: self.clone(), stream: state.stream }
    }

    /// Ends the stream. `proposed`: whether what was sent on it may have been proposed.
    fn close(&self, trouble: &str, proposed: bool) {
        metrics::counter!("kuorum_store_write_streams_lost_total").increment(1);
        let mut state = self.state.lock();
        state.stream += 1;
        state.trouble = trouble.to_owned();
        let sent_through = std::mem::take(&mut state.sent_through);
        for (_, pending) in state.pending.range_mut(..=sent_through) {
            pending.unknown |= proposed && pending.maybe_applied.load(Ordering::SeqCst);
            pending.maybe_applied.store(pending.unknown, Ordering::SeqCst);
        }
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether somebody waits; forgets those who gave up.
    fn has_work(&self) -> bool {
        let mut state = self.state.lock();
        state.pending.retain(|_, pending| !pending.done.is_closed());
        !state.pending.is_empty()
    }

    /// Hands out answers. Whether one of them decides a transaction.
    fn answered(&self, results: Vec<v1::TxnResult>) -> bool {
        let mut decided = false;
        let mut state = self.state.lock();
        for result in results {
            let Some(outcome) = result.outcome else { continue };
            if is_unknown(&outcome) {
                // The store ends the stream behind such an answer, and applies a transaction at most once: asked
                // again on the next stream, it tells what became of it.
                if let Some(pending) = state.pending.get_mut(&result.seq) {
                    pending.unknown = true;
                }
                continue;
            }
            decided = true;
            if let Some(pending) = state.pending.remove(&result.seq) {
                // A caller that gave up has dropped its end.
                let _ = pending.done.send(outcome);
            }
        }
        if decided {
            state.decided = Some(Instant::now());
            self.contact.made();
        }
        decided
    }
}

fn is_unknown(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected(rejected) if rejected.code() == RejectedCode::OutcomeUnknown)
}

async fn outcome_of(outcome: Outcome, store: &Inner) -> Result<CommitOutcome, StoreError> {
    match outcome {
        Outcome::Committed(revision) => Ok(CommitOutcome::Committed(revision)),
        Outcome::Failed(failed) => {
            store.prepare_kvs(failed.current.as_slice()).await;
            store.outcome_conflict(failed.index as usize, failed.current, failed.revision)
        }
        Outcome::Rejected(rejected) => {
            let code = rejected.code();
            let message = rejected.message;
            Err(match code {
                RejectedCode::NoSpace => StoreError::NoSpace(message),
                RejectedCode::TooLarge => StoreError::TooLarge(message),
                RejectedCode::Overloaded => StoreError::Overloaded(message),
                RejectedCode::StaleSequence | RejectedCode::OutcomeUnknown => StoreError::OutcomeUnknown(message),
                RejectedCode::Unknown => StoreError::Internal(message),
            })
        }
    }
}

/// The requests of one stream: whatever waits when the connection can take more, in one message.
struct Requests {
    writer: Arc<Writer>,
    stream: u64,
}

impl Stream for Requests {
    type Item = v1::WriteRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<v1::WriteRequest>> {
        let mut state = self.writer.state.lock();
        if state.stream != self.stream {
            return Poll::Ready(None);
        }
        let state = &mut *state;
        let mut txns = Vec::new();
        let mut bytes = 0;
        let mut given_up = Vec::new();
        for (seq, pending) in state.pending.range(state.sent_through + 1..) {
            if txns.len() >= BATCH_TXNS_MAX || (bytes + pending.bytes > BATCH_BYTES_MAX && !txns.is_empty()) {
                break;
            }
            state.sent_through = *seq;
            pending.maybe_applied.store(true, Ordering::SeqCst);
            if pending.done.is_closed() {
                given_up.push(*seq);
                continue;
            }
            bytes += pending.bytes;
            txns.push(pending.txn.clone());
        }
        for seq in given_up {
            state.pending.remove(&seq);
        }
        if txns.is_empty() {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let acked_below = state.pending.first_key_value().map_or(state.last_seq + 1, |(seq, _)| *seq);
        Poll::Ready(Some(v1::WriteRequest { client_id: self.writer.client_id.clone(), acked_below, txns }))
    }
}

/// Why a stream ended.
enum Ended {
    /// Nothing that is unanswered was proposed by this member.
    NotLeader(Option<v1::Leader>),
    Broken(String),
}

/// Keeps a stream to the leader while there is something to write, until the store is dropped.
pub(crate) async fn run(writer: Arc<Writer>, members: Arc<Members>) {
    let mut attempt = 0;
    let mut backoff = BACKOFF_MIN;
    loop {
        while !writer.has_work() {
            writer.wanted.notified().await;
        }
        let Some(url) = members.pick(attempt) else {
            return;
        };
        let mut worked = false;
        match stream(&writer, &members, &url, &mut worked).await {
            Ended::NotLeader(leader) => {
                writer.close("no member leads for now", false);
                let hint = leader.filter(|leader| !leader.client_urls.is_empty());
                match hint {
                    // At once, the first time.
                    Some(leader) if attempt == 0 => {
                        members.learn(&leader);
                        attempt = 2;
                        continue;
                    }
                    Some(leader) => members.learn(&leader),
                    None => members.forget_leader(&url),
                }
            }
            Ended::Broken(why) => {
                tracing::warn!(%url, reason = %why, "lost the stream of transactions");
                writer.close(&why, true);
                members.discard(&url);
                members.forget_leader(&url);
            }
        }
        (attempt, backoff) = if worked { (0, BACKOFF_MIN) } else { (attempt + 1, (backoff * 2).min(BACKOFF_MAX)) };
        tokio::time::sleep(super::jittered(backoff)).await;
    }
}

async fn stream(writer: &Arc<Writer>, members: &Members, url: &str, worked: &mut bool) -> Ended {
    let channel = match members.channel(url).await {
        Ok(channel) => channel,
        Err(error) => return Ended::Broken(error.to_string()),
    };
    let mut client = StoreClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut responses = match client.write(writer.open()).await {
        Ok(responses) => responses.into_inner(),
        Err(status) => return Ended::Broken(status.message().to_owned()),
    };
    loop {
        match responses.message().await {
            Ok(Some(response)) => {
                *worked |= writer.answered(response.results);
                if let Some(leader) = response.not_leader {
                    return Ended::NotLeader(Some(leader));
                }
            }
            Ok(None) => return Ended::Broken("the leader closed the stream".to_owned()),
            Err(status) => return Ended::Broken(status.message().to_owned()),
        }
    }
}
