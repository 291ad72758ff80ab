//! Adapts a [`LogDisk`] to the consensus library: state and recent entries in memory, writes through the IO thread.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{Stream, StreamExt, stream};
use openraft::storage::{LogState, RaftLogReader, RaftLogStorage};
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::{
    log_io::{LogIo, LogIoThread},
    ports::{LogDisk, LogEntry, LogOp, LogRead},
    tail::{Tail, cost},
    types::{Entry, IoFlushed, LogId, Response, TypeConfig, Vote},
};

/// Payload bytes in one read for replication or apply. Bounds a message between members, and what apply holds at once.
const READ_BYTES_MAX: usize = 2 << 20;

/// The log as the consensus core drives it. There is one; readers are separate.
pub(crate) struct LogStore {
    io: LogIo,
    reader: LogReader,
}

/// Reads the log while it is written. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogReader {
    shared: Arc<Shared>,
    disk: Arc<dyn LogRead>,
}

struct Shared {
    state: RwLock<State>,
    /// Payload bytes appended since start: what the snapshot policy counts.
    appended_bytes: AtomicU64,
}

/// Invariant: `purged <= last`; the tail ends at `last` or is empty.
struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    tail: Tail,
}

impl LogStore {
    /// Loads what the disk remembers and starts the IO thread.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub(crate) async fn open<D: LogDisk>(
        mut disk: D,
        tail_bytes: usize,
        fatal: watch::Sender<Option<String>>,
    ) -> io::Result<(Self, LogIoThread)> {
        let load = move || disk.load().map(|loaded| (disk, loaded));
        let (disk, loaded) = tokio::task::spawn_blocking(load).await.map_err(io::Error::other)??;
        let reader = LogReader {
            shared: Arc::new(Shared {
                state: RwLock::new(State {
                    vote: loaded.vote.map(Into::into),
                    committed: loaded.committed.map(Into::into),
                    purged: loaded.purged.map(Into::into),
                    last: loaded.last.or(loaded.purged).map(Into::into),
                    tail: Tail::new(tail_bytes),
                }),
                appended_bytes: AtomicU64::new(0),
            }),
            disk: disk.reader(),
        };
        let (io, thread) = LogIo::spawn(Box::new(disk), fatal)?;
        Ok((Self { io, reader }, thread))
    }

    /// A reader for parts outside of the consensus core.
    pub(crate) fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    fn state(&self) -> &RwLock<State> {
        &self.reader.shared.state
    }
}

impl<R: Response> RaftLogStorage<TypeConfig<R>> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig<R>>> {
        let state = self.state().read();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.reader()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.io.write(LogOp::SaveVote((*vote).into())).await?;
        self.state().write().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.state().write().committed = committed;
        self.io.submit(LogOp::SaveCommitted(committed.map(Into::into)), None).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.state().read().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IoFlushed<R>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let (op, last) = {
            let mut state = self.state().write();
            let mut bytes = 0;
            let append = |entry: Entry| {
                bytes += cost(&entry) as u64;
                state.last = Some(entry.log_id);
                state.tail.push(entry.clone());
                LogEntry::from(entry)
            };
            let op: Vec<LogEntry> = entries.into_iter().map(append).collect();
            self.reader.shared.appended_bytes.fetch_add(bytes, Ordering::Relaxed);
            let last = op.last().map(|entry| entry.id.index);
            (LogOp::Append(op), last)
        };
        let Some(last) = last else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        let shared = self.reader.shared.clone();
        let done = move |result: io::Result<()>| {
            if result.is_ok() {
                shared.state.write().tail.durable_below(last + 1);
            }
            callback.io_completed(result);
        };
        self.io.submit(op, Some(Box::new(done))).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        {
            let mut state = self.state().write();
            if last.map(|id| id.index) >= state.last.map(|id| id.index) {
                return Ok(());
            }
            state.tail.truncate_after(last.map(|id| id.index));
            state.last = last.or(state.purged);
        }
        self.io.write(LogOp::TruncateAfter(last.map(Into::into))).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        {
            let mut state = self.state().write();
            state.tail.purge(upto.index);
            state.purged = state.purged.max(Some(upto));
            if state.last.is_none_or(|last| last.index < upto.index) {
                state.last = Some(upto);
            }
        }
        self.io.submit(LogOp::Purge(upto.into()), None).await
    }
}

impl LogReader {
    /// One more than the index of the last entry.
    fn end(&self) -> u64 {
        self.shared.state.read().last.map_or(0, |id| id.index + 1)
    }

    /// Payload bytes appended since start.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.shared.appended_bytes.load(Ordering::Relaxed)
    }

    /// The entries that exist from `start` to `end` (exclusive), without a gap between them: at least one if there is
    /// one, and no more once they exceed `bytes_max`. What was purged is left out.
    fn read(&self, start: u64, end: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (start, end, in_memory) = {
            let state = self.shared.state.read();
            let start = start.max(state.purged.map_or(0, |id| id.index + 1));
            let end = end.min(state.last.map_or(0, |id| id.index + 1));
            if start >= end {
                return Ok(Vec::new());
            }
            if let Some(entries) = state.tail.read(start, end, bytes_max) {
                return Ok(entries);
            }
            (start, end, state.tail.first_index().unwrap_or(end))
        };
        let entries = crate::blocking(|| self.disk.read(start, end.min(in_memory), bytes_max))?;
        let Some(first) = entries.first().map(|entry| entry.id.index) else {
            return Ok(self.shared.state.read().tail.read(in_memory, end, bytes_max).unwrap_or_default());
        };
        let contiguous = entries.into_iter().zip(first..).take_while(|(entry, index)| entry.id.index == *index);
        contiguous.map(|(entry, _)| entry.try_into().map_err(io::Error::other)).collect()
    }
}

impl<R: Response> RaftLogReader<TypeConfig<R>> for LogReader {
    async fn entries_stream<B>(&mut self, range: B) -> impl Stream<Item = io::Result<Entry>> + Send
    where
        B: RangeBounds<u64> + Clone + Debug + Send,
    {
        // Read piece by piece: a member that catches up applies more than fits in memory.
        let (start, end) = bounds(range);
        let pieces = stream::unfold((self.clone(), start), move |(reader, start)| async move {
            if start >= end {
                return None;
            }
            match reader.read(start, end, READ_BYTES_MAX) {
                Ok(entries) if entries.is_empty() && reader.end() <= start => None,
                Ok(entries) if entries.first().is_none_or(|entry| entry.log_id.index != start) => {
                    let missing = io::Error::new(io::ErrorKind::NotFound, format!("log entry {start} is missing"));
                    Some((vec![Err(missing)], (reader, end)))
                }
                Ok(entries) => {
                    let next = start + entries.len() as u64;
                    Some((entries.into_iter().map(Ok).collect(), (reader, next)))
                }
                Err(error) => Some((vec![Err(error)], (reader, end))),
            }
        });
        pieces.map(stream::iter).flatten()
    }

    async fn try_get_log_entries<B>(&mut self, range: B) -> io::Result<Vec<Entry>>
    where
        B: RangeBounds<u64> + Clone + Debug + Send,
    {
        let (start, end) = bounds(range);
        let mut entries = self.read(start, end, usize::MAX)?;
        while let Some(next) = entries.last().map(|e| e.log_id.index + 1).filter(|next| *next < end) {
            let more = self.read(next, end, usize::MAX)?;
            if more.is_empty() {
                break;
            }
            entries.extend(more);
        }
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.state.read().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let entries = self.read(start, end, READ_BYTES_MAX)?;
        // Purged from under a replication that is about to be told: it takes an empty answer for "later".
        Ok(if entries.first().is_some_and(|e| e.log_id.index != start) { Vec::new() } else { entries })
    }
}

fn bounds(range: impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}
