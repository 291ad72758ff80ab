//! The raft log on disk: rows in a RocksDB with a synced WAL, one atomic write and one fsync per group of operations.
//!
//! Two things guard against a log that silently lost its end. Every entry carries a checksum, and indexes must be
//! without a gap. And a small file beside the database, the *watermark*, notes the last index whose fsync returned;
//! it is written without an fsync of its own, so after a power cut it may be older than the log, never newer. A log
//! that ends before its watermark has lost entries that this member vouched for, and must not be used: the member
//! would vote as if it had never seen them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use kuorum_raft::ports::{LogDisk, LogDiskState, LogEntry, LogOp, LogRead};
use rocksdb::{DB, ReadOptions, WriteBatch, WriteOptions};

use super::options::{self, failed};
use super::{Error, Result};
use codec::{decode_entry, decode_log_id, decode_vote, encode_entry, encode_log_id, encode_vote};

pub(crate) mod codec;

const VOTE: &[u8] = b"mvote";
const COMMITTED: &[u8] = b"mcommitted";
const PURGED: &[u8] = b"mpurged";
const ENTRY: u8 = b'e';

/// Knobs that tests turn.
#[derive(Debug, Clone, Copy)]
pub struct LogTuning {
    /// Whether a sync really reaches the disk. Only tests of throughput without a disk turn it off.
    pub fsync: bool,
}

impl Default for LogTuning {
    fn default() -> Self {
        Self { fsync: true }
    }
}

/// The log of one member.
pub struct RaftLogDb {
    db: Arc<DB>,
    directory: PathBuf,
    synced: WriteOptions,
    unsynced: WriteOptions,
    watermark: Watermark,
    scratch: Vec<u8>,
    last: Option<u64>,
}

fn entry_key(index: u64) -> [u8; 9] {
    let mut key = [ENTRY; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

fn entry_index(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.strip_prefix(&[ENTRY])?.try_into().ok()?))
}

fn other(e: Error) -> io::Error {
    io::Error::other(e)
}

impl RaftLogDb {
    /// Opens the log in `directory`, or makes it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when RocksDB finds damage; the entries themselves are checked by `load`.
    pub fn open(directory: &Path, tuning: LogTuning) -> Result<Self> {
        let db = DB::open(&options::raft_log(options::cache()), directory).map_err(failed("open raft log"))?;
        let mut synced = WriteOptions::default();
        synced.set_sync(tuning.fsync);
        let watermark = Watermark::open(&directory.join("WATERMARK"))?;
        Ok(Self {
            db: Arc::new(db),
            directory: directory.to_path_buf(),
            synced,
            unsynced: WriteOptions::default(),
            watermark,
            scratch: Vec::new(),
            last: None,
        })
    }

    fn get<T>(&self, key: &[u8], decode: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>> {
        match self.db.get_pinned(key).map_err(failed("read raft log"))? {
            Some(row) => decode(&row).map(Some).ok_or_else(|| Error::bad_row("raft log", key)),
            None => Ok(None),
        }
    }

    /// Reads every entry once: a member starts only on a log that is whole.
    fn check(&self) -> Result<LogDiskState> {
        let purged = self.get(PURGED, decode_log_id)?;
        let vote = self.get(VOTE, decode_vote)?;
        let committed = self.get(COMMITTED, decode_log_id)?;
        let mut last = purged;
        let mut read = ReadOptions::default();
        read.set_iterate_lower_bound([ENTRY]);
        read.set_iterate_upper_bound([ENTRY + 1]);
        let mut rows = self.db.raw_iterator_opt(read);
        rows.seek(entry_key(purged.map_or(0, |p| p.index + 1)));
        while let Some((key, row)) = rows.item() {
            let index = entry_index(key).ok_or_else(|| Error::bad_row("raft log", key))?;
            let entry = decode_entry(&Bytes::copy_from_slice(row))
                .filter(|e| e.id.index == index)
                .ok_or_else(|| Error::Corrupt(format!("raft log entry {index} has a wrong checksum")))?;
            let expected = last.map_or(0, |l| l.index + 1);
            if index != expected {
                return Err(Error::Corrupt(format!("raft log entry {expected} is missing, entry {index} follows")));
            }
            last = Some(entry.id);
            rows.next();
        }
        rows.status().map_err(failed("read raft log"))?;
        let found = last.map(|l| l.index);
        if let Some(acknowledged) = self.watermark.read()?.filter(|w| found.is_none_or(|f| f < *w)) {
            let end = found.map_or("is empty".to_string(), |f| format!("ends at entry {f}"));
            return Err(Error::Corrupt(format!(
                "raft log {} {end}, but entry {acknowledged} was acknowledged as durable: its tail was truncated or \
                 damaged. Remove this member and add it again under a new id, or restore the directory",
                self.directory.display()
            )));
        }
        Ok(LogDiskState { vote, committed, purged, last })
    }

    fn put(&mut self, ops: &[LogOp], batch: &mut WriteBatch) -> io::Result<()> {
        for op in ops {
            match op {
                LogOp::Append(entries) => {
                    for entry in entries {
                        encode_entry(entry, &mut self.scratch);
                        batch.put(entry_key(entry.id.index), &self.scratch);
                        self.last = Some(entry.id.index);
                    }
                }
                LogOp::TruncateAfter(after) => {
                    let first = after.map_or(0, |id| id.index + 1);
                    batch.delete_range(entry_key(first).as_slice(), [ENTRY + 1].as_slice());
                    self.last = after.map(|id| id.index);
                    // Before the entries go: a watermark above the log would look like a loss.
                    self.watermark.write(self.last).map_err(other)?;
                }
                LogOp::Purge(id) => {
                    batch.delete_range(entry_key(0).as_slice(), entry_key(id.index + 1).as_slice());
                    batch.put(PURGED, encode_log_id(id));
                    self.last = self.last.max(Some(id.index));
                }
                LogOp::SaveVote(vote) => batch.put(VOTE, encode_vote(vote)),
                LogOp::SaveCommitted(Some(id)) => batch.put(COMMITTED, encode_log_id(id)),
                LogOp::SaveCommitted(None) => batch.delete(COMMITTED),
            }
        }
        Ok(())
    }
}

impl LogDisk for RaftLogDb {
    fn load(&mut self) -> io::Result<LogDiskState> {
        let state = self.check().map_err(other)?;
        self.last = state.last.map(|l| l.index);
        Ok(state)
    }

    fn write(&mut self, ops: &[LogOp], sync: bool) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        self.put(ops, &mut batch)?;
        let started = Instant::now();
        let options = if sync { &self.synced } else { &self.unsynced };
        self.db.write_opt(batch, options).map_err(failed("write raft log")).map_err(other)?;
        if sync {
            metrics::histogram!("kuorum_log_fsync_seconds").record(started.elapsed().as_secs_f64());
            self.watermark.write(self.last).map_err(other)?;
        }
        Ok(())
    }

    fn reader(&self) -> Arc<dyn LogRead> {
        Arc::new(Reader { db: self.db.clone() })
    }
}

struct Reader {
    db: Arc<DB>,
}

impl LogRead for Reader {
    fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<LogEntry>> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(entry_key(start));
        options.set_iterate_upper_bound(entry_key(end));
        let mut rows = self.db.raw_iterator_opt(options);
        rows.seek(entry_key(start));
        let mut entries = Vec::new();
        let mut bytes = 0;
        while let Some((key, row)) = rows.item() {
            if bytes > max_bytes {
                break;
            }
            bytes += row.len();
            let entry = decode_entry(&Bytes::copy_from_slice(row)).ok_or_else(|| {
                other(Error::Corrupt(format!("raft log row {} has a wrong checksum", key.escape_ascii())))
            })?;
            entries.push(entry);
            rows.next();
        }
        rows.status().map_err(failed("read raft log")).map_err(other)?;
        Ok(entries)
    }
}

/// The last acknowledged index, in a file that survives the process but is not synced.
struct Watermark {
    file: File,
    path: PathBuf,
}

impl Watermark {
    fn open(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(Error::io("open", path))?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// `None` when nothing was acknowledged, or when a power cut left the file unreadable: it was not synced.
    fn read(&self) -> Result<Option<u64>> {
        let mut row = [0; 12];
        match self.file.read_exact_at(&mut row, 0) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(Error::io("read", &self.path)(e)),
        }
        let (number, checksum) = row.split_at(8);
        if crc32fast::hash(number).to_le_bytes() != checksum {
            return Ok(None);
        }
        // Stored as a count, so that 0 is "no entry".
        Ok(u64::from_le_bytes(number.try_into().unwrap_or_default()).checked_sub(1))
    }

    fn write(&self, last: Option<u64>) -> Result<()> {
        let mut row = [0; 12];
        row[..8].copy_from_slice(&last.map_or(0, |l| l + 1).to_le_bytes());
        let checksum = crc32fast::hash(&row[..8]);
        row[8..].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_all_at(&row, 0).map_err(Error::io("write", &self.path))
    }
}

#[cfg(test)]
mod tests;
