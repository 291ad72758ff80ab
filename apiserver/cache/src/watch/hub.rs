//! The hub of a resource: the ring of recent events, and the buckets that index the watchers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use metrics::Counter;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Scope;
use super::bucket::{Bucket, BucketKey, Delivery};
use super::event::Event;
use crate::apply::Change;

/// Recent events of a resource, in memory: enough for a client to reconnect, and for a slow watcher to catch up after
/// a burst. What is older is read from the store's history.
const RING_EVENTS_MAX: usize = 16_384;
/// And the bytes that only the ring holds (old object versions).
const RING_BYTES_MAX: usize = 8 << 20;

/// Per resource. Lock order: hub, bucket.
pub(crate) struct Hub {
    state: Mutex<State>,
    events: Counter,
}

#[derive(Default)]
struct State {
    ring: VecDeque<Arc<Event>>,
    ring_bytes: usize,
    /// Every event with a greater revision is in the ring.
    horizon: u64,
    next_sequence: u64,
    buckets: Buckets,
}

#[derive(Default)]
struct Buckets {
    all: Option<Arc<Bucket>>,
    by_namespace: HashMap<Box<str>, Arc<Bucket>>,
    by_object: HashMap<Box<str>, Arc<Bucket>>,
    /// One map per selectable field.
    by_field: Vec<HashMap<Box<str>, Arc<Bucket>>>,
}

/// What a new watcher gets.
pub(crate) struct Subscription {
    pub(super) key: BucketKey,
    pub(super) bucket: Arc<Bucket>,
    pub(super) slot: usize,
    pub(super) position: u64,
    /// Events of the ring that concern the bucket, behind the wanted revision.
    pub(super) backlog: Vec<Arc<Event>>,
    /// Events up to this revision are not in `backlog`.
    pub horizon: u64,
}

impl Hub {
    pub fn new(resource: &str, fields: usize) -> Self {
        let mut state = State::default();
        state.buckets.by_field.resize_with(fields, HashMap::new);
        let events =
            metrics::counter!("apiserver_watch_cache_events_received_total", "resource" => resource.to_owned());
        Hub { state: Mutex::new(state), events }
    }

    /// Makes changes visible: `publish` swaps the resource's state, under the lock that a new watcher takes to see
    /// a state and the events behind it, none lost, none twice.
    pub fn publish(&self, changes: &[Change], publish: impl FnOnce()) {
        let mut woken = Vec::new();
        {
            let mut state = self.state.lock();
            publish();
            let mut touched: Vec<Arc<Bucket>> = Vec::new();
            for change in changes {
                let sequence = state.next_sequence;
                state.next_sequence += 1;
                let event = Event::new(sequence, change.revision, change.before.clone(), change.after.clone());
                let event = Arc::new(event);
                state.buckets.each(&event, |bucket| {
                    bucket.push(event.clone());
                    if !touched.iter().any(|seen| Arc::ptr_eq(seen, bucket)) {
                        touched.push(bucket.clone());
                    }
                });
                state.ring_bytes += event.memory_bytes();
                state.ring.push_back(event);
            }
            state.evict();
            let now = Instant::now();
            for bucket in touched {
                match bucket.delivery(now) {
                    Delivery::Now => bucket.take_waiting(now, &mut woken),
                    Delivery::At(due) => arrange(bucket, due),
                    Delivery::Arranged => {}
                }
            }
        }
        self.events.increment(changes.len() as u64);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Begins anew at `revision`: what happened before is not known. Every watcher is told that it missed something.
    pub fn reset(&self, revision: u64, publish: impl FnOnce()) {
        let mut woken = Vec::new();
        {
            let mut state = self.state.lock();
            publish();
            state.ring.clear();
            state.ring_bytes = 0;
            state.horizon = revision;
            state.buckets.every(|bucket| {
                bucket.reset();
                bucket.take_waiting(Instant::now(), &mut woken);
            });
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// Adds a watcher. `look` sees the resource's state as of the subscription.
    pub fn subscribe<T>(
        &self,
        scope: &Scope,
        namespaced: bool,
        after: u64,
        look: impl FnOnce() -> T,
    ) -> (Subscription, T) {
        let key = bucket_key(scope, namespaced);
        let mut state = self.state.lock();
        let bucket = state.buckets.entry(&key).clone();
        let (slot, position) = bucket.join();
        let first = state.ring.partition_point(|event| event.revision() <= after);
        let backlog = state.ring.range(first..).filter(|event| key.holds(event)).cloned().collect();
        (Subscription { key, bucket, slot, position, backlog, horizon: state.horizon }, look())
    }

    /// Watchers of all objects, of a namespace, and of one object.
    pub fn watchers(&self, namespace: &str, name: &str) -> usize {
        let state = self.state.lock();
        let buckets = &state.buckets;
        let mut count = buckets.all.as_ref().map_or(0, |bucket| bucket.watchers());
        if !namespace.is_empty() && !buckets.by_namespace.is_empty() {
            count += buckets.by_namespace.get(namespace).map_or(0, |bucket| bucket.watchers());
        }
        if !name.is_empty() && !buckets.by_object.is_empty() {
            let key = if namespace.is_empty() { name.into() } else { [namespace, "/", name].concat() };
            count += buckets.by_object.get(key.as_str()).map_or(0, |bucket| bucket.watchers());
        }
        count
    }

    pub fn unsubscribe(&self, key: &BucketKey, bucket: &Bucket, slot: usize) {
        let mut state = self.state.lock();
        if bucket.leave(slot) {
            state.buckets.remove(key);
        }
    }
}

/// Wakes a bucket's watchers later.
fn arrange(bucket: Arc<Bucket>, due: Instant) {
    tokio::spawn(async move {
        tokio::time::sleep_until(due).await;
        let mut woken = Vec::new();
        bucket.take_waiting(Instant::now(), &mut woken);
        woken.into_iter().for_each(Waker::wake);
    });
}

/// The most selective index for a scope.
fn bucket_key(scope: &Scope, namespaced: bool) -> BucketKey {
    match (&scope.namespace, &scope.name, &scope.field) {
        (Some(namespace), Some(name), _) if namespaced => BucketKey::Object([namespace, "/", name].concat().into()),
        (_, Some(name), _) if !namespaced => BucketKey::Object(name.as_str().into()),
        (_, _, Some((index, value))) => BucketKey::Field(*index, value.as_str().into()),
        (Some(namespace), _, _) => BucketKey::Namespace(namespace.as_str().into()),
        _ => BucketKey::All,
    }
}

impl State {
    /// Drops the oldest events beyond the limits; those of one revision go together.
    fn evict(&mut self) {
        while self.ring.len() > RING_EVENTS_MAX || self.ring_bytes > RING_BYTES_MAX {
            let Some(revision) = self.ring.front().map(|event| event.revision()) else {
                break;
            };
            while self.ring.front().is_some_and(|event| event.revision() == revision) {
                let Some(event) = self.ring.pop_front() else { break };
                self.ring_bytes -= event.memory_bytes();
                self.buckets.each(&event, |bucket| bucket.forget_through(event.sequence));
            }
            self.horizon = revision;
        }
    }
}

impl Buckets {
    /// Every bucket that an event concerns, each once.
    fn each(&self, event: &Event, mut visit: impl FnMut(&Arc<Bucket>)) {
        self.all.iter().for_each(&mut visit);
        // Both versions have the same key.
        let Some(object) = event.after().or(event.before()) else {
            return;
        };
        if !self.by_namespace.is_empty() {
            self.by_namespace.get(object.namespace()).into_iter().for_each(&mut visit);
        }
        if !self.by_object.is_empty() {
            self.by_object.get(object.key()).into_iter().for_each(&mut visit);
        }
        for (index, buckets) in self.by_field.iter().enumerate().filter(|(_, buckets)| !buckets.is_empty()) {
            let value = object.field(index);
            buckets.get(value).into_iter().for_each(&mut visit);
            let earlier = event.before().map(|before| before.field(index)).filter(|earlier| *earlier != value);
            earlier.and_then(|earlier| buckets.get(earlier)).into_iter().for_each(&mut visit);
        }
    }

    fn every(&self, mut visit: impl FnMut(&Arc<Bucket>)) {
        self.all.iter().for_each(&mut visit);
        self.by_namespace.values().for_each(&mut visit);
        self.by_object.values().for_each(&mut visit);
        self.by_field.iter().flat_map(HashMap::values).for_each(&mut visit);
    }

    fn entry(&mut self, key: &BucketKey) -> &Arc<Bucket> {
        match key {
            BucketKey::All => self.all.get_or_insert_default(),
            BucketKey::Namespace(namespace) => self.by_namespace.entry(namespace.clone()).or_default(),
            BucketKey::Object(object) => self.by_object.entry(object.clone()).or_default(),
            BucketKey::Field(index, value) => {
                if self.by_field.len() <= *index {
                    self.by_field.resize_with(index + 1, HashMap::new);
                }
                self.by_field[*index].entry(value.clone()).or_default()
            }
        }
    }

    fn remove(&mut self, key: &BucketKey) {
        match key {
            BucketKey::All => self.all = None,
            BucketKey::Namespace(namespace) => drop(self.by_namespace.remove(namespace)),
            BucketKey::Object(object) => drop(self.by_object.remove(object)),
            BucketKey::Field(index, value) => drop(self.by_field[*index].remove(value)),
        }
    }
}
