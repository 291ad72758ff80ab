//! Fences: linearizable reads. Whoever waits when one is sent shares it; whoever comes later shares the next.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream;
use kuorum_proto::v1;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

use super::contact::Contact;
use crate::error::StoreError;

/// A fence that so many readers shared shows that there is load: the next one leaves no earlier than
/// [`CROWD_INTERVAL`] behind it, so that more share it. A fence costs a round among the members, which at 20,000 reads
/// a second would be a third of all CPU.
const CROWD_MIN: usize = 16;
const CROWD_INTERVAL: Duration = Duration::from_millis(2);

pub(crate) struct Fences {
    state: Mutex<State>,
    contact: Arc<Contact>,
}

#[derive(Default)]
struct State {
    /// Not yet sent: their fence must begin after they came.
    waiting: Vec<oneshot::Sender<u64>>,
    in_flight: Vec<oneshot::Sender<u64>>,
    /// Of the fence in flight; 0: none.
    in_flight_id: u64,
    last_id: u64,
    /// When the fence in flight, or the last one, was sent.
    sent: Option<Instant>,
    /// How many readers shared the last one that was answered.
    crowd: usize,
    /// Of the request stream, when it has nothing to send.
    waker: Option<Waker>,
    /// Counts sessions: the request stream of an earlier one sends nothing more.
    session: u64,
    /// Why there was no answer lately.
    trouble: String,
}

impl Fences {
    pub fn new(contact: Arc<Contact>) -> Self {
        Fences { state: Mutex::default(), contact }
    }

    pub async fn wait(&self, deadline: Instant) -> Result<u64, StoreError> {
        let answer = self.ask();
        let patience = deadline.min(Instant::now() + self.contact.patience());
        match tokio::time::timeout_at(patience, answer).await {
            Ok(Ok(revision)) => Ok(revision),
            _ => Err(StoreError::Unavailable(self.trouble())),
        }
    }

    /// Sends a fence that nobody waits for, to see whether there is a quorum.
    pub fn probe(&self) {
        drop(self.ask());
    }

    fn ask(&self) -> oneshot::Receiver<u64> {
        let (done, answer) = oneshot::channel();
        let waker = {
            let mut state = self.state.lock();
            state.waiting.push(done);
            if state.in_flight_id == 0 { state.waker.take() } else { None }
        };
        waker.into_iter().for_each(Waker::wake);
        answer
    }

    fn trouble(&self) -> String {
        let state = self.state.lock();
        if state.trouble.is_empty() { "no member answers".to_owned() } else { state.trouble.clone() }
    }

    /// Begins a session: the stream of its requests. Fences of the last session are sent again.
    pub fn open(self: &Arc<Self>, open: v1::session_request::Open) -> Requests {
        let mut state = self.state.lock();
        state.session += 1;
        state.retry();
        let first = v1::SessionRequest { request: Some(v1::session_request::Request::Open(open)) };
        Requests { fences: self.clone(), session: state.session, first: Some(first), pause: None }
    }

    /// Ends the session: what is in flight waits for the next one.
    pub fn close(&self, trouble: &str) {
        let mut state = self.state.lock();
        state.session += 1;
        state.trouble = trouble.to_owned();
        state.retry();
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    pub fn acknowledged(&self, id: u64, revision: u64) {
        let mut state = self.state.lock();
        if state.in_flight_id != id {
            return;
        }
        self.contact.made();
        let done = std::mem::take(&mut state.in_flight);
        state.crowd = done.len();
        if let Some(sent) = state.sent {
            metrics::histogram!("kuorum_store_fence_duration_seconds").record(sent.elapsed());
        }
        metrics::counter!("kuorum_store_fenced_reads_total").increment(done.len() as u64);
        state.in_flight_id = 0;
        let waker = if state.waiting.is_empty() { None } else { state.waker.take() };
        drop(state);
        // The next fence leaves before the readers of this one begin their work.
        waker.into_iter().for_each(Waker::wake);
        for waiter in done {
            // A reader that gave up has dropped its end.
            let _ = waiter.send(revision);
        }
    }

    /// The member could not serve it (no leader, for example): it is sent again by [`Fences::resume`].
    pub fn failed(&self, id: u64, message: String) {
        let mut state = self.state.lock();
        if state.in_flight_id == id {
            state.trouble = message;
            state.retry();
        }
    }

    /// Sends what waits.
    pub fn resume(&self) {
        let waker = self.state.lock().waker.take();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// When the next fence may leave, if not at once.
    fn not_before(&self) -> Option<Instant> {
        let until = self.sent? + CROWD_INTERVAL;
        (self.crowd >= CROWD_MIN && until > Instant::now()).then_some(until)
    }

    /// What is in flight waits again; readers that gave up are forgotten.
    fn retry(&mut self) {
        self.in_flight_id = 0;
        let mut again = std::mem::take(&mut self.in_flight);
        again.append(&mut self.waiting);
        again.retain(|waiter| !waiter.is_closed());
        self.waiting = again;
    }
}

/// The requests of one session: `Open`, then fences.
pub(crate) struct Requests {
    fences: Arc<Fences>,
    session: u64,
    first: Option<v1::SessionRequest>,
    /// Until the next fence may be sent.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Stream for Requests {
    type Item = v1::SessionRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<v1::SessionRequest>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(first));
        }
        let mut state = this.fences.state.lock();
        if state.session != this.session {
            return Poll::Ready(None);
        }
        if state.in_flight_id != 0 || state.waiting.is_empty() {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(pause) = &mut this.pause {
            if pause.as_mut().poll(cx).is_pending() {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            this.pause = None;
        } else if let Some(until) = state.not_before() {
            let mut pause = Box::pin(sleep_until(until));
            if pause.as_mut().poll(cx).is_pending() {
                this.pause = Some(pause);
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        state.sent = Some(Instant::now());
        state.last_id += 1;
        state.in_flight_id = state.last_id;
        state.in_flight = std::mem::take(&mut state.waiting);
        let fence = v1::session_request::Fence { id: state.in_flight_id };
        Poll::Ready(Some(v1::SessionRequest { request: Some(v1::session_request::Request::Fence(fence)) }))
    }
}
