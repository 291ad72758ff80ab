//! Watches one member: publishes its status, notices that it had to leave service, and decides when a snapshot is due.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use openraft::{Raft, RaftMetrics, async_runtime::watch::WatchReceiver};
use tokio::{sync::watch, time::Instant};

use crate::{
    log_store::LogReader,
    machine::Machine,
    node::Status,
    ports::{self, StateMachine},
    types::TypeConfig,
};

type Config<M> = TypeConfig<<M as StateMachine>::Response>;

/// How old the published log positions may be. Changes of term, leader and membership are published at once.
const INTERVAL: Duration = Duration::from_millis(200);
/// A snapshot that was asked for and has not come (it failed, or takes long) is asked for again after this.
const SNAPSHOT_RETRY: Duration = Duration::from_secs(30);

/// When a snapshot is due.
pub(crate) struct SnapshotPolicy {
    /// Entries applied since the last one.
    pub(crate) entries: u64,
    /// Bytes appended since the last one.
    pub(crate) bytes: u64,
}

/// What the monitor reads and tells.
pub(crate) struct Monitor<M: StateMachine> {
    pub(crate) raft: Raft<Config<M>, Machine<M>>,
    pub(crate) log: LogReader,
    pub(crate) policy: SnapshotPolicy,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) fatal: watch::Sender<Option<String>>,
    /// Set before the member is stopped on purpose.
    pub(crate) stopping: Arc<AtomicBool>,
}

impl<M: StateMachine> Monitor<M> {
    /// Runs until the member stops.
    pub(crate) async fn run(self) {
        let mut metrics = self.raft.metrics();
        let mut changes = self.raft.server_metrics();
        let mut snapshots = Snapshots::default();
        loop {
            let (status, running) = {
                let metrics = metrics.borrow_and_update();
                (status(&metrics, &self.status.borrow()), metrics.running_state.clone())
            };
            if let Err(reason) = running {
                // The library says "stopped" also when one of its tasks has panicked.
                if !self.stopping.load(Ordering::Relaxed) {
                    self.fail(reason.to_string());
                }
                return;
            }
            let due = snapshots.due(&self.policy, &status, self.log.appended_bytes(), Instant::now());
            self.status.send_if_modified(|current| {
                let changed = *current != status;
                *current = status;
                changed
            });
            if due && self.raft.trigger().snapshot().await.is_err() {
                continue;
            }
            // The other metrics change with every entry; they are looked at now and then.
            if let Ok(Err(_)) = tokio::time::timeout(INTERVAL, changes.changed()).await {
                // The core has ended; its last words are in the metrics.
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }

    fn fail(&self, reason: String) {
        tracing::error!("leaving service: {reason}");
        self.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            fatal.get_or_insert(reason);
            first
        });
    }
}

/// Converts the library's metrics; what has not changed is shared with the status before.
fn status<R: crate::types::Response>(metrics: &RaftMetrics<TypeConfig<R>>, before: &Status) -> Status {
    let log_id = |id: crate::types::LogId| ports::LogId::from(id);
    let stored = &metrics.membership_config;
    let membership = match before.membership.log_id == stored.log_id().map(log_id) {
        true => before.membership.clone(),
        false => Arc::new(ports::StoredMembership::from((**stored).clone())),
    };
    let replication = metrics.replication.iter().flatten().map(|(id, matched)| (*id, matched.map(log_id))).collect();
    Status {
        id: metrics.id,
        term: metrics.current_term,
        leader: metrics.current_leader,
        last_log_index: metrics.last_log_index,
        committed: metrics.local_committed.map(log_id),
        applied: metrics.last_applied.map(log_id),
        snapshot: metrics.snapshot.map(log_id),
        purged: metrics.purged.map(log_id),
        membership,
        replication: Arc::new(replication),
    }
}

/// What the policy has to remember.
#[derive(Default)]
struct Snapshots {
    last: Option<ports::LogId>,
    bytes_at_last: u64,
    asked: Option<Instant>,
}

impl Snapshots {
    fn due(&mut self, policy: &SnapshotPolicy, status: &Status, appended_bytes: u64, now: Instant) -> bool {
        if status.snapshot != self.last {
            self.last = status.snapshot;
            self.bytes_at_last = appended_bytes;
            self.asked = None;
        }
        let next = |id: Option<ports::LogId>| id.map_or(0, |id| id.index + 1);
        let entries = next(status.applied).saturating_sub(next(status.snapshot));
        let wanted = entries >= policy.entries || (entries > 0 && appended_bytes - self.bytes_at_last >= policy.bytes);
        let waiting = self.asked.is_some_and(|asked| now.duration_since(asked) < SNAPSHOT_RETRY);
        let due = wanted && !waiting;
        if due {
            self.asked = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_by_entries_or_bytes_and_asked_for_once() {
        let policy = SnapshotPolicy { entries: 100, bytes: 1000 };
        let at = |applied: u64, snapshot: Option<u64>| {
            let id = |index| ports::LogId { term: 1, node_id: 1, index };
            Status { applied: Some(id(applied)), snapshot: snapshot.map(id), ..Status::default() }
        };
        let start = Instant::now();
        let mut snapshots = Snapshots::default();
        assert!(!snapshots.due(&policy, &at(50, None), 999, start));
        assert!(snapshots.due(&policy, &at(50, None), 1000, start));
        assert!(!snapshots.due(&policy, &at(60, None), 1100, start));
        assert!(snapshots.due(&policy, &at(60, None), 1100, start + SNAPSHOT_RETRY));
        assert!(!snapshots.due(&policy, &at(60, Some(60)), 1200, start + SNAPSHOT_RETRY));
        assert!(!snapshots.due(&policy, &at(60, Some(60)), 9999, start + SNAPSHOT_RETRY), "nothing new to keep");
        assert!(!snapshots.due(&policy, &at(159, Some(60)), 2199, start + SNAPSHOT_RETRY));
        assert!(snapshots.due(&policy, &at(160, Some(60)), 2199, start + SNAPSHOT_RETRY));
    }
}
