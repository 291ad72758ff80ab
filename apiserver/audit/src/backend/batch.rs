//! How events are collected into batches, and how many batches leave in a second.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Whether a request waits for its event to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Events are collected and written by a task of their own.
    Batch,
    /// Each event is written before the request goes on; a failure is logged.
    Blocking,
    /// As blocking, and a request whose reception cannot be recorded is refused.
    BlockingStrict,
}

impl Mode {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "batch" => Some(Mode::Batch),
            "blocking" => Some(Mode::Blocking),
            "blocking-strict" => Some(Mode::BlockingStrict),
            _ => None,
        }
    }
}

/// Limits of batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchConfig {
    /// Events that may wait; more are dropped and counted.
    pub buffer_size: usize,
    pub max_size: usize,
    /// How long an event waits for others; zero: not at all.
    pub max_wait: Duration,
    /// Batches per second, and how many may leave at once; `None`: no limit.
    pub throttle: Option<(f64, usize)>,
}

/// Batches per second, as a bucket of tokens.
pub struct Throttle {
    rate: f64,
    burst: f64,
    tokens: f64,
    last: Instant,
}

impl Throttle {
    pub fn new((rate, burst): (f64, usize)) -> Self {
        Throttle { rate, burst: burst as f64, tokens: burst as f64, last: Instant::now() }
    }

    /// Waits for a token.
    pub async fn wait(&mut self) {
        loop {
            let now = Instant::now();
            self.tokens = (self.tokens + now.duration_since(self.last).as_secs_f64() * self.rate).min(self.burst);
            self.last = now;
            if self.tokens >= 1.0 {
                self.tokens -= 1.0;
                return;
            }
            let seconds = (1.0 - self.tokens) / self.rate;
            tokio::time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(1))).await;
        }
    }
}

/// The next batch of encoded events; `None`: the queue is closed and empty.
pub async fn next(queue: &mut mpsc::Receiver<Bytes>, config: &BatchConfig, bytes_max: usize) -> Option<Vec<Bytes>> {
    let first = queue.recv().await?;
    let deadline = Instant::now() + config.max_wait;
    let mut bytes = first.len();
    let mut batch = vec![first];
    while batch.len() < config.max_size && bytes < bytes_max {
        let event = match queue.try_recv() {
            Ok(event) => Some(event),
            Err(_) if config.max_wait.is_zero() => None,
            Err(_) => tokio::time::timeout_at(deadline, queue.recv()).await.ok().flatten(),
        };
        let Some(event) = event else { break };
        bytes += event.len();
        batch.push(event);
    }
    Some(batch)
}
