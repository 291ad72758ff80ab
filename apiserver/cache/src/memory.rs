//! A store inside the process: the same transactions, revisions, history and errors, without disk or network.
//!
//! Tests of the API server run on it, and it is the model that the remote store is compared with.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use kuorum_proto::v1;
use parking_lot::Mutex;

use crate::error::StoreError;
use crate::resource::Resource;
use crate::snapshot::SnapshotError;
use crate::store::{Inner, prefix_end};
use crate::txn::{CommitOutcome, MOD_REVISION_EXISTS, Txn};

/// The in-process store, with the controls that tests need.
#[derive(Clone)]
pub struct Memory {
    store: Weak<Inner>,
    data: Arc<Mutex<Data>>,
}

#[derive(Default)]
struct Data {
    revision: u64,
    compacted: u64,
    current: BTreeMap<Bytes, v1::KeyValue>,
    /// Every event since the beginning, with what was before it.
    history: Vec<v1::Event>,
    outage: Option<StoreError>,
}

impl Memory {
    pub(crate) fn new(store: Weak<Inner>) -> Self {
        Memory { store, data: Arc::default() }
    }

    /// Every later fence and transaction fails with `error`; `None` ends the outage.
    pub fn set_outage(&self, error: Option<StoreError>) {
        self.data.lock().outage = error;
    }

    /// Forgets what was before `revision`.
    pub fn compact(&self, revision: u64) {
        let mut data = self.data.lock();
        data.compacted = data.compacted.max(revision.min(data.revision));
        if let Some(store) = self.store.upgrade() {
            store.progress.compact(data.compacted);
        }
    }

    /// Brings a resource that was just registered up to date.
    pub(crate) fn load(&self, resource: &Resource) {
        // The lock is held: no transaction comes between.
        let data = self.data.lock();
        if !resource.take_load() {
            return;
        }
        let prefix = resource.spec().prefix.as_bytes();
        let range = data.current.range(Bytes::copy_from_slice(prefix)..prefix_end(prefix));
        let decode = |kv: &v1::KeyValue| resource.decode(&kv.key, &kv.value, kv.create_revision, kv.mod_revision);
        resource.replace(range.filter_map(|(_, kv)| decode(kv)).collect(), data.revision);
    }

    pub(crate) fn fence(&self) -> Result<u64, StoreError> {
        let data = self.data.lock();
        data.outage.clone().map_or(Ok(data.revision), Err)
    }

    pub(crate) fn commit(&self, txn: Txn) -> Result<CommitOutcome, StoreError> {
        // The lock is held while the caches are brought forward: events reach them in revision order.
        let mut data = self.data.lock();
        if let Some(error) = data.outage.clone() {
            return Err(error);
        }
        let store = self.store.upgrade().ok_or(StoreError::Deadline)?;
        for (index, compare) in txn.compares.iter().enumerate() {
            let current = data.current.get(&compare.key);
            let holds = match compare.mod_revision {
                0 => current.is_none(),
                MOD_REVISION_EXISTS => current.is_some(),
                wanted => current.is_some_and(|kv| kv.mod_revision == wanted),
            };
            if !holds {
                return store.outcome_conflict(index, current.cloned(), data.revision);
            }
        }
        let revision = data.revision + 1;
        let mut events = Vec::with_capacity(txn.ops.len());
        for op in txn.ops.into_iter().filter_map(|op| op.op) {
            match op {
                v1::op::Op::Put(put) => events.push(data.put(put, revision)),
                v1::op::Op::Delete(key) => events.extend(data.delete(key, revision)),
            }
        }
        if events.is_empty() {
            return Ok(CommitOutcome::Committed(data.revision));
        }
        data.revision = revision;
        data.history.extend(events.iter().cloned());
        store.apply(&events);
        Ok(CommitOutcome::Committed(revision))
    }

    pub(crate) fn range_at(&self, prefix: &str, revision: u64) -> Result<Vec<v1::KeyValue>, SnapshotError> {
        let data = self.data.lock();
        data.check(revision)?;
        let mut found = BTreeMap::new();
        for event in data.history.iter().take_while(|event| event.revision <= revision) {
            if !event.key.starts_with(prefix.as_bytes()) {
                continue;
            }
            match event.kind() {
                v1::event::Kind::Put => found.insert(event.key.clone(), key_value(event)),
                v1::event::Kind::Delete => found.remove(&event.key),
            };
        }
        Ok(found.into_values().collect())
    }

    /// The events under `prefix` behind `after` up to and including `up_to`, with their previous values.
    pub(crate) fn history(&self, prefix: &str, after: u64, up_to: u64) -> Result<Vec<v1::Event>, SnapshotError> {
        let data = self.data.lock();
        data.check(after)?;
        let wanted = |event: &&v1::Event| {
            event.key.starts_with(prefix.as_bytes()) && event.revision > after && event.revision <= up_to
        };
        Ok(data.history.iter().filter(wanted).cloned().collect())
    }

    /// Every value that was ever stored under a prefix, as it was stored.
    pub fn values(&self, prefix: &str) -> Vec<Bytes> {
        let data = self.data.lock();
        let events = data.history.iter().filter(|event| event.key.starts_with(prefix.as_bytes()));
        events.map(|event| event.value.clone()).collect()
    }

    /// All keys, for comparing.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let data = self.data.lock();
        let range = Bytes::copy_from_slice(prefix.as_bytes())..prefix_end(prefix.as_bytes());
        data.current.range(range).map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
    }
}

impl Data {
    fn check(&self, revision: u64) -> Result<(), SnapshotError> {
        if revision < self.compacted {
            return Err(SnapshotError::Compacted { wanted: revision, oldest: self.compacted });
        }
        Ok(())
    }

    fn put(&mut self, put: v1::op::Put, revision: u64) -> v1::Event {
        let prev = self.current.get(&put.key).cloned();
        let kv = v1::KeyValue {
            key: put.key.clone(),
            value: put.value,
            create_revision: prev.as_ref().map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: prev.as_ref().map_or(1, |kv| kv.version + 1),
        };
        let event = v1::Event {
            kind: v1::event::Kind::Put.into(),
            key: kv.key.clone(),
            value: kv.value.clone(),
            revision,
            create_revision: kv.create_revision,
            version: kv.version,
            prev_revision: prev.as_ref().map_or(0, |kv| kv.mod_revision),
            prev_value: prev.map(|kv| kv.value).unwrap_or_default(),
        };
        self.current.insert(put.key, kv);
        event
    }

    fn delete(&mut self, key: Bytes, revision: u64) -> Option<v1::Event> {
        let prev = self.current.remove(&key)?;
        Some(v1::Event {
            kind: v1::event::Kind::Delete.into(),
            key,
            value: Bytes::new(),
            revision,
            create_revision: prev.create_revision,
            version: 0,
            prev_revision: prev.mod_revision,
            prev_value: prev.value,
        })
    }
}

fn key_value(event: &v1::Event) -> v1::KeyValue {
    v1::KeyValue {
        key: event.key.clone(),
        value: event.value.clone(),
        create_revision: event.create_revision,
        mod_revision: event.revision,
        version: event.version,
    }
}
