//! The one thread that writes the raft log. It takes everything that is waiting, hands it to the [`LogDisk`] as one
//! batch with one fsync, and only then tells those who wait. After an error it never writes again.

use std::{io, sync::Arc, thread};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::ports::{LogDisk, LogOp, Payload};

/// Changes that may wait for the thread. Each is already a whole append of the consensus core, so this is only reached
/// when the disk stands still; the core then waits too, and the proposers behind it.
const QUEUE_OPS_MAX: usize = 1024;

/// A batch is closed when its payloads reach this size: it bounds memory and the time that its first entry waits.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Called once with the outcome of a change, on the IO thread: it must not block.
pub(crate) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

struct Job {
    op: LogOp,
    done: Option<Done>,
}

/// Where changes are queued. The thread ends, after writing what is queued, when this is dropped.
pub(crate) struct LogIo {
    jobs: mpsc::Sender<Job>,
}

/// Joins the IO thread. The [`LogIo`] must have been dropped, or it waits for that.
#[derive(Clone)]
pub(crate) struct LogIoThread(Arc<Mutex<Option<thread::JoinHandle<()>>>>);

impl LogIoThread {
    /// Waits until everything queued is written and the disk is closed.
    pub(crate) async fn join(&self) {
        let handle = self.0.lock().take();
        if let Some(handle) = handle {
            let joined = tokio::task::spawn_blocking(move || handle.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the log IO thread panicked");
            }
        }
    }
}

impl LogIo {
    /// Starts the thread. The first error is also sent to `fatal`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn spawn(
        disk: Box<dyn LogDisk>,
        fatal: watch::Sender<Option<String>>,
    ) -> io::Result<(Self, LogIoThread)> {
        let (jobs, queue) = mpsc::channel(QUEUE_OPS_MAX);
        let handle = thread::Builder::new()
            .name("raft-log".into())
            .spawn(move || Writer { disk, fatal, failed: None }.run(queue))?;
        Ok((Self { jobs }, LogIoThread(Arc::new(Mutex::new(Some(handle))))))
    }

    /// Queues a change; `done` is called when it is carried out (and durable, if it [`LogOp::needs_sync`]). Waits
    /// while the queue is full.
    ///
    /// # Errors
    /// When the thread is gone.
    pub(crate) async fn submit(&self, op: LogOp, done: Option<Done>) -> io::Result<()> {
        let gone = |_| io::Error::other("the log IO thread is gone");
        self.jobs.send(Job { op, done }).await.map_err(gone)
    }

    /// Queues a change and waits for it.
    ///
    /// # Errors
    /// Those of the disk, or when the thread is gone.
    pub(crate) async fn write(&self, op: LogOp) -> io::Result<()> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        self.submit(op, Some(Box::new(move |result| drop(tx.send(result))))).await?;
        rx.await.unwrap_or_else(|_| Err(io::Error::other("the log IO thread is gone")))
    }
}

struct Writer {
    disk: Box<dyn LogDisk>,
    fatal: watch::Sender<Option<String>>,
    failed: Option<String>,
}

impl Writer {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut ops = Vec::new();
        let mut dones: Vec<Done> = Vec::new();
        // A commit position is worth no write of its own: it is only a hint, and rides on the next batch.
        let mut committed = None;
        let take = |job: Job, ops: &mut Vec<LogOp>, dones: &mut Vec<Done>, committed: &mut Option<LogOp>| {
            let bytes = op_bytes(&job.op);
            match job.op {
                op @ LogOp::SaveCommitted(_) => *committed = Some(op),
                op => ops.push(op),
            }
            dones.extend(job.done);
            bytes
        };
        while let Some(job) = queue.blocking_recv() {
            let mut bytes = take(job, &mut ops, &mut dones, &mut committed);
            while bytes < BATCH_BYTES_MAX
                && let Ok(job) = queue.try_recv()
            {
                bytes += take(job, &mut ops, &mut dones, &mut committed);
            }
            if !ops.is_empty() {
                ops.extend(committed.take());
                self.write(&ops);
            }
            ops.clear();
            for done in dones.drain(..) {
                done(self.outcome());
            }
        }
        if let Some(op) = committed {
            self.write(&[op]);
        }
    }

    fn write(&mut self, ops: &[LogOp]) {
        if self.failed.is_some() {
            return;
        }
        let sync = ops.iter().any(LogOp::needs_sync);
        if let Err(error) = crate::guarded(|| self.disk.write(ops, sync)) {
            let reason = format!("cannot write the raft log: {error}");
            tracing::error!("{reason}; leaving service");
            self.fatal.send_if_modified(|fatal| {
                let first = fatal.is_none();
                fatal.get_or_insert_with(|| reason.clone());
                first
            });
            self.failed = Some(reason);
        }
    }

    fn outcome(&self) -> io::Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(reason) => Err(io::Error::other(reason.clone())),
        }
    }
}

/// Payload bytes in a change.
pub(crate) fn op_bytes(op: &LogOp) -> usize {
    let LogOp::Append(entries) = op else { return 0 };
    let payload = |entry: &crate::ports::LogEntry| match &entry.payload {
        Payload::Command(bytes) => bytes.len(),
        _ => 0,
    };
    entries.iter().map(payload).sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;

    use super::*;
    use crate::{
        memory::MemoryLog,
        ports::{LogEntry, LogId, Vote},
    };

    fn append(index: u64) -> LogOp {
        LogOp::Append(vec![LogEntry {
            id: LogId { term: 1, node_id: 1, index },
            payload: Payload::Command(Bytes::from_static(b"x")),
        }])
    }

    #[tokio::test]
    async fn groups_what_waits_into_one_fsync() {
        let log = MemoryLog::default();
        let gate = log.hold_writes();
        let (io, thread) = LogIo::spawn(Box::new(log.clone()), watch::Sender::new(None)).unwrap();
        for index in 0..100 {
            io.submit(append(index), None).now_or_never().unwrap().unwrap();
        }
        drop(gate);
        io.write(LogOp::SaveVote(Vote::default())).await.unwrap();
        drop(io);
        thread.join().await;
        assert!(log.syncs() <= 3, "{} fsyncs for 101 changes", log.syncs());
    }

    #[tokio::test]
    async fn never_writes_again_after_an_error() {
        let log = MemoryLog::default();
        let fatal = watch::Sender::new(None);
        let (io, thread) = LogIo::spawn(Box::new(log.clone()), fatal.clone()).unwrap();
        io.write(append(0)).await.unwrap();
        log.fail_writes(true);
        io.write(append(1)).await.unwrap_err();
        log.fail_writes(false);
        io.write(append(1)).await.unwrap_err();
        assert!(fatal.borrow().as_deref().unwrap().contains("cannot write"));
        drop(io);
        thread.join().await;
        assert_eq!(log.last_index(), Some(0));
    }

    #[tokio::test]
    async fn a_commit_position_is_written_at_the_end_at_the_latest() {
        let log = MemoryLog::default();
        let (io, thread) = LogIo::spawn(Box::new(log.clone()), watch::Sender::new(None)).unwrap();
        let id = LogId { term: 1, node_id: 1, index: 0 };
        io.write(append(0)).await.unwrap();
        io.submit(LogOp::SaveCommitted(Some(id)), None).await.unwrap();
        drop(io);
        thread.join().await;
        assert_eq!(log.clone().load().unwrap().committed, Some(id));
        assert_eq!(log.syncs(), 1);
    }
}
