//! One resource: every current object of a key prefix, in memory. Readers never wait for the applier.

use std::borrow::{Borrow, Cow};
use std::collections::{HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use crate::apply::Change;
use crate::error::StoreError;
use crate::object::Object;
use crate::observer::Observer;
use crate::ordered::Ordered;
use crate::snapshot::{Snapshot, SnapshotError, State};
use crate::store::Inner;
use crate::transform::{Unreadable, UnreadableSet};
use crate::watch::Hub;

/// Old snapshots kept per resource for the later pages of lists. They share what did not change, so they are cheap,
/// but a client that never finishes its list must not pin old versions for ever.
const RETAINED_SNAPSHOTS_MAX: usize = 16;
/// How long they are kept: as long as the store keeps history by default.
const RETAINED_SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(300);

/// A field that selectors may name, besides `metadata.name` and `metadata.namespace`.
#[derive(Clone)]
pub struct Field {
    /// As a selector spells it: `spec.nodeName`.
    pub name: Cow<'static, str>,
    read: Arc<dyn Fn(&Value) -> String + Send + Sync>,
}

impl Field {
    /// `read` gives the field's text in an object, empty where unset.
    pub fn new(name: impl Into<Cow<'static, str>>, read: impl Fn(&Value) -> String + Send + Sync + 'static) -> Self {
        Field { name: name.into(), read: Arc::new(read) }
    }

    pub(crate) fn value(&self, object: &Value) -> String {
        (self.read)(object)
    }
}

/// What is to be held in memory.
#[derive(Clone)]
pub struct ResourceSpec {
    /// `/registry/apps/deployments/`
    pub prefix: String,
    /// Whether keys are `<namespace>/<name>` rather than `<name>`.
    pub namespaced: bool,
    pub fields: Vec<Field>,
}

/// A handle on one resource. Cheap to clone.
#[derive(Clone)]
pub struct Resource {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub spec: ResourceSpec,
    pub store: Weak<Inner>,
    /// Written only by the applier, inside the index's write lock.
    pub state: ArcSwap<State>,
    pub hub: Hub,
    index: RwLock<HashSet<ByKey>>,
    observers: RwLock<Vec<Arc<dyn Observer>>>,
    retained: Mutex<VecDeque<Retained>>,
    pub unreadable: UnreadableSet,
    /// Whether the state is the store's, and not still empty.
    loaded: watch::Sender<bool>,
    /// Held while an old revision is read from the store: one such read at a time per resource.
    loading: tokio::sync::Mutex<()>,
}

struct Retained {
    snapshot: Snapshot,
    since: Instant,
}

impl Resource {
    pub(crate) fn new(spec: ResourceSpec, store: Weak<Inner>) -> Self {
        let shared = Shared {
            hub: Hub::new(spec.prefix.trim_start_matches("/registry/").trim_end_matches('/'), spec.fields.len()),
            spec,
            store,
            state: ArcSwap::default(),
            index: RwLock::default(),
            observers: RwLock::default(),
            retained: Mutex::default(),
            unreadable: UnreadableSet::default(),
            loaded: watch::Sender::new(false),
            loading: tokio::sync::Mutex::default(),
        };
        Resource { shared: Arc::new(shared) }
    }

    pub fn spec(&self) -> &ResourceSpec {
        &self.shared.spec
    }

    /// Whether the resource holds what the store has; one that was just registered is empty.
    pub fn is_loaded(&self) -> bool {
        *self.shared.loaded.borrow()
    }

    /// Waits until the resource holds what the store has.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] at the deadline.
    pub async fn wait_loaded(&self, deadline: Instant) -> Result<(), StoreError> {
        let mut loaded = self.shared.loaded.subscribe();
        match tokio::time::timeout_at(deadline, loaded.wait_for(|loaded| *loaded)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(StoreError::Unavailable(format!("{} is not loaded yet", self.shared.spec.prefix))),
        }
    }

    /// Adds an observer, and tells it what is there.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.shared.hub.publish(&[], || {
            let objects: Vec<Arc<Object>> = self.shared.state.load().objects.iter().cloned().collect();
            observer.replaced(&objects);
            self.shared.observers.write().push(observer);
        });
    }

    /// The index of a selectable field, for [`Object::field`].
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.shared.spec.fields.iter().position(|field| field.name == name)
    }

    /// The store key of an object. `namespace` is empty for cluster-scoped resources.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        let prefix = &self.shared.spec.prefix;
        match self.shared.spec.namespaced {
            true => [prefix, namespace, "/", name].concat(),
            false => [prefix, name].concat(),
        }
    }

    /// The current version of an object. Linearizable behind a [`Store::fence`](crate::Store::fence).
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Object>> {
        if !self.shared.spec.namespaced {
            return self.get_key(name);
        }
        let mut key = smallvec::SmallVec::<[u8; 128]>::with_capacity(namespace.len() + 1 + name.len());
        key.extend_from_slice(namespace.as_bytes());
        key.push(b'/');
        key.extend_from_slice(name.as_bytes());
        self.get_key(std::str::from_utf8(&key).unwrap_or_default())
    }

    /// As [`Resource::get`], by `<namespace>/<name>` (or `<name>`).
    pub fn get_key(&self, key: &str) -> Option<Arc<Object>> {
        self.shared.index.read().get(key).map(|found| found.0.clone())
    }

    /// All current objects. Linearizable behind a fence. O(1).
    pub fn snapshot(&self) -> Snapshot {
        // The revision is read first: a state that is newer than it says so itself.
        let revision = self.current_revision();
        let state = self.shared.state.load_full();
        Snapshot { revision: revision.max(state.changed), state }
    }

    /// All objects as they were at `revision`: from memory if nothing changed since or a list holds on to it, else
    /// read from the store.
    pub async fn snapshot_at(&self, revision: u64, deadline: Instant) -> Result<Snapshot, SnapshotError> {
        if let Some(snapshot) = self.held_snapshot(revision)? {
            return Ok(snapshot);
        }
        let _one_at_a_time =
            tokio::time::timeout_at(deadline, self.shared.loading.lock()).await.map_err(|_| StoreError::Deadline)?;
        if let Some(snapshot) = self.held_snapshot(revision)? {
            return Ok(snapshot);
        }
        let store = self.shared.store.upgrade().ok_or(StoreError::Deadline)?;
        let kvs = store.range_at(&self.shared.spec.prefix, revision, deadline).await?;
        let mut objects = Vec::with_capacity(kvs.len());
        for kv in &kvs {
            objects.extend(self.read_past(&kv.key, &kv.value, kv.create_revision, kv.mod_revision)?);
        }
        let changed = kvs.iter().map(|kv| kv.mod_revision).max().unwrap_or(0);
        let state = Arc::new(State { objects: Ordered::from_sorted(objects), changed });
        let snapshot = Snapshot { state, revision };
        self.retain(&snapshot);
        Ok(snapshot)
    }

    /// Holds on to a snapshot so that later pages of a list find it.
    pub fn retain(&self, snapshot: &Snapshot) {
        let mut retained = self.shared.retained.lock();
        retained.retain(|old| old.since.elapsed() < RETAINED_SNAPSHOT_AGE_MAX);
        if let Some(same) = retained.iter_mut().find(|old| Arc::ptr_eq(&old.snapshot.state, &snapshot.state)) {
            same.snapshot.revision = same.snapshot.revision.max(snapshot.revision);
            same.since = Instant::now();
            return;
        }
        if retained.len() >= RETAINED_SNAPSHOTS_MAX {
            retained.pop_front();
        }
        retained.push_back(Retained { snapshot: snapshot.clone(), since: Instant::now() });
    }

    pub(crate) fn forget_old_snapshots(&self) {
        self.shared.retained.lock().retain(|old| old.since.elapsed() < RETAINED_SNAPSHOT_AGE_MAX);
    }

    fn held_snapshot(&self, revision: u64) -> Result<Option<Snapshot>, SnapshotError> {
        let mut current = self.snapshot();
        if revision > current.revision {
            return Err(SnapshotError::Future { wanted: revision, current: current.revision });
        }
        if current.state.changed <= revision {
            current.revision = revision;
            return Ok(Some(current));
        }
        let retained = self.shared.retained.lock();
        let fits = |s: &&Retained| s.snapshot.state.changed <= revision && revision <= s.snapshot.revision;
        Ok(retained.iter().find(fits).map(|held| Snapshot { state: held.snapshot.state.clone(), revision }))
    }

    /// Everything up to it has been applied.
    pub(crate) fn current_revision(&self) -> u64 {
        self.shared.store.upgrade().map_or(0, |store| store.progress.revision())
    }

    /// What a key holds.
    pub(crate) fn read(&self, key: &[u8], value: &Bytes, created: u64, modified: u64) -> Read {
        let spec = &self.shared.spec;
        let Some(name) = self.name_of(key).filter(|name| name.contains('/') == spec.namespaced) else {
            tracing::error!(key = %String::from_utf8_lossy(key), "a key that is no object's; ignored");
            return Read::Foreign;
        };
        let object = self.open(key, value).and_then(|(plain, seal)| {
            let object = Object::decode(name, &plain, created, modified, &spec.fields).map_err(|e| e.to_string())?;
            Ok(Arc::new(object.sealed_with(seal)))
        });
        match object {
            Ok(object) => Read::Object(object),
            Err(why) => Read::Unreadable(self.unopened(name, modified, why)),
        }
    }

    /// As [`Resource::read`], for a load: what cannot be read is noted, and takes effect with [`Resource::replace`].
    pub(crate) fn decode(&self, key: &[u8], value: &Bytes, created: u64, modified: u64) -> Option<Arc<Object>> {
        match self.read(key, value, created, modified) {
            Read::Object(object) => Some(object),
            Read::Unreadable(found) => {
                self.shared.unreadable.found_by_load(found);
                None
            }
            Read::Foreign => None,
        }
    }

    /// As [`Resource::read`], of a version that is not held: what cannot be read is an error.
    pub(crate) fn read_past(
        &self,
        key: &[u8],
        value: &Bytes,
        created: u64,
        modified: u64,
    ) -> Result<Option<Arc<Object>>, StoreError> {
        match self.read(key, value, created, modified) {
            Read::Object(object) => Ok(Some(object)),
            Read::Unreadable(found) => Err(found.error(&self.shared.spec.prefix)),
            Read::Foreign => Ok(None),
        }
    }

    /// Replaces everything: the initial load, and a new start behind a gap in the history. In strict key order.
    #[expect(clippy::mutable_key_type, reason = "hash and order are those of the key, which does not change")]
    pub(crate) fn replace(&self, objects: Vec<Arc<Object>>, revision: u64) {
        let index: HashSet<ByKey> = objects.iter().cloned().map(ByKey).collect();
        let state = Arc::new(State { objects: Ordered::from_sorted(objects), changed: revision });
        self.shared.retained.lock().clear();
        self.shared.hub.reset(revision, || {
            let observers = self.shared.observers.read();
            if !observers.is_empty() {
                let objects: Vec<Arc<Object>> = state.objects.iter().cloned().collect();
                observers.iter().for_each(|observer| observer.replaced(&objects));
            }
            let mut current = self.shared.index.write();
            *current = index;
            self.shared.unreadable.replace();
            self.shared.state.store(state);
        });
        self.shared.loaded.send_replace(true);
    }

    /// The part of a store key behind the prefix.
    pub(crate) fn name_of<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(key).ok()?.strip_prefix(&*self.shared.spec.prefix)
    }

    /// Publishes a new state whose last change cannot be shown to watchers: they are told to begin anew.
    pub(crate) fn publish_gap(&self, state: State, changes: &[Change]) {
        let revision = state.changed;
        let state = Arc::new(state);
        self.shared.hub.reset(revision, || self.swap(state, changes));
    }

    /// Publishes a new state, with the changes that led to it from the last one.
    pub(crate) fn publish(&self, state: State, changes: Vec<Change>) {
        let state = Arc::new(state);
        self.shared.hub.publish(&changes, || self.swap(state, &changes));
    }

    fn swap(&self, state: Arc<State>, changes: &[Change]) {
        for observer in &*self.shared.observers.read() {
            changes.iter().for_each(|change| observer.changed(change.before.as_ref(), change.after.as_ref()));
        }
        let mut index = self.shared.index.write();
        for change in changes {
            match (&change.before, &change.after) {
                (_, Some(object)) => drop(index.replace(ByKey(object.clone()))),
                (Some(object), None) => drop(index.remove(object.key())),
                (None, None) => {}
            }
        }
        // Inside the lock: no reader finds a newer object by name than it then finds in a list.
        self.shared.state.store(state);
    }
}

/// What a key holds.
pub(crate) enum Read {
    Object(Arc<Object>),
    Unreadable(Unreadable),
    /// Nothing of this resource's.
    Foreign,
}

/// An object that hashes and compares as its key.
struct ByKey(Arc<Object>);

impl Borrow<str> for ByKey {
    fn borrow(&self) -> &str {
        self.0.key()
    }
}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key().hash(state);
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for ByKey {}
