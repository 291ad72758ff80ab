//! Fair queuing for server requests: the queues of one level, and who is served next.
//!
//! The progress meter R counts the seat-seconds that each active queue could have had since the start. A queue's next
//! request is dispatched at the R at which it would begin if all queues were served at once, an equal part of the
//! seats each; of all heads, the one that would then *finish* first goes next. What a request costs is estimated when
//! it is dispatched and corrected when it has finished, so a queue pays for what it used.
//!
//! A request reserves the larger of its two numbers of seats until its very end. A head that needs more seats than
//! are free waits for them, and everything behind it too: wide requests are not starved.
//!
//! Differs from kube-apiserver: a full queue always refuses (there, not while the head of another queue waits for
//! seats, which lets queues grow without a bound), and a request that gives up lets the next one through at once.

mod queue;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use smallvec::SmallVec;

use crate::Nanos;
use crate::demand::{Integrator, Observed};
use crate::seat_seconds::SeatSeconds;
use crate::spec::LimitResponse;
use crate::work::{SERVICE_ESTIMATE, Work};
use queue::{Queue, Queues};

/// Tasks to wake, once no lock is held.
pub type Woken = SmallVec<[Waker; 4]>;

/// A request in a queue set, from its arrival to [`QueueSet::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u32);

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No seat, and no queue to wait in.
    ConcurrencyLimit,
    QueueFull,
    /// It has waited too long.
    TimeOut,
    /// Its client gave up while it waited.
    Cancelled,
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    Executing,
}

/// How a request left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It waited until then.
    Waiting { waited: Nanos },
    /// It was served for so long. `release`: seats are still taken, and [`QueueSet::release`] is to be called then.
    Executed { executed: Nanos, release: Option<Nanos> },
}

#[derive(Debug)]
struct Entry<D> {
    state: State,
    queue: Option<u32>,
    work: Work,
    arrived: Nanos,
    started: Nanos,
    arrival_r: SeatSeconds,
    waker: Option<Waker>,
    detail: D,
}

/// Seats that are taken behind a request, until then.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lingering {
    until: Nanos,
    seats: u32,
    queue: Option<u32>,
}

/// Requests by outcome, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub dispatched: u64,
    pub rejected: u64,
    pub timed_out: u64,
    pub cancelled: u64,
}

/// The queues of a level.
#[derive(Debug)]
pub struct QueueSet<D> {
    response: LimitResponse,
    seats_max: u32,
    queues: Queues,
    entries: Vec<Option<Entry<D>>>,
    free: Vec<u32>,
    lingering: BinaryHeap<Reverse<Lingering>>,
    /// Somebody will call [`QueueSet::release`] at this time.
    release_arranged: Option<Nanos>,
    r: SeatSeconds,
    last: Nanos,
    enqueued: u64,
    waiting: usize,
    executing: usize,
    /// Invariant: the sum over executing requests and lingering ones.
    seats_in_use: u64,
    /// Invariant: the sum over waiting requests.
    seats_waiting: u64,
    demand: Integrator,
    totals: Totals,
}

impl<D> QueueSet<D> {
    pub fn new(now: Nanos, response: LimitResponse, seats_max: u32) -> Self {
        let mut demand = Integrator::default();
        demand.reset(now);
        QueueSet {
            response,
            seats_max,
            queues: Queues::new(deck(&response)),
            entries: Vec::new(),
            free: Vec::new(),
            lingering: BinaryHeap::new(),
            release_arranged: None,
            r: SeatSeconds::ZERO,
            last: now,
            enqueued: 0,
            waiting: 0,
            executing: 0,
            seats_in_use: 0,
            seats_waiting: 0,
            demand,
            totals: Totals::default(),
        }
    }

    /// A request arrives: it is executing, waiting, or refused. `hash` is its flow's.
    pub fn arrive(
        &mut self,
        now: Nanos,
        work: Work,
        hash: u64,
        detail: D,
        woken: &mut Woken,
    ) -> Result<(Key, State), Reason> {
        self.advance(now);
        // Seats that were just given back belong to those that wait.
        self.dispatch(now, woken);
        let queue = match self.response {
            LimitResponse::Exempt => None,
            LimitResponse::Reject if self.accommodates(work.seats_max()) => None,
            LimitResponse::Reject => return Err(self.refuse(Reason::ConcurrencyLimit)),
            LimitResponse::Queue { dealer, length_max } => {
                let at = self.queues.emptiest(&dealer.deal(hash), self.enqueued);
                self.enqueued += 1;
                if self.queues[at].len() >= length_max {
                    return Err(self.refuse(Reason::QueueFull));
                }
                Some(at)
            }
        };
        let entry = Entry {
            state: State::Waiting,
            queue,
            work,
            arrived: now,
            started: now,
            arrival_r: self.r,
            waker: None,
            detail,
        };
        let key = self.insert(entry);
        match queue {
            None => self.begin(now, key),
            Some(at) => {
                self.queues.push(at, key, &work, self.r);
                self.waiting += 1;
                self.seats_waiting += u64::from(work.seats_max());
                self.dispatch(now, woken);
            }
        }
        self.note_demand(now);
        Ok((key, self.state(key)))
    }

    /// Where a request is. While it waits, `waker` is woken when that changes.
    pub fn poll(&mut self, key: Key, waker: &Waker) -> State {
        let Some(entry) = self.entry_mut(key) else { return State::Executing };
        if entry.state == State::Waiting && entry.waker.as_ref().is_none_or(|own| !own.will_wake(waker)) {
            entry.waker = Some(waker.clone());
        }
        entry.state
    }

    /// A request has been served, or gives up waiting for `reason`. The key is void from then on.
    pub fn leave(&mut self, now: Nanos, key: Key, reason: Reason, woken: &mut Woken) -> Option<(Left, D)> {
        self.advance(now);
        let entry = self.entries.get_mut(key.0 as usize)?.take()?;
        self.free.push(key.0);
        let left = match entry.state {
            State::Waiting => {
                self.waiting -= 1;
                self.seats_waiting -= u64::from(entry.work.seats_max());
                if let Some(at) = entry.queue {
                    self.queues.remove(at, key, &entry.work);
                    self.bound(at);
                }
                self.refuse(reason);
                Left::Waiting { waited: now.saturating_sub(entry.arrived) }
            }
            State::Executing => {
                let executed = now.saturating_sub(entry.started);
                Left::Executed { executed, release: self.end(now, &entry, executed) }
            }
        };
        self.queues.shrink(deck(&self.response));
        self.dispatch(now, woken);
        self.note_demand(now);
        Some((left, entry.detail))
    }

    /// Gives seats back whose time is over. Returns when to call this again, if that is needed.
    pub fn release(&mut self, now: Nanos, woken: &mut Woken) -> Option<Nanos> {
        self.advance(now);
        self.queues.shrink(deck(&self.response));
        self.dispatch(now, woken);
        self.note_demand(now);
        self.release_arranged = self.lingering.peek().map(|Reverse(next)| next.until);
        self.release_arranged
    }

    /// Changes the rules. Requests that wait stay in their queues; queues that are too many are emptied first.
    pub fn configure(&mut self, now: Nanos, response: LimitResponse, seats_max: u32, woken: &mut Woken) {
        self.advance(now);
        self.response = response;
        self.seats_max = seats_max;
        self.queues.grow(deck(&response));
        self.queues.shrink(deck(&response));
        self.dispatch(now, woken);
        self.note_demand(now);
    }

    /// What was demanded since the last time.
    pub(crate) fn observe(&mut self, now: Nanos) -> Observed {
        self.demand.reset(now)
    }

    pub fn is_idle(&self) -> bool {
        self.waiting == 0 && self.executing == 0
    }

    pub fn seats_max(&self) -> u32 {
        self.seats_max
    }

    pub fn seats_in_use(&self) -> u64 {
        self.seats_in_use
    }

    pub fn waiting(&self) -> usize {
        self.waiting
    }

    pub fn executing(&self) -> usize {
        self.executing
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    pub fn progress(&self) -> SeatSeconds {
        self.r
    }

    fn insert(&mut self, entry: Entry<D>) -> Key {
        match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = Some(entry);
                Key(slot)
            }
            None => {
                self.entries.push(Some(entry));
                Key((self.entries.len() - 1) as u32)
            }
        }
    }

    fn entry(&self, key: Key) -> Option<&Entry<D>> {
        self.entries.get(key.0 as usize)?.as_ref()
    }

    fn entry_mut(&mut self, key: Key) -> Option<&mut Entry<D>> {
        self.entries.get_mut(key.0 as usize)?.as_mut()
    }

    fn state(&self, key: Key) -> State {
        self.entry(key).map_or(State::Executing, |entry| entry.state)
    }

    fn refuse(&mut self, reason: Reason) -> Reason {
        self.totals.rejected += 1;
        self.totals.timed_out += u64::from(reason == Reason::TimeOut);
        self.totals.cancelled += u64::from(reason == Reason::Cancelled);
        reason
    }

    /// Moves R on, as if the state of the queues had been what it is since the last time, and gives back the seats
    /// whose time is over. Call before any change.
    fn advance(&mut self, now: Nanos) {
        while self.lingering.peek().is_some_and(|Reverse(next)| next.until <= now) {
            let Some(Reverse(Lingering { until, seats, queue })) = self.lingering.pop() else { break };
            self.progress_to(until);
            self.seats_in_use -= u64::from(seats);
            if let Some(at) = queue {
                self.queues.free_seats(at, seats);
            }
        }
        self.progress_to(now);
    }

    fn progress_to(&mut self, now: Nanos) {
        let time = now.saturating_sub(self.last);
        self.last = self.last.max(now);
        let seats = (self.seats_in_use + self.seats_waiting).min(u64::from(self.seats_max));
        self.r += SeatSeconds::shared(seats, self.queues.active(), time);
    }

    fn note_demand(&mut self, now: Nanos) {
        self.demand.set(now, self.seats_in_use + self.seats_waiting);
    }

    /// Whether a request of so many seats can begin now. One that is wider than the level may run alone.
    fn accommodates(&self, seats: u32) -> bool {
        match self.response {
            LimitResponse::Exempt => true,
            _ if seats > self.seats_max => self.executing == 0,
            _ => self.seats_in_use + u64::from(seats) <= u64::from(self.seats_max),
        }
    }

    /// Begins as many waiting requests as there are seats for.
    fn dispatch(&mut self, now: Nanos, woken: &mut Woken) {
        while self.waiting > 0 && self.seats_in_use < u64::from(self.seats_max) {
            let total = |key: Key| self.entry(key).map_or(SeatSeconds::ZERO, |entry| entry.work.total());
            let Some((at, key)) = self.queues.next(total) else { return };
            let Some(work) = self.entry(key).map(|entry| entry.work) else { return };
            if !self.accommodates(work.seats_max()) {
                return;
            }
            self.queues.served(at);
            self.queues.remove(at, key, &work);
            self.waiting -= 1;
            self.seats_waiting -= u64::from(work.seats_max());
            self.begin(now, key);
            self.bound(at);
            if let Some(waker) = self.entry_mut(key).and_then(|entry| entry.waker.take()) {
                woken.push(waker);
            }
        }
    }

    fn begin(&mut self, now: Nanos, key: Key) {
        let seats_max = self.seats_max;
        let Some(entry) = self.entries.get_mut(key.0 as usize).and_then(Option::as_mut) else { return };
        entry.state = State::Executing;
        entry.started = now;
        let total = entry.work.total();
        // More seats behind the request than the level has: fewer, for longer.
        if entry.queue.is_some() && entry.work.final_seats > seats_max {
            entry.work.additional_latency = entry.work.final_work().time_with(u64::from(seats_max));
            entry.work.final_seats = seats_max;
        }
        self.executing += 1;
        self.totals.dispatched += 1;
        let seats = entry.work.seats_max();
        self.seats_in_use += u64::from(seats);
        if let Some(at) = entry.queue {
            self.queues.begin(at, seats, total);
        }
    }

    /// Ends a request's main part. Returns when its seats are to be released if nobody does that yet.
    fn end(&mut self, now: Nanos, entry: &Entry<D>, executed: Nanos) -> Option<Nanos> {
        self.executing -= 1;
        let seats = entry.work.seats_max();
        if let Some(at) = entry.queue {
            let initial = u64::from(entry.work.initial_seats);
            let correction = SeatSeconds::of(initial, executed) - SeatSeconds::of(initial, SERVICE_ESTIMATE);
            self.queues.end(at, correction);
            self.bound(at);
        }
        if entry.work.additional_latency == 0 {
            self.seats_in_use -= u64::from(seats);
            if let Some(at) = entry.queue {
                self.queues.free_seats(at, seats);
            }
            return None;
        }
        let until = now.saturating_add(entry.work.additional_latency);
        self.lingering.push(Reverse(Lingering { until, seats, queue: entry.queue }));
        if self.release_arranged.is_some_and(|arranged| arranged <= until) {
            return None;
        }
        self.release_arranged = Some(until);
        Some(until)
    }

    /// A queue is not served, in virtual time, before its oldest request arrived: it saves nothing up while it has
    /// less to do than its part.
    fn bound(&mut self, at: u32) {
        if let Some(arrival_r) = self.queues[at].front().and_then(|key| self.entry(key)).map(|entry| entry.arrival_r) {
            self.queues.not_before(at, arrival_r);
        }
    }

    /// All requests, for dumps and gauges: those that wait by queue and place, then those that execute.
    pub fn each(&self, mut show: impl FnMut(Shown<'_, D>)) {
        for (at, queue) in self.queues.iter() {
            for (place, entry) in queue.keys().filter_map(|key| self.entry(key)).enumerate() {
                show(Shown::of(entry, Some(at), Some(place)));
            }
        }
        let executing = self.entries.iter().flatten().filter(|entry| entry.state == State::Executing);
        executing.for_each(|entry| show(Shown::of(entry, entry.queue, None)));
    }

    /// All queues, for dumps.
    pub fn each_queue(&self, mut show: impl FnMut(u32, &Queue)) {
        self.queues.iter().for_each(|(at, queue)| show(at, queue));
    }
}

/// A request as a dump shows it.
#[derive(Debug)]
pub struct Shown<'a, D> {
    pub queue: Option<u32>,
    /// In the queue; `None` once it executes.
    pub place: Option<usize>,
    pub work: Work,
    pub arrived: Nanos,
    pub started: Option<Nanos>,
    pub detail: &'a D,
}

impl<'a, D> Shown<'a, D> {
    fn of(entry: &'a Entry<D>, queue: Option<u32>, place: Option<usize>) -> Self {
        let started = (entry.state == State::Executing).then_some(entry.started);
        Shown { queue, place, work: entry.work, arrived: entry.arrived, started, detail: &entry.detail }
    }
}

fn deck(response: &LimitResponse) -> u32 {
    match response {
        LimitResponse::Queue { dealer, .. } => dealer.deck(),
        LimitResponse::Exempt | LimitResponse::Reject => 0,
    }
}

#[cfg(test)]
mod tests;
