//! A member's settings for consensus, with their defaults and the relations between them.

use std::{path::PathBuf, time::Duration};

use crate::ports::NodeId;

/// Settings of one member, fixed while it runs. All members should have the same times.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// This member's id; see [`crate::member_id`]. Never 0.
    pub id: NodeId,
    /// This member's name, as its certificate and the membership have it.
    pub name: String,
    /// Identifies the cluster; see [`crate::cluster_id`]. Messages with another one are refused.
    pub cluster_id: u64,
    /// Where snapshots are built and received: a directory that is this member's own, on the same file system as the
    /// state machine (so that files can be hard links).
    pub snapshot_dir: PathBuf,
    /// How often an idle leader tells the others that it is there.
    pub heartbeat_interval: Duration,
    /// A follower that hears nothing from the leader for this long, plus a random time up to `election_timeout_max`,
    /// stands for election. Many times the heartbeat: on a loaded machine a heartbeat is late now and then.
    pub election_timeout_min: Duration,
    /// The longest silence before an election. A leader that no majority has answered for half of it takes no
    /// proposals. `election_timeout_min` must be more than half of it plus a heartbeat.
    pub election_timeout_max: Duration,
    /// Build a snapshot when this many entries were applied since the last one.
    pub snapshot_entries: u64,
    /// Build a snapshot when this many bytes were appended since the last one.
    pub snapshot_bytes: u64,
    /// Entries that stay in the log behind a snapshot, for followers that are only a little behind.
    pub keep_entries: u64,
    /// Bytes of recent entries that are kept in memory, so that replication and apply need not read the disk.
    pub tail_bytes: usize,
}

/// Settings that contradict each other.
#[derive(Debug, Clone, thiserror::Error)]
#[error("raft settings: {0}")]
pub struct ConfigError(String);

/// Entries in one message; the bytes in it are bounded as well (see `log_store`), which small entries never reach.
const MESSAGE_ENTRIES_MAX: u64 = 1024;

impl NodeConfig {
    /// The defaults, made for members that share a small machine with others.
    pub fn new(id: NodeId, name: impl Into<String>, cluster_id: u64, snapshot_dir: impl Into<PathBuf>) -> Self {
        Self {
            id,
            name: name.into(),
            cluster_id,
            snapshot_dir: snapshot_dir.into(),
            heartbeat_interval: Duration::from_millis(100),
            election_timeout_min: Duration::from_millis(1100),
            election_timeout_max: Duration::from_millis(1500),
            snapshot_entries: 100_000,
            snapshot_bytes: 256 << 20,
            keep_entries: 10_000,
            tail_bytes: 64 << 20,
        }
    }

    /// The library's settings.
    pub(crate) fn to_raft(&self) -> Result<openraft::Config, ConfigError> {
        if self.id == 0 || self.cluster_id == 0 {
            return Err(ConfigError("member id and cluster id must not be 0".into()));
        }
        let millis = |time: Duration| time.as_millis().try_into().unwrap_or(u64::MAX);
        // The library lets a follower wait for the leader's lease, which is its `election_timeout_max`, and then for
        // its election timeout: a silence between min + max and twice max.
        let lease = millis(self.election_timeout_max) / 2;
        let wait = millis(self.election_timeout_min)
            .checked_sub(lease)
            .ok_or_else(|| ConfigError("election_timeout_min is less than half of election_timeout_max".into()))?;
        let config = openraft::Config {
            cluster_name: format!("{:016x}", self.cluster_id),
            heartbeat_interval: millis(self.heartbeat_interval),
            election_timeout_min: wait,
            election_timeout_max: lease,
            max_payload_entries: MESSAGE_ENTRIES_MAX,
            snapshot_policy: openraft::SnapshotPolicy::Never, // the monitor asks for them, by entries and by bytes
            max_in_snapshot_log_to_keep: self.keep_entries,
            replication_lag_threshold: self.keep_entries,
            // Replicate while the local fsync still runs.
            broadcast_submitted_on_append: Some(true),
            enable_pre_vote: Some(true),
            // A restarted leader stands for election like everybody else: what it had committed is not synced.
            enable_leader_restore: Some(false),
            backoff: "50ms 100ms 200ms ...1s".into(),
            ..openraft::Config::default()
        };
        config.validate().map_err(|e| ConfigError(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_fit_together_and_contradictions_are_told() {
        let config = NodeConfig::new(1, "a", 1, "/nowhere");
        let raft = config.to_raft().unwrap();
        assert_eq!(raft.election_timeout_min + raft.election_timeout_max, 1100);
        assert_eq!(2 * raft.election_timeout_max, 1500);
        for wrong in [
            NodeConfig { id: 0, ..config.clone() },
            NodeConfig { cluster_id: 0, ..config.clone() },
            NodeConfig { election_timeout_min: Duration::from_millis(100), ..config.clone() },
            NodeConfig { election_timeout_max: Duration::from_millis(1100), ..config.clone() },
            NodeConfig { heartbeat_interval: Duration::from_millis(500), ..config.clone() },
        ] {
            assert!(wrong.to_raft().is_err(), "{wrong:?}");
        }
    }
}
