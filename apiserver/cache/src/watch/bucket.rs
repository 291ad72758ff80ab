//! A bucket: the events that concern one group of watchers, and those of them that wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::event::Event;
use crate::object::Object;

/// Which bucket: the most selective thing that is known about a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BucketKey {
    All,
    Namespace(Box<str>),
    /// `<namespace>/<name>` or `<name>`.
    Object(Box<str>),
    Field(usize, Box<str>),
}

impl BucketKey {
    pub fn holds(&self, event: &Event) -> bool {
        let either = |test: &dyn Fn(&Object) -> bool| {
            event.before().is_some_and(|object| test(object)) || event.after().is_some_and(|object| test(object))
        };
        match self {
            BucketKey::All => true,
            BucketKey::Namespace(namespace) => either(&|object| object.namespace() == &**namespace),
            BucketKey::Object(key) => either(&|object| object.key() == &**key),
            BucketKey::Field(index, value) => either(&|object| object.field(*index) == &**value),
        }
    }
}

/// With this many watchers, deliveries are spaced: a burst of events costs each watcher a write per interval, not one
/// per event. The first event behind a pause is delivered at once, and so is everything to fewer watchers.
const SPACED_WATCHERS_MIN: usize = 16;
/// The interval per watcher that waits. Waking one costs some 10 µs (TLS, a write), so that the deliveries of a bucket
/// stay below a tenth of a core.
const INTERVAL_PER_WATCHER: Duration = Duration::from_micros(100);
/// What a burst adds to an event's way at most.
const INTERVAL_MAX: Duration = Duration::from_millis(20);

pub(crate) struct Bucket {
    state: Mutex<State>,
}

impl Default for Bucket {
    fn default() -> Self {
        Bucket { state: Mutex::new(State::new()) }
    }
}

/// When the watchers that wait are to be woken.
pub(crate) enum Delivery {
    Now,
    At(Instant),
    /// Somebody will do it already.
    Arranged,
}

struct State {
    events: VecDeque<Arc<Event>>,
    /// Position of the first event; positions count up by one and are never reused.
    first: u64,
    /// The waker of each watcher that waits. A slot belongs to one watcher.
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
    waiting: usize,
    shared: Option<SharedChunk>,
    /// When the watchers were woken last.
    delivered: Instant,
    /// A timer will wake them.
    arranged: bool,
}

/// Lines that were made for one watcher and are the same for all watchers of this bucket that want this format and
/// select no further.
#[derive(Clone)]
pub(crate) struct SharedChunk {
    pub format: u64,
    pub from: u64,
    pub to: u64,
    pub bytes: Bytes,
    pub revision: u64,
}

/// What a watcher finds at its position.
pub(crate) enum Pending {
    /// Nothing; the watcher will be woken.
    Nothing,
    /// The ring has passed the position.
    Passed,
    Events,
    Shared(SharedChunk),
}

impl Bucket {
    /// Adds a watcher: its slot, and the position of what comes next.
    pub fn join(&self) -> (usize, u64) {
        let mut state = self.state.lock();
        let slot = state.free.pop().unwrap_or(state.slots.len());
        if slot == state.slots.len() {
            state.slots.push(None);
        }
        (slot, state.end())
    }

    /// Removes a watcher; true when it was the last.
    pub fn leave(&self, slot: usize) -> bool {
        let mut state = self.state.lock();
        if state.slots[slot].take().is_some() {
            state.waiting -= 1;
        }
        state.free.push(slot);
        state.free.len() == state.slots.len()
    }

    pub fn watchers(&self) -> usize {
        let state = self.state.lock();
        state.slots.len() - state.free.len()
    }

    /// Appends an event; the watchers are woken by [`Bucket::take_waiting`], once for a batch.
    pub fn push(&self, event: Arc<Event>) {
        let mut state = self.state.lock();
        state.shared = None;
        state.events.push_back(event);
    }

    /// When to wake the watchers for what was just pushed.
    pub fn delivery(&self, now: Instant) -> Delivery {
        let mut state = self.state.lock();
        if state.arranged {
            return Delivery::Arranged;
        }
        if state.waiting < SPACED_WATCHERS_MIN {
            return Delivery::Now;
        }
        let watchers = u32::try_from(state.waiting).unwrap_or(u32::MAX);
        let due = state.delivered + INTERVAL_PER_WATCHER.saturating_mul(watchers).min(INTERVAL_MAX);
        if due <= now {
            return Delivery::Now;
        }
        state.arranged = true;
        Delivery::At(due)
    }

    /// The watchers that wait, to be woken.
    pub fn take_waiting(&self, now: Instant, woken: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        state.delivered = now;
        state.arranged = false;
        if state.waiting > 0 {
            state.waiting = 0;
            woken.extend(state.slots.iter_mut().filter_map(Option::take));
        }
    }

    /// Forgets the events up to `sequence`, which the ring has dropped.
    pub fn forget_through(&self, sequence: u64) {
        let mut state = self.state.lock();
        while state.events.front().is_some_and(|event| event.sequence <= sequence) {
            state.events.pop_front();
            state.first += 1;
        }
    }

    /// Forgets everything: every watcher has missed something.
    pub fn reset(&self) {
        let mut state = self.state.lock();
        state.first = state.end() + 1;
        state.events.clear();
        state.shared = None;
    }

    /// Looks for what is at `position`: a shared chunk in `format`, or events (into `out`, until one more would
    /// exceed `events_max` or `bytes_max`), or nothing, in which case the waker is kept.
    pub fn poll(
        &self,
        cx: &mut Context<'_>,
        slot: usize,
        position: u64,
        format: Option<u64>,
        (events_max, bytes_max): (usize, usize),
        out: &mut Vec<Arc<Event>>,
    ) -> Pending {
        let mut state = self.state.lock();
        if position < state.first {
            return Pending::Passed;
        }
        if position == state.end() {
            match &mut state.slots[slot] {
                Some(waker) => waker.clone_from(cx.waker()),
                empty => {
                    *empty = Some(cx.waker().clone());
                    state.waiting += 1;
                }
            }
            return Pending::Nothing;
        }
        if let Some(shared) = state.shared.as_ref().filter(|s| Some(s.format) == format && s.from == position) {
            return Pending::Shared(shared.clone());
        }
        let mut bytes = 0;
        for event in state.events.range((position - state.first) as usize..).take(events_max) {
            bytes += event.after().or(event.before()).map_or(0, |object| object.json().len());
            if bytes > bytes_max && !out.is_empty() {
                break;
            }
            out.push(event.clone());
        }
        Pending::Events
    }

    /// Offers lines to the other watchers, if there are any.
    pub fn share(&self, chunk: SharedChunk) {
        let mut state = self.state.lock();
        if state.slots.len() - state.free.len() > 1 {
            state.shared = Some(chunk);
        }
    }

    /// Whether a watcher at `position` has seen everything.
    pub fn is_end(&self, position: u64) -> bool {
        self.state.lock().end() == position
    }
}

impl State {
    fn new() -> Self {
        State {
            events: VecDeque::new(),
            first: 0,
            slots: Vec::new(),
            free: Vec::new(),
            waiting: 0,
            shared: None,
            delivered: Instant::now(),
            arranged: false,
        }
    }

    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}
