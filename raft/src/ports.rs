//! What consensus needs from the outside: a disk for the log and a state machine for the commands.
//!
//! Both ports are synchronous, and each is driven by exactly one thread at a time, so an implementation needs no
//! locks for its own sake: [`LogDisk`] belongs to this crate's log IO thread, [`StateMachine`] to the apply worker.
//! Nothing here names the consensus library; `storage` implements both on RocksDB, [`crate::memory`] for tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;

/// Identifies a member for ever. An id is never given to another member, nor to the same one after its data was wiped.
pub type NodeId = u64;

/// Where an entry stands in the log and which leader put it there. Ordered by leader, then by index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// The term in which the leader was elected.
    pub term: u64,
    /// The leader that proposed the entry.
    pub node_id: NodeId,
    /// The position in the log; the first entry (the initial membership) has index 0.
    pub index: u64,
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.term, self.node_id, self.index)
    }
}

/// The latest vote of this member. It must be on the disk before it is told to anybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vote {
    /// The term voted in.
    pub term: u64,
    /// The candidate voted for.
    pub node_id: NodeId,
    /// Whether that candidate is known to have become the leader.
    pub committed: bool,
}

/// What the cluster knows about one member, besides its id. Part of the membership in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// The operator's name for it (`--name`), unique in the cluster.
    pub name: String,
    /// Where other members reach it, tried in order: `https://host:port`.
    pub peer_urls: Vec<String>,
    /// Where front-ends and operators reach it.
    pub client_urls: Vec<String>,
}

/// Who votes and who only listens. Two voter sets while a change is under way (joint consensus), else one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    /// The voter sets; a decision needs a majority of each. Empty before the cluster was initialised.
    pub voters: Vec<BTreeSet<NodeId>>,
    /// Every member. One that is in no voter set is a learner.
    pub members: BTreeMap<NodeId, Member>,
}

impl Membership {
    /// Whether `id` has a vote in any of the voter sets.
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.iter().any(|set| set.contains(&id))
    }
}

/// A membership and the entry that set it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredMembership {
    /// `None` before the cluster was initialised.
    pub log_id: Option<LogId>,
    /// The membership as of that entry.
    pub membership: Membership,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place.
    pub id: LogId,
    /// Its content.
    pub payload: Payload,
}

/// What an entry carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a new leader commits one to learn what is committed.
    Blank,
    /// A proposal: an encoded `kuorum.v1.Command`. The same bytes go to the disk, over the wire and to `apply`.
    Command(Bytes),
    /// A change of membership.
    Membership(Membership),
}

// ---- the log's disk ----

/// What a [`LogDisk`] remembers when it is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogDiskState {
    /// The last saved vote.
    pub vote: Option<Vote>,
    /// The last saved commit position. May lag behind what was really committed.
    pub committed: Option<LogId>,
    /// The last entry that was purged: entries up to it are gone.
    pub purged: Option<LogId>,
    /// The last entry there is, or `purged` when there is none behind it.
    pub last: Option<LogId>,
}

/// One change to the log.
#[derive(Debug, Clone)]
pub enum LogOp {
    /// Add entries behind the last one; indexes have no gap.
    Append(Vec<LogEntry>),
    /// Remove every entry behind this one (all entries, when `None`): they were never committed.
    TruncateAfter(Option<LogId>),
    /// Forget the entries up to and including this one, and remember it as `purged`. May be ahead of the last entry
    /// (after a snapshot was installed): the log is then empty, and continues behind it.
    Purge(LogId),
    /// Remember the vote.
    SaveVote(Vote),
    /// Remember the commit position.
    SaveCommitted(Option<LogId>),
}

impl LogOp {
    /// Whether somebody waits for this change to survive a power cut. A purge or a commit position that is lost is
    /// only work to be done again.
    pub fn needs_sync(&self) -> bool {
        matches!(self, Self::Append(_) | Self::TruncateAfter(_) | Self::SaveVote(_))
    }
}

/// The raft log on a disk. Driven by one IO thread, which this crate owns: it groups what is waiting into one
/// [`write`](LogDisk::write), so the calls never overlap and come in the order of the log.
///
/// An error is fatal: the member leaves service and the call is not repeated, because after a failed fsync nobody
/// knows what is on the disk.
pub trait LogDisk: Send + 'static {
    /// What was remembered. Called once, before anything else.
    ///
    /// # Errors
    /// A damaged or unreadable log, including a truncated or altered tail.
    fn load(&mut self) -> io::Result<LogDiskState>;

    /// Carries out `ops` in order, as one atomic batch. With `sync`, everything is on the disk (one fsync) when this
    /// returns.
    ///
    /// # Errors
    /// Any: see the trait.
    fn write(&mut self, ops: &[LogOp], sync: bool) -> io::Result<()>;

    /// A handle that reads entries while the IO thread writes.
    fn reader(&self) -> Arc<dyn LogRead>;
}

/// Reads the log from any thread. It sees every [`LogDisk::write`] that has returned.
pub trait LogRead: Send + Sync + 'static {
    /// The entries from `start` up to, not including, `end`, in order and without gaps. Stops early, after at least
    /// one entry, when their payloads exceed `max_bytes`. Entries that do not exist are left out at either end.
    ///
    /// # Errors
    /// An unreadable entry, or one whose checksum is wrong.
    fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<LogEntry>>;
}

// ---- the state machine ----

/// What a [`StateMachine`] has applied, durably or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The last applied entry.
    pub log_id: Option<LogId>,
    /// The last applied membership.
    pub membership: StoredMembership,
}

/// Applies committed commands, in order, deterministically.
///
/// All calls come from one worker, one after another. A call may block for as long as a write to RocksDB without
/// fsync takes. An error is fatal: the member leaves service.
pub trait StateMachine: Send + 'static {
    /// What a command answers to its proposer. Dropped where nobody waits (on followers, after a restart).
    type Response: Send + Sync + fmt::Debug + 'static;

    /// What was applied before; asked at start and after an install. Entries behind it are applied (again) from the
    /// log, so it must be written in the same atomic batch as the effects of the entries.
    ///
    /// # Errors
    /// Unreadable state.
    fn applied(&mut self) -> io::Result<Applied>;

    /// Applies a run of committed entries; `applied` is then the last one's id. Returns one response per entry that is
    /// a [`Payload::Command`], in order, and nothing for the others. Membership entries must be remembered for
    /// [`applied`](Self::applied).
    ///
    /// A command that cannot be carried out (a failed compare, a malformed one) is a response, not an error.
    ///
    /// # Errors
    /// Storage failures.
    fn apply(&mut self, entries: &[LogEntry]) -> io::Result<Vec<Self::Response>>;

    /// Prepares to write what is applied now, as files, into the empty directory `dir` (which exists). Must be fast
    /// or leave the work to the returned builder, which runs on another thread while more is applied.
    ///
    /// # Errors
    /// Storage failures.
    fn snapshot(&mut self, dir: &Path) -> io::Result<Box<dyn SnapshotBuild>>;

    /// Replaces the whole state by the files of a snapshot, verified against their checksums; `applied` is then what
    /// it was when the snapshot was built. The files may be moved or linked away. Must be atomic over a crash: the
    /// old state or the new one, durable when this returns.
    ///
    /// # Errors
    /// Storage failures, or files that do not hold a state.
    fn install(&mut self, dir: &Path) -> io::Result<()>;
}

/// The second half of building a snapshot.
pub trait SnapshotBuild: Send {
    /// Completes the files in the directory. When it returns, everything that was applied when
    /// [`StateMachine::snapshot`] was called is durable, in the files *and in the live state machine* (a RocksDB
    /// checkpoint that flushes the memtables does both): the log is purged up to there.
    ///
    /// # Errors
    /// Storage failures; the snapshot is dropped, and tried again later.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A build that was complete from the start.
impl SnapshotBuild for () {
    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

// ---- identity and connections ----

/// Who is at the other end of a connection, as its certificate says. The TLS layer of `storage` puts it in the
/// request's extensions; the raft service refuses requests that have none, or whose sender claims to be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The member's name in the certificate.
    pub name: String,
}

/// Opens connections to other members, with this member's certificate and the checks of the other's.
pub trait Connector: Send + Sync + 'static {
    /// A lazy channel to `member`: it connects, and reconnects, when it is used.
    ///
    /// # Errors
    /// A URL that is none, or TLS settings that cannot be used.
    fn channel(&self, id: NodeId, member: &Member) -> io::Result<tonic::transport::Channel>;
}
