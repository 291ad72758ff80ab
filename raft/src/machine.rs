//! Adapts a [`StateMachine`] to the consensus library: batches of entries in, responses out, snapshots as directories.

use std::{io, sync::Arc};

use futures_util::{FutureExt, Stream, StreamExt};
use openraft::{
    RaftSnapshotBuilder,
    storage::{ApplyResponder, EntryResponder, RaftStateMachine, Snapshot},
};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    blocking,
    ports::{self, LogEntry, Payload, SnapshotBuild, StateMachine},
    snapshot::{SnapshotDir, SnapshotStore},
    tail::cost,
    types::{LogId, SnapshotMeta, StoredMembership, TypeConfig},
};

/// Entries given to the state machine at once: enough that the cost of a call vanishes.
const APPLY_ENTRIES_MAX: usize = 1024;
/// Payload bytes given to the state machine at once: it makes one write batch of them.
const APPLY_BYTES_MAX: usize = 4 << 20;

type Config<M> = TypeConfig<<M as StateMachine>::Response>;

/// The state machine as the apply worker drives it.
pub(crate) struct Machine<M> {
    // A mutex only because the library wants to share what it never shares; `get_mut` costs nothing.
    machine: Mutex<M>,
    snapshots: Arc<SnapshotStore>,
    applied_below: watch::Sender<u64>,
}

impl<M: StateMachine> Machine<M> {
    /// `applied_below` is told one more than the index of the last applied entry.
    pub(crate) fn new(machine: M, snapshots: Arc<SnapshotStore>, applied_below: watch::Sender<u64>) -> Self {
        Self { machine: Mutex::new(machine), snapshots, applied_below }
    }

    fn state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let applied = blocking(|| self.machine.get_mut().applied())?;
        let membership = applied.membership.try_into().map_err(io::Error::other)?;
        Ok((applied.log_id.map(Into::into), membership))
    }

    fn announce(&self, applied: Option<LogId>) {
        self.applied_below.send_replace(applied.map_or(0, |id| id.index + 1));
    }

    fn start_build(&mut self) -> io::Result<Build> {
        let (last_log_id, last_membership) = self.state()?;
        let dir = self.snapshots.partial()?;
        let build = blocking(|| self.machine.get_mut().snapshot(dir.path()))?;
        Ok(Build { build, dir, meta: SnapshotMeta { last_log_id, last_membership } })
    }
}

impl<M: StateMachine> RaftStateMachine<Config<M>> for Machine<M> {
    type SnapshotData = Arc<SnapshotDir>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let state = self.state()?;
        self.announce(state.0);
        Ok(state)
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Config<M>>>> + Unpin + Send,
    {
        let mut entries = entries.fuse();
        let mut batch: Vec<LogEntry> = Vec::new();
        let mut responders: Vec<Option<ApplyResponder<Config<M>>>> = Vec::new();
        while let Some(first) = entries.next().await {
            let mut bytes = 0;
            let mut next = Some(first);
            let mut last = None;
            while let Some(item) = next.take() {
                let (entry, responder) = item?;
                bytes += cost(&entry);
                last = Some(entry.log_id);
                batch.push(entry.into());
                responders.push(responder);
                if batch.len() < APPLY_ENTRIES_MAX && bytes < APPLY_BYTES_MAX {
                    next = entries.next().now_or_never().flatten();
                }
            }
            let responses = blocking(|| self.machine.get_mut().apply(&batch))?;
            self.announce(last);
            answer::<M>(batch.drain(..), responders.drain(..), responses)?;
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        let build = self.start_build();
        if let Err(error) = &build
            && !force
        {
            tracing::warn!("cannot build a snapshot, will try again: {error}");
            return None;
        }
        Some(Builder { build: Mutex::new(Some(build)), force, snapshots: self.snapshots.clone() })
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { build: Mutex::new(Some(self.start_build())), force: true, snapshots: self.snapshots.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Arc<SnapshotDir>) -> io::Result<()> {
        blocking(|| self.machine.get_mut().install(snapshot.path()))?;
        let (applied, _) = self.state()?;
        if applied != meta.last_log_id {
            let found = applied.map(ports::LogId::from);
            let expected = meta.last_log_id.map(ports::LogId::from);
            return Err(io::Error::other(format!("the snapshot holds {found:?}, not {expected:?} as it says")));
        }
        self.announce(applied);
        // The files were the state machine's to take; the member needs a snapshot of its own from here on, because
        // the log before it is gone.
        let build = self.start_build()?;
        blocking(|| build.finish(&self.snapshots))?;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SmSnapshot>> {
        Ok(self.snapshots.current().map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

type SmSnapshot = Snapshot<crate::types::LeaderId, ports::NodeId, ports::Member, Arc<SnapshotDir>>;

/// Hands the responses of the commands, and nothing for the other entries, to those who wait.
fn answer<M: StateMachine>(
    batch: impl Iterator<Item = LogEntry>,
    responders: impl Iterator<Item = Option<ApplyResponder<Config<M>>>>,
    responses: Vec<M::Response>,
) -> io::Result<()> {
    let mut responses = responses.into_iter();
    for (entry, responder) in batch.zip(responders) {
        let response = match entry.payload {
            Payload::Command(_) => {
                Some(responses.next().ok_or_else(|| io::Error::other("the state machine left out a response"))?)
            }
            Payload::Blank | Payload::Membership(_) => None,
        };
        if let Some(responder) = responder {
            responder.send(response);
        }
    }
    Ok(())
}

/// A snapshot whose position is fixed, and whose files are not complete.
struct Build {
    build: Box<dyn SnapshotBuild>,
    dir: SnapshotDir,
    meta: SnapshotMeta,
}

impl Build {
    fn finish(self, snapshots: &SnapshotStore) -> io::Result<SmSnapshot> {
        self.build.finish()?;
        let snapshot = snapshots.publish(self.dir, self.meta.clone())?;
        Ok(Snapshot { meta: self.meta, snapshot })
    }
}

/// Completes one snapshot, beside the apply worker.
pub(crate) struct Builder {
    build: Mutex<Option<io::Result<Build>>>,
    force: bool,
    snapshots: Arc<SnapshotStore>,
}

impl<R: crate::types::Response> RaftSnapshotBuilder<TypeConfig<R>> for Builder {
    type SnapshotData = Arc<SnapshotDir>;

    async fn build_snapshot(&mut self) -> io::Result<SmSnapshot> {
        let build = self.build.get_mut().take().ok_or_else(|| io::Error::other("a snapshot is built once"))??;
        let snapshots = self.snapshots.clone();
        let finish = move || crate::guarded(|| build.finish(&snapshots));
        let built = tokio::task::spawn_blocking(finish).await.unwrap_or_else(|e| Err(io::Error::other(e)));
        match built {
            Ok(snapshot) => Ok(snapshot),
            // A snapshot that fails (a full disk, say) costs log space, not the member: the library would leave
            // service on an error, so it gets the snapshot it knows already, and the attempt is made again later.
            Err(error) if !self.force => {
                tracing::warn!("cannot build a snapshot, will try again: {error}");
                let (meta, snapshot) = match self.snapshots.current() {
                    Some(current) => current,
                    None => (SnapshotMeta::default(), Arc::new(self.snapshots.partial()?)),
                };
                Ok(Snapshot { meta, snapshot })
            }
            Err(error) => Err(error),
        }
    }
}
