//! Priority and fairness: which requests are served now, which wait, which are refused.
//!
//! The decisions are [`kuorum_fairness`]'s. Here are its clock, its waiting, what it needs to know of a request, and
//! what clients see of it: headers, 429. A request that waits gives up after a quarter of its time, so that most of
//! it is left for being served; one whose client has gone leaves its queue at once, as its future is dropped.

mod debug;
mod work;

pub use debug::{DEBUG_PREFIX, debug};

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use kuorum_fairness::{Attributes, Departure, Flow, Level, Nanos, Reason, Refusal, Ticket, figures};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::in_flight::Counts;
use super::overload::{self, Entered, Entering, too_many_requests, write_kinds};
use crate::auth::User;
use crate::request::info::RequestInfo;

type Engine = kuorum_fairness::Fairness<Detail>;

/// The part of its time that a request may wait.
const WAIT_PART: u32 = 4;
/// Longest time that a request may wait.
const WAIT_MAX: Duration = Duration::from_secs(60);

static SCHEMA_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
static LEVEL_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

/// Priority and fairness of this server.
pub struct Fairness {
    pub engine: Engine,
    clock: Clock,
    pub executing: Arc<Counts>,
    waiting: Arc<Counts>,
}

/// What dumps show of a request: enough to read the rest from it. Cheap to keep.
pub struct Detail {
    user: Arc<User>,
    method: Method,
    uri: Uri,
}

/// The time of the engine.
#[derive(Clone, Copy)]
struct Clock {
    started: Instant,
    started_at: SystemTime,
}

impl Clock {
    fn now(&self) -> Nanos {
        Nanos::try_from(self.started.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }

    fn instant(&self, time: Nanos) -> Instant {
        self.started + Duration::from_nanos(time)
    }
}

/// How a request was classified.
pub struct Classified(Arc<Flow<Detail>>);

impl Classified {
    /// The names are not for every user to see, so only the UIDs are told.
    pub fn tell(&self, headers: &mut HeaderMap) {
        for (name, uid) in [(&SCHEMA_UID, &self.0.schema_uid), (&LEVEL_UID, &self.0.level_uid)] {
            if let Ok(value) = HeaderValue::from_maybe_shared(uid.clone()) {
                headers.insert(name, value);
            }
        }
    }
}

impl Fairness {
    /// `seats`: how many requests of one seat can be served at once.
    pub fn new(seats: usize) -> Self {
        Fairness {
            engine: Engine::new(u32::try_from(seats).unwrap_or(u32::MAX)),
            clock: Clock { started: Instant::now(), started_at: SystemTime::now() },
            executing: Arc::default(),
            waiting: Arc::default(),
        }
    }

    pub fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// Waits for seats. Streams other than watches are not counted.
    pub async fn enter(&self, entering: &Entering<'_>) -> Entered<'_> {
        let info = entering.info;
        let watch = info.verb == "watch";
        let classified = match info.is_long_running() && !watch {
            true => None,
            false => self.engine.classify(&attributes(entering.user, info)),
        };
        let Some(flow) = classified else {
            return Entered { classified: None, outcome: Ok(overload::Permit::Free) };
        };
        let work = work::estimate(entering, flow.level.request_seats_max(), &flow.figures);
        let distinguisher = flow.distinguisher(&entering.user.name, info.namespace);
        let detail = Detail {
            user: entering.user.clone(),
            method: entering.parts.method.clone(),
            uri: entering.parts.uri.clone(),
        };
        let now = self.now();
        let outcome = match flow.arrive(now, work, distinguisher, detail) {
            Err(refusal) => Err(refusal),
            Ok(ticket) => {
                let executing = ticket.is_executing();
                let counted = Counted::new(&self.executing, info, executing);
                let permit = Permit { ticket: Some(ticket), clock: self.clock, watch, counted };
                if executing { Ok(permit) } else { self.wait(permit, info, entering.deadline).await }
            }
        };
        let outcome = outcome.map(overload::Permit::Fairness).map_err(|r| too_many_requests(r.retry_after_seconds));
        Entered { classified: Some(Classified(flow)), outcome }
    }

    async fn wait(&self, mut permit: Permit, info: &RequestInfo<'_>, deadline: Instant) -> Result<Permit, Refusal> {
        let _waiting = Counted::new(&self.waiting, info, true);
        let now = Instant::now();
        let limit = now + (deadline.saturating_duration_since(now) / WAIT_PART).min(WAIT_MAX);
        let served = poll_fn(|cx| if permit.poll(cx.waker()) { Poll::Ready(()) } else { Poll::Pending });
        if timeout_at(limit, served).await.is_ok() || permit.poll(Waker::noop()) {
            permit.counted = Counted::new(&self.executing, info, true);
            return Ok(permit);
        }
        Err(permit.give_up())
    }

    /// Appends metrics in the Prometheus text format.
    pub fn write_metrics(&self, out: &mut String) {
        figures::write(&self.engine, out);
        let (reading, writing) = self.waiting.counts();
        write_kinds(out, "apiserver_current_inqueue_requests", "Requests that wait in queues", reading, writing);
    }
}

fn attributes<'a>(user: &'a User, info: &'a RequestInfo<'_>) -> Attributes<'a> {
    Attributes {
        user: &user.name,
        groups: &user.groups,
        verb: info.verb,
        is_resource: info.is_resource,
        path: info.path,
        group: info.group,
        resource: info.resource,
        subresource: info.subresource,
        namespace: info.namespace,
    }
}

/// A request that is counted among its kind until this is dropped.
struct Counted(Option<(Arc<Counts>, bool)>);

impl Counted {
    fn new(counts: &Arc<Counts>, info: &RequestInfo<'_>, counted: bool) -> Self {
        if !counted {
            return Counted(None);
        }
        counts.of(info.is_read_only()).fetch_add(1, Ordering::Relaxed);
        Counted(Some((counts.clone(), info.is_read_only())))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some((counts, read_only)) = &self.0 {
            counts.of(*read_only).fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A request's seats, or its place in a queue. Given back when it is dropped.
pub struct Permit {
    /// Taken only at the end.
    ticket: Option<Ticket<Detail>>,
    clock: Clock,
    watch: bool,
    counted: Counted,
}

impl Permit {
    fn poll(&mut self, waker: &Waker) -> bool {
        let now = self.clock.now();
        self.ticket.as_mut().is_none_or(|ticket| ticket.poll(now, waker))
    }

    fn give_up(mut self) -> Refusal {
        match self.leave(Reason::TimeOut) {
            Some(Departure::Refused(refusal)) => refusal,
            // Its seats came free at the very last moment, and go to the next one.
            _ => Refusal { reason: Reason::TimeOut, retry_after_seconds: 1 },
        }
    }

    fn leave(&mut self, reason: Reason) -> Option<Departure> {
        let ticket = self.ticket.take()?;
        let level = ticket.flow().level.clone();
        let departure = ticket.leave(self.clock.now(), reason, self.watch);
        if let Departure::Executed { release: Some(at) } = departure {
            release_later(level, self.clock, at);
        }
        Some(departure)
    }

    /// Gives the seats back when the returned guard is dropped, at the deadline at the latest: a client that does not
    /// read its answer must not keep them.
    pub fn until(self, deadline: Instant) -> impl Send + 'static {
        let permit = Arc::new(Mutex::new(Some(self)));
        let late = permit.clone();
        let timer = tokio::spawn(async move {
            sleep_until(deadline).await;
            drop(late.lock().take());
        });
        Held { permit, timer: timer.abort_handle() }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.leave(Reason::Cancelled);
    }
}

struct Held {
    permit: Arc<Mutex<Option<Permit>>>,
    timer: tokio::task::AbortHandle,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.timer.abort();
        drop(self.permit.lock().take());
    }
}

/// Calls [`Level::release`] when it is time, as long as it asks for it. One task per level at a time.
fn release_later(level: Arc<Level<Detail>>, clock: Clock, at: Nanos) {
    // Without a runtime the process ends, or the level's next request does it.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        let mut next = Some(at);
        while let Some(at) = next {
            sleep_until(clock.instant(at)).await;
            next = level.release(clock.now());
        }
    });
}
