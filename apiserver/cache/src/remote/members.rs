//! The store's members: which to talk to next, and the open channels to them.

use std::collections::HashMap;
use std::time::Duration;

use kuorum_proto::v1;
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::transport::Channel;

use super::connect::{Config, ConnectError};

/// How long a connection attempt may take, TLS included, before the next member is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Who leads, as far as anybody has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderHint {
    pub member_id: u64,
    /// Empty: not known.
    pub url: String,
}

pub(crate) struct Members {
    config: Config,
    leader: watch::Sender<LeaderHint>,
    channels: Mutex<HashMap<String, Channel>>,
    /// Where the session is: past revisions are read there.
    session: watch::Sender<Option<Channel>>,
}

impl Members {
    pub fn new(config: Config) -> Self {
        Members {
            config,
            leader: watch::Sender::default(),
            channels: Mutex::default(),
            session: watch::Sender::default(),
        }
    }

    /// The `attempt`-th member to try: the leader first, then the configured ones in turn.
    pub fn pick(&self, attempt: usize) -> Option<String> {
        let leader = self.leader.borrow().url.clone();
        if leader.is_empty() {
            let turn = attempt % self.config.members.len().max(1);
            return self.config.members.get(turn).cloned();
        }
        // Every other attempt goes to the leader: it may be known before it can be reached.
        if attempt.is_multiple_of(2) {
            return Some(leader);
        }
        let others: Vec<&String> = self.config.members.iter().filter(|url| **url != leader).collect();
        others.get(attempt / 2 % others.len().max(1)).map(|url| (*url).clone()).or(Some(leader))
    }

    /// A member has said who leads.
    pub fn learn(&self, leader: &v1::Leader) {
        let known = leader.client_urls.iter().find(|url| self.config.members.contains(url));
        let url = known.or(leader.client_urls.first()).cloned().unwrap_or_default();
        let hint = LeaderHint { member_id: leader.member_id, url };
        self.leader.send_if_modified(|current| std::mem::replace(current, hint.clone()) != hint);
    }

    /// The member at `url` is the leader itself.
    pub fn learn_url(&self, member_id: u64, url: &str) {
        let hint = LeaderHint { member_id, url: url.to_owned() };
        self.leader.send_if_modified(|current| std::mem::replace(current, hint.clone()) != hint);
    }

    /// The leader could not be reached: ask others.
    pub fn forget_leader(&self, url: &str) {
        self.leader.send_if_modified(|current| {
            let same = current.url == url;
            if same {
                *current = LeaderHint::default();
            }
            same
        });
    }

    pub fn leader(&self) -> watch::Receiver<LeaderHint> {
        self.leader.subscribe()
    }

    /// An open channel to a member.
    pub async fn channel(&self, url: &str) -> Result<Channel, ConnectError> {
        if let Some(channel) = self.channels.lock().get(url) {
            return Ok(channel.clone());
        }
        let connecting = self.config.connect.connect(url.to_owned());
        let channel = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| ConnectError::Other(format!("{url}: no answer in {CONNECT_TIMEOUT:?}")))??;
        self.channels.lock().insert(url.to_owned(), channel.clone());
        Ok(channel)
    }

    /// The channel failed: the next use opens another.
    pub fn discard(&self, url: &str) {
        self.channels.lock().remove(url);
    }

    pub fn set_session(&self, channel: Option<Channel>) {
        self.session.send_replace(channel);
    }

    pub fn session(&self) -> watch::Receiver<Option<Channel>> {
        self.session.subscribe()
    }
}
