//! Bytes on disk: an ordered key-value engine for the state machine, and the raft log. The only module that names
//! RocksDB. Everything above sees the [`Engine`] trait, and knows neither files nor column layouts.
//!
//! Durability has two tiers. The raft log is synced before anything is acknowledged. The state machine is never
//! synced on the hot path: its writes go to memtables only, each batch carries the applied log index, and after a
//! crash the log is replayed from the index that the last flushed file holds.

mod batch;
mod closed;
mod home;
mod memory;
mod options;
mod raft_log;
mod rocks;

use std::path::{Path, PathBuf};

pub use batch::Batch;
pub use closed::ClosedEngine;
pub use home::{Home, write_durably};
pub use memory::MemoryEngine;
pub(crate) use raft_log::codec::{decode_applied, encode_applied};
pub use raft_log::{LogTuning, RaftLogDb};
pub use rocks::RocksEngine;

/// What can go wrong below the state machine. All but [`Error::NotFound`] are fatal for the member: it leaves
/// service rather than try again, because after a failed write nobody knows what the disk holds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// RocksDB refused an operation.
    #[error("{operation}: {message}")]
    Database { operation: &'static str, message: String },
    /// A file operation failed.
    #[error("{operation} {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: std::io::Error },
    /// Bytes that were acknowledged as durable are missing or changed.
    #[error("data directory is corrupt: {0}")]
    Corrupt(String),
    /// The directory was written by a newer kuorum.
    #[error(
        "data format {found} is newer than this kuorum supports ({supported}): upgrade kuorum, or restore a snapshot"
    )]
    NewerFormat { found: u32, supported: u32 },
    /// Another process holds the data directory.
    #[error("data directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// A file or row that the caller asked for does not exist.
    #[error("{0} not found")]
    NotFound(String),
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { operation, path, source }
    }

    /// A row that does not decode: never expected, always fatal.
    pub(crate) fn bad_row(what: &str, key: &[u8]) -> Self {
        Self::Corrupt(format!("{what} row {} does not decode", key.escape_ascii()))
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One row of an iteration.
pub type Row = (Vec<u8>, Vec<u8>);

/// Reads. Implemented by an engine (the newest state) and by its views (the state at one moment).
pub trait Read {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// A cursor over `[start, end)` in key order.
    fn cursor<'a>(&'a self, start: &[u8], end: &[u8]) -> Result<Box<dyn Cursor + 'a>>;

    /// The first row of `[start, end)`.
    fn first(&self, start: &[u8], end: &[u8]) -> Result<Option<Row>> {
        let mut cursor = self.cursor(start, end)?;
        Ok(cursor.current()?.map(|(k, v)| (k.to_vec(), v.to_vec())))
    }
}

/// A position in an ordered range. It starts on the first row; rows are borrowed until the next step.
pub trait Cursor {
    /// The row under the cursor, or `None` behind the last.
    fn current(&mut self) -> Result<Option<(&[u8], &[u8])>>;
    fn advance(&mut self) -> Result<()>;
}

/// The state machine's database: an ordered map with atomic batches.
///
/// Batches become visible atomically and in order, and become durable as a prefix of that order: after a crash the
/// engine holds the first N batches for some N, never a later batch without an earlier one.
pub trait Engine: Read + Send + Sync + 'static {
    /// An empty batch of the kind that this engine writes without conversion.
    fn batch(&self) -> Batch;

    /// Applies the batch atomically, without waiting for the disk.
    fn write(&self, batch: Batch) -> Result<()>;

    /// All reads of the view see the moment of its creation.
    fn view(&self) -> Box<dyn Read + '_>;

    /// Returns when every batch written before the call is durable.
    fn flush(&self) -> Result<()>;

    /// Writes a consistent, durable copy into `directory`, which must not exist. Cheap: files are hard links.
    fn checkpoint(&self, directory: &Path) -> Result<()>;

    /// Bytes on disk and in memtables: what the operator sees as the database's size.
    fn size_bytes(&self) -> u64;
}
