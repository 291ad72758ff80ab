//! Keys, values and revisions, deterministic: the same commands on the same state give the same bytes. Nothing here
//! reads a clock, draws a random number or writes to an engine: [`Applier`] reads a state, takes commands, and
//! returns a batch and the events that it makes true.
//!
//! Every version of a value is stored once. A current object has a row of its own; when it is overwritten or deleted,
//! what it was becomes an *undo row* under (key, revision of the change). An *event row* under (revision, index) says
//! what changed. So the state at an old revision is the current state with newer changes undone, and both kinds of
//! history rows become useless below the compaction revision: events as one range, undo rows by way of the events.

mod apply;
mod clients;
mod compact;
mod hash;
mod history;
pub mod key;
mod key_cache;
mod range;
pub mod row;
mod state;

#[cfg(test)]
mod tests;

pub use apply::{Applied, Applier, RevisionEvents};
pub use clients::{CLIENT_ID_BYTES, ClientTable, Outcome, idle_clients};
pub use compact::{CLEAN_EVENTS_MAX, clean};
pub use hash::hash_at;
pub use history::{HistoryReader, prefix_end};
pub use key_cache::KeyCache;
pub use range::{Bounds, RangeReader};
pub use state::{Alarm, State};

/// Why a read has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// History up to this revision is gone; a reader has to start again from the current state.
    #[error("revision {requested} was compacted (compact revision is {compacted})")]
    Compacted { requested: u64, compacted: u64 },
    /// The member has not applied so much.
    #[error("revision {requested} is in the future (current revision is {current})")]
    Future { requested: u64, current: u64 },
    #[error(transparent)]
    Engine(#[from] crate::engine::Error),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A key longer than this is refused. etcd's clients keep far below; RocksDB wants keys small.
pub const KEY_BYTES_MAX: usize = 4 << 10;
/// A value longer than this is refused: above the API server's 3 MiB request limit, below a gRPC message.
pub const VALUE_BYTES_MAX: usize = 6 << 20;
/// Operations of one transaction.
pub const TXN_OPS_MAX: usize = 512;
