//! A watcher: a cursor into a resource's events, and its lines in the format that its client wants.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::bucket::{Pending, SharedChunk};
use super::event::{Event, EventType};
use super::hub::Subscription;
use super::{Filter, Scope};
use crate::object::Object;
use crate::resource::Resource;
use crate::snapshot::Walk;

/// How one event becomes bytes.
pub trait Format: Send + Sync {
    /// Watchers with equal ids may be given each other's bytes: the lines depend on nothing but the event.
    fn id(&self) -> u64;

    /// Appends one event.
    fn line(&self, kind: EventType, object: &Object, out: &mut Vec<u8>);
}

/// `{"type":"ADDED","object":{…}}` and a newline, with the object as it is stored.
pub struct JsonLines;

impl Format for JsonLines {
    fn id(&self) -> u64 {
        0
    }

    fn line(&self, kind: EventType, object: &Object, out: &mut Vec<u8>) {
        let head: &[u8] = match kind {
            EventType::Added => b"{\"type\":\"ADDED\",\"object\":",
            EventType::Modified => b"{\"type\":\"MODIFIED\",\"object\":",
            EventType::Deleted => b"{\"type\":\"DELETED\",\"object\":",
        };
        out.extend_from_slice(head);
        out.extend_from_slice(object.json());
        out.extend_from_slice(b"}\n");
    }
}

/// How much a chunk may hold; at least one event goes in.
#[derive(Clone, Copy, Debug)]
pub struct ChunkLimits {
    pub events: usize,
    pub bytes: usize,
}

impl Default for ChunkLimits {
    /// Large enough that framing and TLS cost little per event, small enough that a slow client holds little.
    fn default() -> Self {
        ChunkLimits { events: 256, bytes: 64 << 10 }
    }
}

/// Lines for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Empty when nothing in a stretch of events was selected.
    pub bytes: Bytes,
    /// Everything up to this revision has been delivered with it, as far as events tell (0: initial objects).
    pub revision: u64,
    /// The last of the initial objects is in this chunk (or there were none): the revision of their state.
    pub initial_end: Option<u64>,
}

/// Why a watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchEnd {
    /// The watcher was too slow, or the store's history has a gap: the client must list again. 410 Expired.
    #[error("the watcher fell behind")]
    Expired,
}

/// One client's watch.
pub struct Watcher {
    resource: Resource,
    subscription: Subscription,
    selection: Selection,
    initial: Option<Walk>,
    backlog: VecDeque<Arc<Event>>,
    /// Events up to this revision are not for this watcher.
    after: u64,
}

pub(crate) struct Selection {
    scope: Scope,
    filter: Option<Filter>,
    /// Whether the watcher selects exactly what its bucket holds, as others may.
    shareable: bool,
}

/// What a watcher selects. Shareable when the scope is all that there is, the bucket's key says all of it, and no
/// event that is still to come is to be skipped (`skips`: a watch from a revision in the future).
pub(crate) fn watch_selection(scope: Scope, filter: Option<Filter>, namespaced: bool, skips: bool) -> Selection {
    let indexed = match (&scope.namespace, &scope.name, &scope.field) {
        (_, None, None) => true,
        (None, None, Some(_)) => true,
        (namespace, Some(_), None) => namespace.is_some() == namespaced,
        _ => false,
    };
    let shareable = indexed && !skips && filter.is_none();
    Selection { scope, filter, shareable }
}

impl Selection {
    fn selects(&self, object: &Object) -> bool {
        self.scope.matches(object) && self.filter.as_ref().is_none_or(|filter| filter(object))
    }
}

impl Watcher {
    pub(crate) fn new(
        resource: Resource,
        mut subscription: Subscription,
        selection: Selection,
        initial: Option<Walk>,
        after: u64,
    ) -> Self {
        let backlog = std::mem::take(&mut subscription.backlog).into();
        Watcher { resource, subscription, selection, initial, backlog, after }
    }

    /// Puts older events before those that are known.
    pub(crate) fn prepend(&mut self, mut older: VecDeque<Arc<Event>>) {
        older.append(&mut self.backlog);
        self.backlog = older;
    }

    /// The next lines. At most one task polls a watcher.
    pub fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        format: &dyn Format,
        limits: ChunkLimits,
    ) -> Poll<Result<Chunk, WatchEnd>> {
        if self.initial.is_some() {
            return Poll::Ready(Ok(self.initial_chunk(format, limits)));
        }
        while !self.backlog.is_empty() {
            let chunk = self.backlog_chunk(format, limits);
            if !chunk.bytes.is_empty() {
                return Poll::Ready(Ok(chunk));
            }
        }
        let Subscription { bucket, slot, position, .. } = &mut self.subscription;
        let mut events = Vec::new();
        loop {
            let format_id = self.selection.shareable.then(|| format.id());
            match bucket.poll(cx, *slot, *position, format_id, (limits.events, limits.bytes), &mut events) {
                Pending::Nothing => return Poll::Pending,
                Pending::Passed => {
                    let resource = self.resource.shared.spec.prefix.clone();
                    metrics::counter!("apiserver_terminated_watchers_total", "resource" => resource).increment(1);
                    return Poll::Ready(Err(WatchEnd::Expired));
                }
                Pending::Shared(shared) => {
                    *position = shared.to;
                    if !shared.bytes.is_empty() {
                        let chunk = Chunk { bytes: shared.bytes, revision: shared.revision, initial_end: None };
                        return Poll::Ready(Ok(chunk));
                    }
                }
                Pending::Events => {
                    let from = *position;
                    *position += events.len() as u64;
                    let bytes = lines(&events, &self.selection, self.after, format);
                    let revision = events.last().map_or(0, |event| event.revision());
                    if let Some(format) = format_id {
                        bucket.share(SharedChunk { format, from, to: *position, bytes: bytes.clone(), revision });
                    }
                    if !bytes.is_empty() {
                        return Poll::Ready(Ok(Chunk { bytes, revision, initial_end: None }));
                    }
                    events.clear();
                }
            }
        }
    }

    /// As [`Watcher::poll_chunk`].
    pub async fn chunk(&mut self, format: &dyn Format, limits: ChunkLimits) -> Result<Chunk, WatchEnd> {
        poll_fn(|cx| self.poll_chunk(cx, format, limits)).await
    }

    /// A revision up to which this watcher has delivered everything: what a bookmark carries. `None` while there is
    /// something to deliver.
    pub fn synced_revision(&self) -> Option<u64> {
        // The revision first: what it covers is in the buckets by then.
        let revision = self.resource.current_revision();
        let synced = self.initial.is_none()
            && self.backlog.is_empty()
            && self.subscription.bucket.is_end(self.subscription.position);
        (synced && revision >= self.after).then_some(revision)
    }

    fn initial_chunk(&mut self, format: &dyn Format, limits: ChunkLimits) -> Chunk {
        let mut out = Vec::with_capacity(limits.bytes.min(16 << 10));
        let mut left = limits.events;
        let mut initial_end = None;
        if let Some(walk) = &mut self.initial {
            while left > 0 && out.len() < limits.bytes {
                let Some(object) = walk.next_object() else {
                    initial_end = Some(walk.snapshot().revision());
                    break;
                };
                if self.selection.selects(object) {
                    format.line(EventType::Added, object, &mut out);
                    left -= 1;
                }
            }
        }
        if initial_end.is_some() {
            self.initial = None;
        }
        Chunk { bytes: Bytes::from(out), revision: 0, initial_end }
    }

    fn backlog_chunk(&mut self, format: &dyn Format, limits: ChunkLimits) -> Chunk {
        let mut bytes = 0;
        let mut count = 0;
        for event in self.backlog.iter().take(limits.events) {
            bytes += event.after().or(event.before()).map_or(0, |object| object.json().len());
            if bytes > limits.bytes && count > 0 {
                break;
            }
            count += 1;
        }
        let events: Vec<_> = self.backlog.drain(..count).collect();
        let revision = events.last().map_or(0, |event| event.revision());
        Chunk { bytes: lines(&events, &self.selection, self.after, format), revision, initial_end: None }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let Subscription { key, bucket, slot, .. } = &self.subscription;
        self.resource.shared.hub.unsubscribe(key, bucket, *slot);
    }
}

/// What the frame around an object takes, about.
const LINE_OVERHEAD_BYTES: usize = 40;

fn lines(events: &[Arc<Event>], selection: &Selection, after: u64, format: &dyn Format) -> Bytes {
    let seen: Vec<_> = events
        .iter()
        .filter(|event| event.revision() > after)
        .filter_map(|event| event.seen_by(|object| selection.selects(object)))
        .collect();
    let bytes: usize = seen.iter().map(|(_, object)| object.json().len() + LINE_OVERHEAD_BYTES).sum();
    let mut out = Vec::with_capacity(bytes);
    for (kind, object) in seen {
        format.line(kind, object, &mut out);
    }
    Bytes::from(out)
}
