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
    /// A follower that hears nothing for this long stands for election, plus a random time up to
    /// `election_timeout_max`. Many times the heartbeat: on a loaded machine a heartbeat is late now and then.
    pub election_timeout_min: Duration,
    /// See `election_timeout_min`.
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

impl NodeConfig {
    /// The defaults, made for members that share a small machine with others.
    pub fn new(id: NodeId, name: impl Into<String>, cluster_id: u64, snapshot_dir: impl Into<PathBuf>) -> Self {
        Self {
            id,
            name: name.into(),
            cluster_id,
            snapshot_dir: snapshot_dir.into(),
            heartbeat_interval: Duration::from_millis(100),
            election_timeout_min: Duration::from_millis(1000),
            election_timeout_max: Duration::from_millis(2000),
            snapshot_entries: 100_000,
            snapshot_bytes: 256 << 20,
            keep_entries: 10_000,
            tail_bytes: 64 << 20,
        }
    }
}
