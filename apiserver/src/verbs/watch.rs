//! WATCH: a stream of events, one JSON document per line, with bookmarks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use kuorum_cache::Object;
use kuorum_cache::watch::{Chunk, ChunkLimits, EventType, Format, JsonLines, WatchError, WatchStart, Watcher};
use kuorum_kinds::kind::Kind;
use kuorum_schema::codec;
use rand::RngExt;
use serde_json::json;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::selection::Selection;
use super::{Response, store, version};
use crate::app::Call;
use crate::body::Body;
use crate::object::protobuf;
use crate::object::render::Renderer;
use crate::request::negotiate;
use crate::request::options::ListOptions;
use crate::status::ApiError;

/// A watch without `timeoutSeconds` lasts this long, and up to twice as long: clients do not come back in step.
const DURATION_MIN: Duration = Duration::from_secs(1800);
/// Longer wishes are cut.
const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);
/// Between bookmarks of a watch without events.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// The last bookmark comes this long before the end: a client resumes from it.
const LAST_BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// How long the beginning of a watch may wait for the store.
const START_TIMEOUT: Duration = Duration::from_secs(30);

pub async fn watch(call: &Call<'_>) -> Result<Response, ApiError> {
    let options = ListOptions::parse(call.query)?;
    options.validate(true)?;
    let resource = call.app.resource(call.kind)?;
    let selection = Selection::parse(call, &resource, &options)?;
    let renderer = Renderer::of(call)?;
    let format = renderer.format();
    let deadline = Instant::now() + START_TIMEOUT;
    let start = start(call, &options).await?;
    let initial_bookmark = options.allow_watch_bookmarks && start == WatchStart::State;
    let Selection { scope, filter, .. } = selection;
    let body = match resource.watch(start, scope, filter, deadline).await {
        Ok(watcher) => {
            let lines = Lines::new(renderer);
            let end = Instant::now() + duration(&options);
            Body::stream(Events {
                watcher,
                lines,
                initial_bookmark,
                bookmarks: options.allow_watch_bookmarks.then(|| Box::pin(sleep_until(next_bookmark(end)))),
                ends: end,
                end: Box::pin(sleep_until(end)),
                drain: Box::pin(call.app.drain.clone().cancelled_owned()),
                ended: false,
            })
        }
        // Too old is told as an event: clients read it there.
        Err(WatchError::Expired { wanted, oldest }) => {
            let error = ApiError::expired(format!("too old resource version: {wanted} ({oldest})"));
            Body::full(error_line(&error, format))
        }
        Err(WatchError::Store(error)) => return Err(store::store_error(error)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type(format)));
    Ok(response)
}

/// Where the watch begins, once the cache is fresh enough.
async fn start(call: &Call<'_>, options: &ListOptions) -> Result<WatchStart, ApiError> {
    let wanted = options.version()?;
    match wanted {
        None => drop(store::fence(call.app, call.deadline).await?),
        Some(0) => {}
        Some(revision) if options.send_initial_events == Some(true) => version::not_older_than(call, revision).await?,
        Some(revision) => return Ok(WatchStart::After(revision)),
    }
    if options.send_initial_events == Some(false) {
        return Ok(WatchStart::After(call.app.store.revision()));
    }
    Ok(WatchStart::State)
}

fn duration(options: &ListOptions) -> Duration {
    match options.timeout_seconds {
        Some(seconds) if seconds > 0 => Duration::from_secs(seconds.unsigned_abs()).min(DURATION_MAX),
        _ => DURATION_MIN.mul_f64(rand::rng().random_range(1.0..2.0)),
    }
}

/// In a minute, or shortly before the end, whatever comes first.
fn next_bookmark(end: Instant) -> Instant {
    let now = Instant::now();
    let regular = now + BOOKMARK_INTERVAL.mul_f64(rand::rng().random_range(0.9..1.1));
    match end.checked_sub(LAST_BOOKMARK_BEFORE_END) {
        Some(last) if last > now => regular.min(last),
        _ => regular,
    }
}

/// The events of one watch as lines.
struct Events {
    watcher: Watcher,
    lines: Lines,
    /// The end of the initial objects is to be marked.
    initial_bookmark: bool,
    /// `None`: the client wants no bookmarks.
    bookmarks: Option<Pin<Box<Sleep>>>,
    ends: Instant,
    end: Pin<Box<Sleep>>,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl Stream for Events {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            match this.watcher.poll_chunk(cx, this.lines.format(), this.lines.limits()) {
                Poll::Ready(Ok(chunk)) => {
                    if let Some(bytes) = this.with_bookmark(chunk) {
                        return Poll::Ready(Some(bytes));
                    }
                    continue;
                }
                Poll::Ready(Err(_)) => {
                    this.ended = true;
                    let error = ApiError::expired("too old resource version: the watch fell behind");
                    return Poll::Ready(Some(error_line(&error, this.lines.formats[0].renderer.format())));
                }
                Poll::Pending => {}
            }
            if this.end.as_mut().poll(cx).is_ready() || this.drain.as_mut().poll(cx).is_ready() {
                this.ended = true;
                return Poll::Ready(None);
            }
            let due = this.bookmarks.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
            if !due {
                return Poll::Pending;
            }
            if let Some(timer) = &mut this.bookmarks {
                timer.as_mut().reset(next_bookmark(this.ends));
            }
            if let Some(revision) = this.watcher.synced_revision() {
                return Poll::Ready(Some(this.lines.bookmark(revision, false)));
            }
        }
    }
}

impl Events {
    /// The chunk's bytes, behind the initial objects with the bookmark that ends them; `None` if that is nothing.
    fn with_bookmark(&mut self, chunk: Chunk) -> Option<Bytes> {
        self.lines.first &= chunk.bytes.is_empty();
        let Some(revision) = chunk.initial_end.filter(|_| self.initial_bookmark) else {
            return Some(chunk.bytes).filter(|bytes| !bytes.is_empty());
        };
        let mut bytes = Vec::from(chunk.bytes);
        bytes.extend_from_slice(&self.lines.bookmark(revision, true));
        Some(Bytes::from(bytes))
    }
}

/// How events are written for one client.
struct Lines {
    /// Of the first event, and of the others.
    formats: [Rendered; 2],
    verbatim: bool,
    /// Nothing has been written yet.
    first: bool,
}

impl Lines {
    fn new(renderer: Renderer) -> Self {
        let renderer = Arc::new(renderer);
        let format = |first| Rendered { renderer: renderer.clone(), first };
        Lines { verbatim: renderer.is_verbatim(), formats: [format(true), format(false)], first: true }
    }

    fn format(&self) -> &dyn Format {
        match (self.verbatim, self.first) {
            (true, _) => &JsonLines,
            (false, true) => &self.formats[0],
            (false, false) => &self.formats[1],
        }
    }

    fn limits(&self) -> ChunkLimits {
        match !self.verbatim && self.first {
            true => ChunkLimits { events: 1, ..ChunkLimits::default() },
            false => ChunkLimits::default(),
        }
    }

    /// A BOOKMARK line: an object of the kind with nothing but a version.
    fn bookmark(&mut self, revision: u64, initial_end: bool) -> Bytes {
        let renderer = &self.formats[0].renderer;
        let object = bookmark_object(renderer.kind(), revision, initial_end);
        let mut out = Vec::with_capacity(object.len() + 64);
        event("BOOKMARK", renderer.format(), &mut out, |out| {
            renderer.single_json(&object, self.first, crate::tls::unix_now(), out);
        });
        self.first = false;
        Bytes::from(out)
    }
}

fn bookmark_object(kind: &Kind, revision: u64, initial_end: bool) -> Vec<u8> {
    let mut metadata = json!({ "resourceVersion": revision.to_string() });
    if initial_end {
        metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
    }
    let object = json!({ "apiVersion": kind.api_version, "kind": kind.row.kind, "metadata": metadata });
    let mut out = Vec::with_capacity(256);
    codec::encode(&object, &kind.schema, &mut out);
    out
}

/// Events in a shape other than the stored one.
struct Rendered {
    renderer: Arc<Renderer>,
    first: bool,
}

impl Format for Rendered {
    fn id(&self) -> u64 {
        self.renderer.id().rotate_left(1) ^ u64::from(self.first) | 2
    }

    fn line(&self, kind: EventType, object: &Object, out: &mut Vec<u8>) {
        event(kind.as_str(), self.renderer.format(), out, |out| {
            self.renderer.single(object, self.first, crate::tls::unix_now(), out);
        });
    }
}

/// Appends one event around the object that `write` appends: a line of JSON, or a frame of protobuf.
fn event(kind: &str, format: negotiate::Format, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if format == negotiate::Format::Protobuf {
        let mut object = Vec::new();
        write(&mut object);
        return protobuf::frame(kind, &object, out);
    }
    for part in ["{\"type\":\"", kind, "\",\"object\":"] {
        out.extend_from_slice(part.as_bytes());
    }
    write(out);
    out.extend_from_slice(b"}\n");
}

fn error_line(error: &ApiError, format: negotiate::Format) -> Bytes {
    let mut out = Vec::new();
    let status = error.status().to_json();
    event("ERROR", format, &mut out, |out| match format {
        negotiate::Format::Protobuf => drop(protobuf::body(&status, out)),
        negotiate::Format::Json | negotiate::Format::Yaml => out.extend_from_slice(&status),
    });
    Bytes::from(out)
}

fn content_type(format: negotiate::Format) -> &'static str {
    match format {
        negotiate::Format::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        negotiate::Format::Json | negotiate::Format::Yaml => "application/json",
    }
}
