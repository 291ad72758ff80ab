//! The queues of a level: first in, first out each, with what their virtual time needs.

use std::collections::VecDeque;
use std::ops::Index;

use super::Key;
use crate::seat_seconds::SeatSeconds;
use crate::work::Work;

/// One queue.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<u32>,
    pub executing: usize,
    pub seats_in_use: u64,
    /// The R at which its next request begins in virtual time. Without meaning while the queue is not active.
    pub next_dispatch_r: SeatSeconds,
    /// Sums over the waiting requests.
    pub initial_seats: u64,
    pub seats_max: u64,
    pub work: SeatSeconds,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn front(&self) -> Option<Key> {
        self.waiting.front().copied().map(Key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.waiting.iter().copied().map(Key)
    }

    fn is_active(&self) -> bool {
        !self.waiting.is_empty() || self.executing > 0
    }
}

/// All queues of a level.
#[derive(Debug, Default)]
pub(super) struct Queues {
    queues: Vec<Queue>,
    /// A bit for each queue in which requests wait.
    waiting: Vec<u64>,
    /// Queues in which requests wait or of which requests execute.
    active: usize,
    /// The queue that was served last; of heads that finish at the same time, that of the next one goes first.
    last_served: u32,
}

impl Index<u32> for Queues {
    type Output = Queue;

    fn index(&self, at: u32) -> &Queue {
        &self.queues[at as usize]
    }
}

impl Queues {
    pub fn new(count: u32) -> Self {
        let mut queues = Queues::default();
        queues.grow(count);
        queues
    }

    pub fn active(&self) -> usize {
        self.active
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Queue)> {
        self.queues.iter().enumerate().map(|(at, queue)| (at as u32, queue))
    }

    pub fn grow(&mut self, count: u32) {
        let count = count as usize;
        if self.queues.len() < count {
            self.queues.resize_with(count, Queue::default);
            self.waiting.resize(count.div_ceil(64), 0);
        }
    }

    /// Takes away queues beyond `count` from the end, as far as they are not in use any more.
    pub fn shrink(&mut self, count: u32) {
        while self.queues.len() > count as usize
            && self.queues.last().is_some_and(|queue| !queue.is_active() && queue.seats_in_use == 0)
        {
            self.queues.pop();
        }
    }

    /// The queue of a hand with the least work waiting. Where several have as little, the first one counted from a
    /// place that moves on with every request: flows that share a queue do not all begin with it.
    pub fn emptiest(&self, hand: &[u32], offset: u64) -> u32 {
        let start = (offset % hand.len().max(1) as u64) as usize;
        let turned = hand[start..].iter().chain(&hand[..start]).copied();
        turned.min_by_key(|at| self[*at].work).unwrap_or(0)
    }

    /// Appends a request. A queue that was not active begins at `r`.
    pub fn push(&mut self, at: u32, key: Key, work: &Work, r: SeatSeconds) {
        let queue = &mut self.queues[at as usize];
        if !queue.is_active() {
            queue.next_dispatch_r = r;
            self.active += 1;
        }
        queue.waiting.push_back(key.0);
        queue.initial_seats += u64::from(work.initial_seats);
        queue.seats_max += u64::from(work.seats_max());
        queue.work += work.total();
        self.waiting[at as usize / 64] |= 1 << (at % 64);
    }

    /// Takes a request out, wherever in the queue it is.
    pub fn remove(&mut self, at: u32, key: Key, work: &Work) {
        let queue = &mut self.queues[at as usize];
        if queue.waiting.front() == Some(&key.0) {
            queue.waiting.pop_front();
        } else if let Some(place) = queue.waiting.iter().position(|own| *own == key.0) {
            queue.waiting.remove(place);
        } else {
            return;
        }
        queue.initial_seats -= u64::from(work.initial_seats);
        queue.seats_max -= u64::from(work.seats_max());
        queue.work -= work.total();
        if queue.waiting.is_empty() {
            self.waiting[at as usize / 64] &= !(1 << (at % 64));
            self.active -= usize::from(queue.executing == 0);
        }
    }

    /// The queue whose head finishes first in virtual time, and that head.
    pub fn next(&self, total: impl Fn(Key) -> SeatSeconds) -> Option<(u32, Key)> {
        let count = self.queues.len() as u32;
        let mut best = None;
        for (word, bits) in self.waiting.iter().enumerate() {
            let mut left = *bits;
            while left != 0 {
                let at = word as u32 * 64 + left.trailing_zeros();
                left &= left - 1;
                let Some(key) = self.queues.get(at as usize).and_then(Queue::front) else { continue };
                let finish = self[at].next_dispatch_r + total(key);
                let distance = (at + count - self.last_served.min(count - 1) - 1) % count;
                if best.is_none_or(|(than, _, _)| (finish, distance) < than) {
                    best = Some(((finish, distance), at, key));
                }
            }
        }
        best.map(|(_, at, key)| (at, key))
    }

    pub fn served(&mut self, at: u32) {
        self.last_served = at;
    }

    /// A request that was just taken out begins, on `seats`; the queue is charged its estimated work.
    pub fn begin(&mut self, at: u32, seats: u32, work: SeatSeconds) {
        let queue = &mut self.queues[at as usize];
        self.active += usize::from(!queue.is_active());
        queue.executing += 1;
        queue.seats_in_use += u64::from(seats);
        queue.next_dispatch_r += work;
    }

    /// A request has been served; the charge is corrected to what it used. Its seats are freed apart.
    pub fn end(&mut self, at: u32, correction: SeatSeconds) {
        let queue = &mut self.queues[at as usize];
        queue.executing -= 1;
        queue.next_dispatch_r += correction;
        self.active -= usize::from(!queue.is_active());
    }

    pub fn free_seats(&mut self, at: u32, seats: u32) {
        self.queues[at as usize].seats_in_use -= u64::from(seats);
    }

    pub fn not_before(&mut self, at: u32, r: SeatSeconds) {
        let queue = &mut self.queues[at as usize];
        queue.next_dispatch_r = queue.next_dispatch_r.max(r);
    }
}
