//! The session: loads everything once, then follows the store's events, from one member after another.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use kuorum_proto::v1;
use kuorum_proto::v1::session_response::Response;
use kuorum_proto::v1::store_client::StoreClient;
use tonic::transport::Channel;

use super::contact::{Contact, PROBE_INTERVAL};
use super::fence::Fences;
use super::members::Members;
use super::{MESSAGE_BYTES_MAX, read};
use crate::object::Object;
use crate::store::{Inner, resource_prefix};

/// What front-ends hold: everything.
const PREFIX: &str = "/registry/";
/// Between attempts to open a session: quick at first, because an election takes less than a second.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Before a fence that a member could not serve is sent again.
const FENCE_RETRY: Duration = Duration::from_millis(50);
/// A session moves to the leader, where a fence takes one hop less, but not more often than this.
const MOVE_INTERVAL: Duration = Duration::from_secs(2);
/// How often what is retained too long is dropped.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(30);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Connect(#[from] super::connect::ConnectError),
    #[error("{0}")]
    Status(#[from] tonic::Status),
    #[error("the member closed the session")]
    Closed,
    #[error("the history was compacted")]
    Compacted,
    #[error("moving to the leader")]
    Move,
    #[error("the store is being dropped")]
    Dropped,
}

/// Follows the store until it is dropped.
pub(crate) async fn run(store: Weak<Inner>, members: Arc<Members>, fences: Arc<Fences>, contact: Arc<Contact>) {
    let mut session = Session { store, members, fences, contact, loaded: false };
    let mut attempt = 0;
    let mut backoff = BACKOFF_MIN;
    loop {
        let Some(url) = session.members.pick(attempt) else {
            tracing::error!("no store member is configured");
            return;
        };
        let before = session.revision();
        let ended = session.follow(&url).await;
        session.members.set_session(None);
        session.fences.close(&ended.to_string());
        match ended {
            Ended::Dropped => return,
            Ended::Move => {
                attempt = 0;
                continue;
            }
            Ended::Compacted => session.loaded = false,
            Ended::Connect(_) | Ended::Status(_) | Ended::Closed => {
                session.members.discard(&url);
                session.members.forget_leader(&url);
                attempt += 1;
            }
        }
        tracing::warn!(%url, reason = %ended, "lost the session with the store");
        backoff = if session.revision() > before { BACKOFF_MIN } else { (backoff * 2).min(BACKOFF_MAX) };
        tokio::time::sleep(super::jittered(backoff)).await;
    }
}

struct Session {
    store: Weak<Inner>,
    members: Arc<Members>,
    fences: Arc<Fences>,
    contact: Arc<Contact>,
    loaded: bool,
}

impl Session {
    fn revision(&self) -> u64 {
        self.store.upgrade().map_or(0, |store| store.progress.revision())
    }

    async fn follow(&mut self, url: &str) -> Ended {
        match self.try_follow(url).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn try_follow(&mut self, url: &str) -> Result<std::convert::Infallible, Ended> {
        let channel = self.members.channel(url).await?;
        let mut client = StoreClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        if !self.loaded {
            self.load(&mut client).await?;
            self.loaded = true;
        }
        let after_revision = self.revision();
        let open = v1::session_request::Open { prefix: PREFIX.into(), after_revision };
        let mut responses = client.session(self.fences.open(open)).await?.into_inner();
        let mut member_id = 0;
        let mut leader = self.members.leader();
        let opened = tokio::time::Instant::now();
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING_INTERVAL);
        let registered = self.store.upgrade().ok_or(Ended::Dropped)?.registered.clone();
        let mut probe = tokio::time::interval(PROBE_INTERVAL);
        let fence_retry = tokio::time::sleep(Duration::MAX);
        tokio::pin!(fence_retry);
        loop {
            let message = tokio::select! {
                biased;
                message = responses.message() => message?.ok_or(Ended::Closed)?,
                () = &mut fence_retry => {
                    self.fences.resume();
                    fence_retry.set(tokio::time::sleep(Duration::MAX));
                    continue;
                }
                _ = leader.changed(), if member_id != 0 => {
                    let hint = leader.borrow_and_update().clone();
                    let elsewhere = !hint.url.is_empty() && hint.url != url && hint.member_id != member_id;
                    if elsewhere && opened.elapsed() > MOVE_INTERVAL {
                        return Err(Ended::Move);
                    }
                    continue;
                }
                () = registered.notified(), if member_id != 0 => {
                    self.load_registered(&mut client).await?;
                    continue;
                }
                _ = probe.tick() => {
                    if self.contact.silence() >= PROBE_INTERVAL {
                        self.fences.probe();
                    }
                    continue;
                }
                _ = housekeeping.tick() => {
                    let store = self.store.upgrade().ok_or(Ended::Dropped)?;
                    store.resources().iter().for_each(|resource| resource.forget_old_snapshots());
                    continue;
                }
            };
            let store = self.store.upgrade().ok_or(Ended::Dropped)?;
            match message.response {
                Some(Response::Events(batch)) => {
                    store.prepare_events(&batch.events).await;
                    store.apply(&batch.events);
                }
                Some(Response::FenceAck(ack)) => {
                    store.progress.advance(ack.revision);
                    store.progress.compact(ack.compact_revision);
                    self.fences.acknowledged(ack.id, ack.revision);
                }
                Some(Response::FenceFailed(failed)) => {
                    self.fences.failed(failed.id, failed.message);
                    fence_retry.set(tokio::time::sleep(FENCE_RETRY));
                }
                Some(Response::Opened(now)) => {
                    member_id = now.member_id;
                    store.progress.compact(now.compact_revision);
                    self.members.set_session(Some(channel.clone()));
                    store.progress.set_ready(true);
                    metrics::counter!("kuorum_store_sessions_total").increment(1);
                    // Some may have come meanwhile.
                    registered.notify_one();
                    tracing::info!(%url, member = member_id, after_revision, "following the store");
                }
                Some(Response::Leader(now)) if now.member_id == member_id && member_id != 0 => {
                    self.members.learn_url(member_id, url);
                }
                Some(Response::Leader(now)) => self.members.learn(&now),
                Some(Response::Compacted(compacted)) => {
                    store.progress.compact(compacted.compact_revision);
                    return Err(Ended::Compacted);
                }
                None => {}
            }
        }
    }

    /// Reads everything at one revision, and replaces all that is held.
    async fn load(&self, client: &mut StoreClient<Channel>) -> Result<(), Ended> {
        let request = v1::RangeRequest {
            start: PREFIX.into(),
            end: crate::store::prefix_end(PREFIX.as_bytes()),
            linearizable: true,
            ..v1::RangeRequest::default()
        };
        let resources = self.store.upgrade().ok_or(Ended::Dropped)?.resources();
        let mut chunks = client.range(request).await?.into_inner();
        let mut revision = 0;
        let mut objects: HashMap<String, Vec<Arc<Object>>> = HashMap::new();
        while let Some(chunk) = chunks.message().await? {
            let store = self.store.upgrade().ok_or(Ended::Dropped)?;
            revision = chunk.revision;
            store.prepare_kvs(&chunk.kvs).await;
            for kv in &chunk.kvs {
                let Some(prefix) = resource_prefix(&kv.key) else { continue };
                let Some(resource) = store.resource_of(&kv.key) else { continue };
                let Some(object) = read::object(&resource, kv) else { continue };
                match objects.get_mut(prefix) {
                    Some(found) => found.push(object),
                    None => drop(objects.insert(prefix.to_owned(), vec![object])),
                }
            }
        }
        let store = self.store.upgrade().ok_or(Ended::Dropped)?;
        let total: usize = objects.values().map(Vec::len).sum();
        // One that was registered since is loaded by itself.
        for resource in resources {
            let mut loaded = objects.remove(&resource.spec().prefix).unwrap_or_default();
            loaded.shrink_to_fit();
            resource.replace(loaded, revision);
        }
        store.progress.advance(revision);
        tracing::info!(objects = total, revision, "loaded the store's objects");
        Ok(())
    }

    /// Reads the resources that were registered after the load. Nothing is applied meanwhile, so what is read at the
    /// revision that has been reached fits exactly before what comes next.
    async fn load_registered(&self, client: &mut StoreClient<Channel>) -> Result<(), Ended> {
        let mut resources = self.store.upgrade().ok_or(Ended::Dropped)?.resources();
        resources.retain(|resource| resource.take_load());
        for resource in resources {
            let prefix = resource.spec().prefix.as_bytes();
            let request = v1::RangeRequest {
                start: bytes::Bytes::copy_from_slice(prefix),
                end: crate::store::prefix_end(prefix),
                revision: self.revision(),
                ..v1::RangeRequest::default()
            };
            let mut chunks = client.range(request).await?.into_inner();
            let (mut revision, mut objects) = (0, Vec::new());
            while let Some(chunk) = chunks.message().await? {
                revision = chunk.revision;
                self.store.upgrade().ok_or(Ended::Dropped)?.prepare_kvs(&chunk.kvs).await;
                objects.extend(chunk.kvs.iter().filter_map(|kv| read::object(&resource, kv)));
            }
            tracing::debug!(prefix = resource.spec().prefix, objects = objects.len(), revision, "loaded a resource");
            resource.replace(objects, revision);
        }
        Ok(())
    }
}
