//! What a member does on its own: the leader expires keys, compacts history, forgets idle clients and compares the
//! members; every member removes history rows behind the compact revision, and sees that the cluster knows its
//! addresses. Comparing is in [`crate::compare`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use kuorum_proto::v1::cluster_client::ClusterClient;
use kuorum_proto::v1::{self, command};
use kuorum_raft::Node;
use kuorum_raft::ports::{Connector, Member};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::connect::PeerConnector;
use crate::data_dir::Identity;
use crate::machine::{Machine, Store};
use crate::propose::{now_ms, propose};

/// How often the leader looks for expired keys. An expiry is late by this much at most, and a bit for the commit.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// Keys of one expiry command: one revision, so one batch of events.
const EXPIRE_KEYS_MAX: usize = 256;
/// How often idle clients are looked for.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);
/// Compactions per retention time: history is kept for the retention and a tenth.
const COMPACTIONS_PER_RETENTION: u32 = 10;
/// No compaction more often than that, however short the retention.
const COMPACTION_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// How often a member looks whether the cluster knows its addresses.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(2);
/// What the tasks need.
#[derive(Clone)]
pub struct Housekeeping {
    pub node: Arc<Node<Machine>>,
    pub store: Arc<Store>,
    pub connector: Arc<PeerConnector>,
    pub identity: Identity,
    /// This member as the cluster should know it.
    pub member: Member,
    /// Zero: history is compacted on request only.
    pub retention: Duration,
    /// Zero: members are not compared.
    pub corrupt_check: Duration,
}

impl Housekeeping {
    /// Starts the tasks; they end with `stop`.
    pub fn start(self, stop: &CancellationToken) {
        for task in
            [Task::Expire, Task::Compact, Task::Forget, Task::Clean, Task::Compare, Task::StepAside, Task::Publish]
        {
            let (this, stop) = (self.clone(), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = this.run(task) => {}
                }
            });
        }
    }

    async fn run(self, task: Task) {
        match task {
            Task::Expire => self.expire().await,
            Task::Compact => self.compact().await,
            Task::Forget => self.forget().await,
            Task::Clean => self.clean().await,
            Task::Compare => self.compare().await,
            Task::StepAside => self.step_aside().await,
            Task::Publish => self.publish().await,
        }
    }

    pub(crate) fn leads(&self) -> bool {
        self.node.status().borrow().leader == Some(self.identity.member_id)
    }

    async fn expire(self) {
        let mut ticks = ticks(EXPIRY_INTERVAL);
        loop {
            ticks.tick().await;
            while self.leads() {
                let store = self.store.clone();
                let due = tokio::task::spawn_blocking(move || store.due(now_ms(), EXPIRE_KEYS_MAX)).await;
                let Ok(Ok(keys)) = due else { break };
                let full = keys.len() == EXPIRE_KEYS_MAX;
                if keys.is_empty() {
                    break;
                }
                if propose(&self.node, command::Body::Expire(command::Expire { keys })).await.is_err() || !full {
                    break;
                }
            }
        }
    }

    /// Every member notes which revision was current when, so that a new leader can go on compacting at once.
    async fn compact(self) {
        if self.retention.is_zero() {
            return;
        }
        let mut ticks = ticks((self.retention / COMPACTIONS_PER_RETENTION).max(COMPACTION_INTERVAL_MIN));
        let mut samples: VecDeque<(Instant, u64)> = VecDeque::new();
        loop {
            ticks.tick().await;
            let progress = self.store.hub().now();
            samples.push_back((Instant::now(), progress.revision));
            let mut target = 0;
            while let Some((_, revision)) = samples.front().filter(|(at, _)| at.elapsed() >= self.retention) {
                target = *revision;
                samples.pop_front();
            }
            if target > progress.compact_revision && self.leads() {
                let compact = command::Compact { revision: target };
                if let Err(error) = propose(&self.node, command::Body::Compact(compact)).await {
                    tracing::debug!(%error, "compaction was not proposed");
                }
            }
        }
    }

    async fn forget(self) {
        let mut ticks = ticks(FORGET_INTERVAL);
        loop {
            ticks.tick().await;
            if !self.leads() {
                continue;
            }
            let store = self.store.clone();
            let idle = tokio::task::spawn_blocking(move || store.idle_clients()).await;
            if let Ok(Ok(client_ids)) = idle
                && !client_ids.is_empty()
            {
                let forget = command::ForgetClients { client_ids };
                // Tried again at the next tick.
                let _ = propose(&self.node, command::Body::ForgetClients(forget)).await;
            }
        }
    }

    async fn clean(self) {
        let mut progress = self.store.hub().progress();
        let mut cleaned = None;
        loop {
            let compacted = progress.borrow_and_update().compact_revision;
            while cleaned != Some(compacted) {
                let store = self.store.clone();
                match tokio::task::spawn_blocking(move || store.clean()).await {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false)) => cleaned = Some(compacted),
                    outcome => {
                        tracing::warn!(?outcome, "history rows were not removed");
                        break;
                    }
                }
            }
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// The first membership knows peer URLs only: each member adds what only it knows, and corrects what changed.
    async fn publish(self) {
        let mut ticks = ticks(PUBLISH_INTERVAL);
        let id = self.identity.member_id;
        loop {
            ticks.tick().await;
            let status = self.node.status().borrow().clone();
            match status.membership.membership.members.get(&id) {
                Some(known) if *known != self.member => {}
                _ => continue,
            }
            let published = if status.leader == Some(id) {
                self.node.update_member(id, self.member.clone()).await.map_err(|e| e.to_string())
            } else {
                self.ask_leader_to_publish().await
            };
            match published {
                Ok(()) => tracing::info!(client_urls = ?self.member.client_urls, "addresses published"),
                Err(error) => tracing::debug!(error, "addresses not published yet"),
            }
        }
    }

    async fn ask_leader_to_publish(&self) -> Result<(), String> {
        let leader = self.node.leader().ok_or("no leader")?;
        let channel = self.connector.channel(leader.id, &leader.member).map_err(|e| e.to_string())?;
        let member = v1::Member {
            id: self.identity.member_id,
            name: self.member.name.clone(),
            peer_urls: self.member.peer_urls.clone(),
            client_urls: self.member.client_urls.clone(),
            learner: false,
        };
        ClusterClient::new(channel).member_update(member).await.map(|_| ()).map_err(|s| s.message().to_string())
    }
}

#[derive(Clone, Copy)]
enum Task {
    Expire,
    Compact,
    Forget,
    Clean,
    Compare,
    StepAside,
    Publish,
}

pub(crate) fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
