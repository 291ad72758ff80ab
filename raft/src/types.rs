//! The consensus library's types as kuorum uses them, and their conversion from and to the [`crate::ports`].

use std::{
    cmp::Ordering,
    fmt::{self, Debug},
    marker::PhantomData,
};

use bytes::Bytes;
use openraft::{EntryPayload, RaftTypeConfig, impls};

use crate::ports::{self, Member, NodeId};

/// One proposal, encoded once by the proposer. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Command(pub Bytes);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.0.len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(self, f)
    }
}

/// Binds the library to kuorum's types. `R` is what the state machine answers to one command.
pub struct TypeConfig<R>(PhantomData<fn() -> R>);

/// What a state machine may answer.
pub trait Response: Send + Sync + Debug + 'static {}
impl<R: Send + Sync + Debug + 'static> Response for R {}

impl<R: Response> RaftTypeConfig for TypeConfig<R> {
    type D = Command;
    /// `None` for entries that are not commands.
    type R = Option<R>;
    type NodeId = NodeId;
    type Node = Member;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = openraft::TokioRuntime;
    type Responder<T>
        = impls::ProgressResponder<Self, T>
    where
        T: Send + 'static;
    type Batch<T>
        = impls::InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = impls::BoxedErrorSource;
}

/// Several candidates of one term are ordered by their ids, so that two of them do not block each other.
pub type LeaderId = impls::leader_id_adv::LeaderId<u64, NodeId>;
pub type Vote = openraft::Vote<LeaderId>;
pub type LogId = openraft::LogId<LeaderId>;
pub type Payload = EntryPayload<Command, NodeId, Member>;
pub type Entry = openraft::Entry<LeaderId, Payload>;
pub type Membership = openraft::Membership<NodeId, Member>;
pub type StoredMembership = openraft::StoredMembership<LeaderId, NodeId, Member>;
pub type SnapshotMeta = openraft::SnapshotMeta<LeaderId, NodeId, Member>;
pub type IoFlushed<R> = openraft::storage::IOFlushed<TypeConfig<R>>;

impl From<ports::LogId> for LogId {
    fn from(id: ports::LogId) -> Self {
        Self::new(LeaderId { term: id.term, node_id: id.node_id }, id.index)
    }
}

impl From<LogId> for ports::LogId {
    fn from(id: LogId) -> Self {
        Self { term: id.leader_id.term, node_id: id.leader_id.node_id, index: id.index }
    }
}

impl From<ports::Vote> for Vote {
    fn from(vote: ports::Vote) -> Self {
        Self { leader_id: LeaderId { term: vote.term, node_id: vote.node_id }, committed: vote.committed }
    }
}

impl From<Vote> for ports::Vote {
    fn from(vote: Vote) -> Self {
        Self { term: vote.leader_id.term, node_id: vote.leader_id.node_id, committed: vote.committed }
    }
}

impl From<Membership> for ports::Membership {
    fn from(membership: Membership) -> Self {
        Self {
            voters: membership.get_joint_config().clone(),
            members: membership.nodes().map(|(id, member)| (*id, member.clone())).collect(),
        }
    }
}

impl From<StoredMembership> for ports::StoredMembership {
    fn from(stored: StoredMembership) -> Self {
        Self { log_id: stored.log_id().map(Into::into), membership: stored.membership().clone().into() }
    }
}

impl From<Entry> for ports::LogEntry {
    fn from(entry: Entry) -> Self {
        let payload = match entry.payload {
            EntryPayload::Blank => ports::Payload::Blank,
            EntryPayload::Normal(Command(bytes)) => ports::Payload::Command(bytes),
            EntryPayload::Membership(membership) => ports::Payload::Membership(membership.into()),
        };
        Self { id: entry.log_id.into(), payload }
    }
}

/// A membership in which a voter has no address, or a voter set is empty: it was damaged, or made up.
#[derive(Debug, Clone, thiserror::Error)]
#[error("membership is not valid: {0}")]
pub struct InvalidMembership(String);

impl TryFrom<ports::Membership> for Membership {
    type Error = InvalidMembership;

    fn try_from(membership: ports::Membership) -> Result<Self, Self::Error> {
        if membership == ports::Membership::default() {
            return Ok(Self::default());
        }
        Self::new(membership.voters, membership.members).map_err(|e| InvalidMembership(e.to_string()))
    }
}

impl TryFrom<ports::StoredMembership> for StoredMembership {
    type Error = InvalidMembership;

    fn try_from(stored: ports::StoredMembership) -> Result<Self, Self::Error> {
        Ok(Self::new(stored.log_id.map(Into::into), stored.membership.try_into()?))
    }
}

impl TryFrom<ports::LogEntry> for Entry {
    type Error = InvalidMembership;

    fn try_from(entry: ports::LogEntry) -> Result<Self, Self::Error> {
        let payload = match entry.payload {
            ports::Payload::Blank => EntryPayload::Blank,
            ports::Payload::Command(bytes) => EntryPayload::Normal(Command(bytes)),
            ports::Payload::Membership(membership) => EntryPayload::Membership(membership.try_into()?),
        };
        Ok(Self { log_id: entry.id.into(), payload })
    }
}

// The library asks for these on the type that only names the others; there is nothing to compare.

impl<R> Clone for TypeConfig<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for TypeConfig<R> {}
impl<R> Default for TypeConfig<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
impl<R> Debug for TypeConfig<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypeConfig")
    }
}
impl<R> PartialEq for TypeConfig<R> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<R> Eq for TypeConfig<R> {}
impl<R> PartialOrd for TypeConfig<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<R> Ord for TypeConfig<R> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}
