//! The store as the API server sees it: fences, transactions, and the resources that are held in memory.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use kuorum_proto::v1;
use parking_lot::RwLock;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::error::StoreError;
use crate::memory::Memory;
use crate::remote::Remote;
use crate::remote::connect::Config;
use crate::resource::{Resource, ResourceSpec};
use crate::snapshot::SnapshotError;
use crate::transform::ValueTransformer;
use crate::txn::{CommitOutcome, Txn};

/// A front-end's connection to the store, with its caches. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub progress: Progress,
    resources: RwLock<HashMap<String, Resource>>,
    /// A resource was registered that has to be loaded by itself.
    pub registered: Arc<Notify>,
    /// Seals and opens values; none: they are stored as they are.
    pub transformer: OnceLock<Arc<dyn ValueTransformer>>,
    pub backend: Backend,
}

pub(crate) enum Backend {
    Memory(Memory),
    Remote(Remote),
}

impl Store {
    /// A store inside this process, with the same semantics and no durability: for tests.
    pub fn memory() -> Self {
        Self::with_backend(|inner| Backend::Memory(Memory::new(inner)))
    }

    /// A store over gRPC. Nothing happens before [`Store::start`].
    pub fn connect(config: Config) -> Self {
        Self::with_backend(|inner| Backend::Remote(Remote::new(config, inner)))
    }

    fn with_backend(backend: impl FnOnce(Weak<Inner>) -> Backend) -> Self {
        let inner = Arc::new_cyclic(|inner: &Weak<Inner>| Inner {
            progress: Progress::default(),
            resources: RwLock::default(),
            registered: Arc::default(),
            transformer: OnceLock::new(),
            backend: backend(inner.clone()),
        });
        Store { inner }
    }

    /// Declares a resource. The same prefix again returns the first resource. After [`Store::start`] it is empty until
    /// [`Resource::wait_loaded`].
    pub fn register(&self, spec: ResourceSpec) -> Resource {
        let resource = {
            let mut resources = self.inner.resources.write();
            let new = || Resource::new(spec.clone(), Arc::downgrade(&self.inner));
            resources.entry(spec.prefix.clone()).or_insert_with(new).clone()
        };
        self.load(&resource);
        resource
    }

    /// Has a resource loaded that is not, or is to be loaded again.
    pub(crate) fn load(&self, resource: &Resource) {
        match &self.inner.backend {
            Backend::Memory(memory) => memory.load(resource),
            Backend::Remote(_) => self.inner.registered.notify_one(),
        }
    }

    /// Forgets a resource: what it holds is let go, its watches end, and the prefix may be registered again with
    /// other settings. Nothing changes in the store.
    pub fn unregister(&self, prefix: &str) {
        let removed = self.inner.resources.write().remove(prefix);
        if let Some(resource) = removed {
            resource.replace(Vec::new(), self.revision());
        }
    }

    pub fn resource(&self, prefix: &str) -> Option<Resource> {
        self.inner.resources.read().get(prefix).cloned()
    }

    /// Begins to follow the store, in background tasks of the current runtime that end when the last clone is dropped.
    pub fn start(&self) {
        match &self.inner.backend {
            Backend::Memory(_) => self.inner.progress.set_ready(true),
            Backend::Remote(remote) => remote.start(),
        }
    }

    /// Whether the initial load is complete (it stays so while the store is away: see [`Store::fence`]).
    pub fn ready(&self) -> bool {
        self.inner.progress.ready()
    }

    /// Whether a leader has answered within the last seconds: without a quorum nothing is written, and nothing is read
    /// but what is in the caches.
    pub fn available(&self) -> bool {
        match &self.inner.backend {
            Backend::Memory(memory) => memory.fence().is_ok(),
            Backend::Remote(remote) => remote.available(),
        }
    }

    /// Waits until [`Store::ready`].
    pub async fn wait_ready(&self) {
        let mut ready = self.inner.progress.ready.subscribe();
        // The sender lives as long as `self`.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// The revision up to which every resource is complete.
    pub fn revision(&self) -> u64 {
        self.inner.progress.revision()
    }

    /// The oldest revision that can still be read, as far as this front-end has heard.
    pub fn compact_revision(&self) -> u64 {
        self.inner.progress.compacted()
    }

    /// Waits until [`Store::revision`] is at least `revision`; false when the deadline came first.
    pub async fn wait_for_revision(&self, revision: u64, deadline: Instant) -> bool {
        let mut current = self.inner.progress.revision.subscribe();
        let reached = tokio::time::timeout_at(deadline, current.wait_for(|current| *current >= revision)).await;
        matches!(reached, Ok(Ok(_)))
    }

    /// When it returns, the caches hold everything that was acknowledged anywhere before the call. Returns that
    /// revision. Any number of concurrent callers share one fence in flight.
    pub async fn fence(&self, deadline: Instant) -> Result<u64, StoreError> {
        match &self.inner.backend {
            Backend::Memory(memory) => memory.fence(),
            Backend::Remote(remote) => remote.fence(deadline).await,
        }
    }

    /// Applies a transaction, at most once, retrying across changes of the leader until the deadline.
    pub async fn commit(&self, mut txn: Txn, deadline: Instant) -> Result<CommitOutcome, StoreError> {
        self.inner.seal(&mut txn)?;
        let absent = self.inner.absent_keys(&txn);
        let outcome = match &self.inner.backend {
            Backend::Memory(memory) => memory.commit(txn),
            Backend::Remote(remote) => remote.commit(txn, deadline).await,
        };
        self.inner.unreadable_exists(outcome, &absent)
    }

    /// The in-process store's controls, where this is one.
    pub fn memory_backend(&self) -> Option<&Memory> {
        match &self.inner.backend {
            Backend::Memory(memory) => Some(memory),
            Backend::Remote(_) => None,
        }
    }
}

impl Inner {
    pub fn resources(&self) -> Vec<Resource> {
        self.resources.read().values().cloned().collect()
    }

    /// The registered resource that a key belongs to.
    pub fn resource_of(&self, key: &[u8]) -> Option<Resource> {
        let prefix = resource_prefix(key)?;
        self.resources.read().get(prefix).cloned()
    }

    pub fn outcome_conflict(
        &self,
        index: usize,
        current: Option<v1::KeyValue>,
        revision: u64,
    ) -> Result<CommitOutcome, StoreError> {
        let read = |kv: v1::KeyValue| {
            let resource = self.resource_of(&kv.key)?;
            Some(resource.read_past(&kv.key, &kv.value, kv.create_revision, kv.mod_revision))
        };
        let current = current.and_then(read).transpose()?.flatten();
        Ok(CommitOutcome::Conflict { index, current, revision })
    }

    /// Everything under `prefix` as it was at `revision`, in key order.
    pub async fn range_at(
        &self,
        prefix: &str,
        revision: u64,
        deadline: Instant,
    ) -> Result<Vec<v1::KeyValue>, SnapshotError> {
        let kvs = match &self.backend {
            Backend::Memory(memory) => memory.range_at(prefix, revision),
            Backend::Remote(remote) => remote.range_at(prefix, revision, deadline).await,
        }?;
        self.prepare_kvs(&kvs).await;
        Ok(kvs)
    }

    /// The events under `prefix` behind `after` up to and including `up_to`, with what was before them.
    pub async fn history(
        &self,
        prefix: &str,
        after: u64,
        up_to: u64,
        deadline: Instant,
    ) -> Result<Vec<v1::Event>, SnapshotError> {
        let events = match &self.backend {
            Backend::Memory(memory) => memory.history(prefix, after, up_to),
            Backend::Remote(remote) => remote.history(prefix, after, up_to, deadline).await,
        }?;
        self.prepare_events(&events).await;
        Ok(events)
    }
}

/// `/registry/<group>/<plural>/` of a key.
pub(crate) fn resource_prefix(key: &[u8]) -> Option<&str> {
    let mut slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let end = slashes.nth(3)?;
    std::str::from_utf8(&key[..=end]).ok()
}

/// The first key behind every key that begins with `prefix`.
pub(crate) fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    Bytes::from(end)
}

/// How far the caches are.
pub(crate) struct Progress {
    revision: watch::Sender<u64>,
    compacted: watch::Sender<u64>,
    ready: watch::Sender<bool>,
}

impl Default for Progress {
    fn default() -> Self {
        Progress { revision: watch::Sender::new(0), compacted: watch::Sender::new(0), ready: watch::Sender::new(false) }
    }
}

impl Progress {
    pub fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    pub fn compacted(&self) -> u64 {
        *self.compacted.borrow()
    }

    pub fn ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Never goes back.
    pub fn advance(&self, revision: u64) {
        self.revision.send_if_modified(|current| raise(current, revision));
    }

    pub fn compact(&self, revision: u64) {
        self.compacted.send_if_modified(|current| raise(current, revision));
    }

    pub fn set_ready(&self, ready: bool) {
        self.ready.send_replace(ready);
    }
}

fn raise(current: &mut u64, to: u64) -> bool {
    let higher = to > *current;
    *current = to.max(*current);
    higher
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_of_a_key_is_its_first_two_segments() {
        assert_eq!(resource_prefix(b"/registry/core/pods/default/web-0"), Some("/registry/core/pods/"));
        assert_eq!(resource_prefix(b"/registry/core/namespaces/default"), Some("/registry/core/namespaces/"));
        assert_eq!(resource_prefix(b"/registry/core"), None);
    }

    #[test]
    fn the_end_of_a_prefix_is_behind_its_keys() {
        assert_eq!(prefix_end(b"/a/"), "/a0");
        assert_eq!(prefix_end(b"a\xff\xff"), "b");
        assert_eq!(prefix_end(b"\xff"), "");
    }
}
