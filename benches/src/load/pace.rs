//! When the next request starts: at once (closed loop) or on schedule (open loop), until enough were sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by all workers of a run.
pub struct Pace {
    start: Instant,
    next: AtomicU64,
    /// 0: no bound.
    requests_max: u64,
    until: Option<Instant>,
    /// Between two scheduled starts; `None` in the closed loop.
    interval: Option<Duration>,
}

/// One request to send.
pub struct Ticket {
    /// 0, 1, 2… over all workers.
    pub number: u64,
    /// Latency counts from here: in the open loop the scheduled start, so that a server that stalls cannot hide the
    /// requests that it kept from being sent (coordinated omission).
    pub due: Instant,
}

impl Pace {
    pub fn new(requests: u64, seconds: f64, rate: f64) -> Pace {
        let start = Instant::now();
        Pace {
            start,
            next: AtomicU64::new(0),
            requests_max: requests,
            until: (requests == 0).then(|| start + Duration::from_secs_f64(seconds)),
            interval: (rate > 0.0).then(|| Duration::from_secs_f64(1.0 / rate)),
        }
    }

    /// The next ticket, when its time has come; `None` at the end of the run.
    pub async fn ticket(&self) -> Option<Ticket> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if self.requests_max > 0 && number >= self.requests_max {
            return None;
        }
        let due = match self.interval {
            Some(interval) => self.start + interval.mul_f64(number as f64),
            None => Instant::now(),
        };
        if self.until.is_some_and(|until| due >= until) {
            return None;
        }
        // Timers are a millisecond coarse: only a start that is still to come is waited for.
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        Some(Ticket { number, due })
    }
}
