//! A plain client of the wire, for the suite and for measurements: it finds the leader and keeps no state.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kuorum_proto::v1::session_request::{Fence, Open, Request as Ask};
use kuorum_proto::v1::session_response::Response as Answer;
use kuorum_proto::v1::store_client::StoreClient;
use kuorum_proto::v1::{self, Compare, Event, HistoryRequest, KeyValue, Op, RangeRequest, SessionRequest, Txn, op};
use kuorum_proto::v1::{WriteRequest, WriteResponse, txn_result::Outcome};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::member::MESSAGE_BYTES_MAX;

/// How long the suite waits for anything: far above what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts to find a leader.
const LEADER_RETRY: Duration = Duration::from_millis(20);
/// Requests ahead of the connection.
const REQUESTS_AHEAD: usize = 64;

/// A client of a cluster.
pub struct Client {
    members: Vec<Channel>,
    id: Bytes,
    seq: AtomicU64,
    /// Who answered last: asked first the next time.
    leader: AtomicUsize,
}

pub fn put(key: &str, value: impl Into<Bytes>) -> Op {
    put_for(key, value, 0)
}

pub fn put_for(key: &str, value: impl Into<Bytes>, ttl_seconds: u64) -> Op {
    let put = op::Put { key: key.to_string().into(), value: value.into(), ttl_seconds };
    Op { op: Some(op::Op::Put(put)) }
}

pub fn delete(key: &str) -> Op {
    Op { op: Some(op::Op::Delete(key.to_string().into())) }
}

pub fn compare(key: &str, mod_revision: u64) -> Compare {
    Compare { key: key.to_string().into(), mod_revision }
}

impl Client {
    pub fn new(members: Vec<Channel>) -> Self {
        // Unique among the clients of a store: the suite may run more than once on one.
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&crate::propose::now_ms().to_be_bytes());
        id[8..].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        Self { members, id: Bytes::copy_from_slice(&id), seq: AtomicU64::new(1), leader: AtomicUsize::new(0) }
    }

    pub fn id(&self) -> Bytes {
        self.id.clone()
    }

    pub fn channels(&self) -> Vec<Channel> {
        self.members.clone()
    }

    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// The wire itself, of one member.
    pub fn member(&self, index: usize) -> StoreClient<Channel> {
        StoreClient::new(self.members[index % self.members.len()].clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub fn txn(&self, compares: Vec<Compare>, ops: Vec<Op>) -> Txn {
        Txn { seq: self.seq.fetch_add(1, Ordering::Relaxed), compares, ops }
    }

    /// One transaction, until some leader answers it. The same sequence number all the time: applied at most once.
    pub async fn write(&self, compares: Vec<Compare>, ops: Vec<Op>) -> Result<Outcome, String> {
        let txn = self.txn(compares, ops);
        self.write_txn(txn).await
    }

    pub async fn write_txn(&self, txn: Txn) -> Result<Outcome, String> {
        let attempts = async {
            for member in self.leader.load(Ordering::Relaxed).. {
                if let Some(outcome) = self.try_write(member, txn.clone()).await {
                    self.leader.store(member % self.members.len(), Ordering::Relaxed);
                    return outcome;
                }
                tokio::time::sleep(LEADER_RETRY).await;
            }
            unreachable!("the attempts have no end")
        };
        tokio::time::timeout(PATIENCE, attempts).await.map_err(|_| "no leader answered in time".to_string())
    }

    async fn try_write(&self, member: usize, txn: Txn) -> Option<Outcome> {
        let request = WriteRequest { client_id: self.id.clone(), acked_below: 0, txns: vec![txn] };
        let mut answers = self.member(member).write(tokio_stream::once(request)).await.ok()?.into_inner();
        let WriteResponse { mut results, .. } = answers.message().await.ok()??;
        let outcome = results.pop()?.outcome?;
        match &outcome {
            Outcome::Rejected(r) if r.code() == v1::txn_result::rejected::Code::OutcomeUnknown => None,
            _ => Some(outcome),
        }
    }

    /// A transaction that must commit; its revision.
    pub async fn commit(&self, compares: Vec<Compare>, ops: Vec<Op>) -> Result<u64, String> {
        match self.write(compares, ops).await? {
            Outcome::Committed(revision) => Ok(revision),
            other => Err(format!("not committed: {other:?}")),
        }
    }

    /// All keys under a prefix, with the revision that was read.
    pub async fn range(&self, member: usize, request: RangeRequest) -> Result<(u64, Vec<KeyValue>, u64, bool), Status> {
        let mut chunks = self.member(member).range(request).await?.into_inner();
        let (mut revision, mut kvs, mut count, mut more) = (0, Vec::new(), 0, false);
        while let Some(chunk) = chunks.message().await? {
            if revision != 0 && chunk.revision != revision {
                return Err(Status::new(Code::Internal, "two revisions in one range"));
            }
            (revision, count, more) = (chunk.revision, chunk.count, chunk.more);
            kvs.extend(chunk.kvs);
        }
        Ok((revision, kvs, count, more))
    }

    pub async fn history(&self, member: usize, request: HistoryRequest) -> Result<Vec<Event>, Status> {
        let mut batches = self.member(member).history(request).await?.into_inner();
        let mut events = Vec::new();
        while let Some(batch) = batches.message().await? {
            events.extend(batch.events);
        }
        Ok(events)
    }

    pub async fn session(&self, member: usize, prefix: &str, after_revision: u64) -> Result<Session, String> {
        let (requests, receiver) = mpsc::channel(REQUESTS_AHEAD);
        let open = Open { prefix: prefix.to_string().into(), after_revision };
        let open = SessionRequest { request: Some(Ask::Open(open)) };
        requests.send(open).await.map_err(|e| e.to_string())?;
        let answers = self.member(member).session(ReceiverStream::new(receiver)).await.map_err(|s| s.to_string())?;
        Ok(Session { requests, answers: answers.into_inner(), events: Vec::new(), fence: 0 })
    }
}

/// An open session. Events are collected while its methods wait.
pub struct Session {
    requests: mpsc::Sender<SessionRequest>,
    answers: Streaming<v1::SessionResponse>,
    pub events: Vec<Event>,
    fence: u64,
}

/// What ended a wait.
#[derive(Debug, PartialEq)]
pub enum Found {
    Ack(v1::session_response::FenceAck),
    Failed(String),
    Compacted(u64),
}

impl Session {
    /// The next message that is not an event.
    pub async fn next(&mut self) -> Result<Found, String> {
        let wait = async {
            loop {
                let message = self.answers.message().await.map_err(|s| s.to_string())?;
                match message.ok_or("the session ended")?.response {
                    Some(Answer::Events(batch)) => self.events.extend(batch.events),
                    Some(Answer::FenceAck(ack)) => return Ok(Found::Ack(ack)),
                    Some(Answer::FenceFailed(failed)) => return Ok(Found::Failed(failed.message)),
                    Some(Answer::Compacted(compacted)) => return Ok(Found::Compacted(compacted.compact_revision)),
                    Some(Answer::Opened(_) | Answer::Leader(_)) | None => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| Err("nothing came in time".into()))
    }

    /// Sends a fence and waits for its answer; everything before it is then in `events`.
    pub async fn fence(&mut self) -> Result<u64, String> {
        let began = std::time::Instant::now();
        loop {
            self.fence += 1;
            let fence = SessionRequest { request: Some(Ask::Fence(Fence { id: self.fence })) };
            self.requests.send(fence).await.map_err(|e| e.to_string())?;
            match self.next().await? {
                Found::Ack(ack) if ack.id == self.fence => return Ok(ack.revision),
                // No leader at the moment.
                Found::Failed(_) if began.elapsed() < PATIENCE => tokio::time::sleep(LEADER_RETRY).await,
                other => return Err(format!("instead of an answer to the fence: {other:?}")),
            }
        }
    }
}
