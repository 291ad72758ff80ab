//! Encryption at rest: where values are sealed on their way to the store, and opened on their way back.
//!
//! The cache itself knows no cipher: it is given a [`ValueTransformer`]. A value that does not open is held as
//! [`Unreadable`]: it exists, but every read of it is an error that says why.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kuorum_proto::v1;
use parking_lot::RwLock;

use crate::error::StoreError;
use crate::resource::Resource;
use crate::store::{Inner, Store, resource_prefix};
use crate::txn::{CommitOutcome, Txn};

/// What a value was sealed with, as the transformer numbers it; 0: with nothing.
pub type Seal = u8;

/// What every sealed value begins with.
const SEALED_PREFIX: &[u8] = b"k8s:enc:";

/// Seals and opens values. `prefix` is the resource's, `key` the whole store key, which is authenticated with the
/// value.
pub trait ValueTransformer: Send + Sync {
    /// The sealed value; `None`: values of this resource stay as they are.
    fn seal(&self, prefix: &str, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, String>;

    /// The value as it was before it was sealed (`None`: it was not), and its seal.
    fn open(&self, prefix: &str, key: &[u8], stored: &Bytes) -> Result<(Option<Vec<u8>>, Seal), String>;

    /// Whether a value with this seal would be sealed otherwise now.
    fn is_stale(&self, prefix: &str, seal: Seal) -> bool;

    /// Fetches from elsewhere what [`ValueTransformer::open`] will need for this value: `None`, nothing.
    fn prepare<'a>(&'a self, prefix: &'a str, stored: &'a Bytes) -> Option<BoxFuture<'a, ()>>;
}

/// A stored value that cannot be read: sealed with a key that is not here, or damaged.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// As in [`Object::key`](crate::Object::key).
    pub key: Box<str>,
    /// The store's revision at which it was written.
    pub revision: u64,
    pub why: String,
}

impl Unreadable {
    pub(crate) fn error(&self, prefix: &str) -> StoreError {
        StoreError::Unreadable { key: format!("{prefix}{}", self.key), why: self.why.clone() }
    }
}

/// The values of a resource that cannot be read, by their keys.
#[derive(Default)]
pub(crate) struct UnreadableSet {
    current: RwLock<BTreeMap<Box<str>, Unreadable>>,
    /// Found by a load that has not replaced the state yet.
    loading: parking_lot::Mutex<BTreeMap<Box<str>, Unreadable>>,
    /// They may open now: the resource is to be loaded again.
    try_again: AtomicBool,
}

impl UnreadableSet {
    pub fn is_empty(&self) -> bool {
        self.current.read().is_empty()
    }

    pub fn insert(&self, found: Unreadable) {
        self.current.write().insert(found.key.clone(), found);
    }

    pub fn remove(&self, key: &str) {
        if !self.is_empty() {
            self.current.write().remove(key);
        }
    }

    pub fn found_by_load(&self, found: Unreadable) {
        self.loading.lock().insert(found.key.clone(), found);
    }

    /// A load is complete: what it found is what there is.
    pub fn replace(&self) {
        let found = std::mem::take(&mut *self.loading.lock());
        *self.current.write() = found;
    }
}

impl Store {
    /// Gives the store a transformer, before [`Store::start`]; the first one counts.
    pub fn set_transformer(&self, transformer: Arc<dyn ValueTransformer>) {
        let _ = self.inner.transformer.set(transformer);
    }

    /// Tries again what could not be read: call it when the transformer has other keys.
    pub fn open_again(&self) {
        for resource in self.inner.resources() {
            if resource.try_again() {
                self.load(&resource);
            }
        }
    }
}

impl Inner {
    /// The stored form of a transaction's values.
    pub fn seal(&self, txn: &mut Txn) -> Result<(), StoreError> {
        let Some(transformer) = self.transformer.get() else { return Ok(()) };
        for op in &mut txn.ops {
            let Some(v1::op::Op::Put(put)) = &mut op.op else { continue };
            let Some(prefix) = resource_prefix(&put.key) else { continue };
            match transformer.seal(prefix, &put.key, &put.value) {
                Ok(None) => {}
                Ok(Some(sealed)) => put.value = sealed.into(),
                Err(why) => return Err(StoreError::Unsealable(why)),
            }
        }
        Ok(())
    }

    /// The keys that a transaction expects to be absent, with the places of those preconditions.
    pub fn absent_keys(&self, txn: &Txn) -> Vec<(usize, Bytes)> {
        if self.transformer.get().is_none() {
            return Vec::new();
        }
        let absent = txn.compares.iter().enumerate().filter(|(_, compare)| compare.mod_revision == 0);
        absent.map(|(index, compare)| (index, compare.key.clone())).collect()
    }

    /// A key that should be absent and holds what cannot be read is there: an ordinary conflict.
    pub fn unreadable_exists(
        &self,
        outcome: Result<CommitOutcome, StoreError>,
        absent: &[(usize, Bytes)],
    ) -> Result<CommitOutcome, StoreError> {
        let Err(StoreError::Unreadable { key, .. }) = &outcome else { return outcome };
        match absent.iter().find(|(_, expected)| expected == key.as_bytes()) {
            Some((index, _)) => {
                Ok(CommitOutcome::Conflict { index: *index, current: None, revision: self.progress.revision() })
            }
            None => outcome,
        }
    }

    /// Fetches what opening these values will need.
    pub async fn prepare<'a>(&self, values: impl IntoIterator<Item = (&'a Bytes, &'a Bytes)>) {
        let Some(transformer) = self.transformer.get() else { return };
        let work = |(key, stored): (&'a Bytes, &'a Bytes)| {
            let prefix = resource_prefix(key).filter(|_| stored.starts_with(SEALED_PREFIX))?;
            transformer.prepare(prefix, stored)
        };
        // The caller's iterator is not held while anything is waited for.
        let work: Vec<_> = values.into_iter().filter_map(work).collect();
        for work in work {
            work.await;
        }
    }

    pub async fn prepare_kvs(&self, kvs: &[v1::KeyValue]) {
        self.prepare(kvs.iter().map(|kv| (&kv.key, &kv.value))).await;
    }

    pub async fn prepare_events(&self, events: &[v1::Event]) {
        self.prepare(events.iter().flat_map(|event| [(&event.key, &event.value), (&event.key, &event.prev_value)]))
            .await;
    }
}

impl Resource {
    /// What cannot be read under a key, as [`StoreError::Unreadable`].
    ///
    /// # Errors
    /// There is such a value.
    pub fn check_readable(&self, namespace: &str, name: &str) -> Result<(), StoreError> {
        let set = self.shared.unreadable.current.read();
        if set.is_empty() {
            return Ok(());
        }
        let key = if self.spec().namespaced { [namespace, "/", name].concat() } else { name.to_owned() };
        set.get(&*key).map_or(Ok(()), |found| Err(found.error(&self.spec().prefix)))
    }

    /// As [`Resource::check_readable`], of every key of a namespace (empty: of all).
    ///
    /// # Errors
    /// There is such a value; the first one is named.
    pub fn check_all_readable(&self, namespace: &str) -> Result<(), StoreError> {
        let set = self.shared.unreadable.current.read();
        if set.is_empty() {
            return Ok(());
        }
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let mut from = set.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        match from.next() {
            Some((key, found)) if key.starts_with(&prefix) => Err(found.error(&self.spec().prefix)),
            _ => Ok(()),
        }
    }

    /// A value that cannot be read, with its revision: what a deletion that does not read it goes by.
    pub fn unreadable(&self, namespace: &str, name: &str) -> Option<Unreadable> {
        let set = self.shared.unreadable.current.read();
        if set.is_empty() {
            return None;
        }
        let key = if self.spec().namespaced { [namespace, "/", name].concat() } else { name.to_owned() };
        set.get(&*key).cloned()
    }

    /// Whether an object would be sealed otherwise if it were written now.
    pub fn is_stale(&self, object: &crate::Object) -> bool {
        let Some(store) = self.shared.store.upgrade() else { return false };
        store.transformer.get().is_some_and(|t| t.is_stale(&self.spec().prefix, object.seal()))
    }

    /// Opens a stored value: its plain form, and its seal.
    pub(crate) fn open(&self, key: &[u8], stored: &Bytes) -> Result<(Bytes, Seal), String> {
        let store = self.shared.store.upgrade();
        let Some(transformer) = store.as_ref().and_then(|store| store.transformer.get()) else {
            if stored.starts_with(SEALED_PREFIX) {
                return Err("identity transformer tried to read encrypted data".to_owned());
            }
            return Ok((stored.clone(), 0));
        };
        let (plain, seal) = transformer.open(&self.spec().prefix, key, stored)?;
        Ok((plain.map_or_else(|| stored.clone(), Bytes::from), seal))
    }

    /// A value that did not open, as it is held.
    pub(crate) fn unopened(&self, key: &str, revision: u64, why: String) -> Unreadable {
        tracing::error!(key, prefix = self.spec().prefix, why, "a stored value cannot be read");
        Unreadable { key: key.into(), revision, why }
    }

    /// Has the resource loaded again if it holds what cannot be read. Whether it does.
    pub(crate) fn try_again(&self) -> bool {
        let set = &self.shared.unreadable;
        let needed = !set.is_empty();
        set.try_again.fetch_or(needed, Ordering::SeqCst);
        needed
    }

    /// Whether the resource is to be loaded: for the first time, or again. Asked by the one task that loads.
    pub(crate) fn take_load(&self) -> bool {
        self.shared.unreadable.try_again.swap(false, Ordering::SeqCst) || !self.is_loaded()
    }
}
