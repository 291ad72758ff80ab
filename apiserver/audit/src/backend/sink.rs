//! One backend at work: encodes an event, and writes it or hands it to the task that does.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::batch::{self, BatchConfig, Mode, Throttle};
use super::log::{Format, LogConfig, Writer};
use super::truncate::{TruncateConfig, within};
use super::webhook::{self, Sender, WebhookConfig};
use crate::event::Event;

/// A backend. Made inside a runtime: batches have a task.
pub struct Sink {
    kind: Kind,
    mode: Mode,
    truncate: Option<TruncateConfig>,
    queue: Mutex<Option<mpsc::Sender<Bytes>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone)]
enum Kind {
    Log { format: Format, writer: Writer },
    Webhook { sender: Sender, initial_backoff: std::time::Duration },
}

/// What became of an event.
pub enum Outcome {
    /// It is written, or it need not be waited for.
    Done,
    /// It could not be recorded, and the request must not go on.
    Refused,
    /// Wait for it: true if the request may go on.
    Wait(BoxFuture<'static, bool>),
}

impl Sink {
    pub fn log(config: &LogConfig) -> io::Result<Self> {
        let kind = Kind::Log { format: config.format, writer: Writer::open(config)? };
        Ok(Self::new(kind, config.mode, config.batch, config.truncate))
    }

    pub fn webhook(config: &WebhookConfig) -> Self {
        let kind = Kind::Webhook { sender: config.sender.clone(), initial_backoff: config.initial_backoff };
        Self::new(kind, config.mode, config.batch, config.truncate)
    }

    fn new(kind: Kind, mode: Mode, batch: BatchConfig, truncate: Option<TruncateConfig>) -> Self {
        let sink = Sink { kind, mode, truncate, queue: Mutex::default(), worker: Mutex::default() };
        if mode == Mode::Batch {
            let (sender, receiver) = mpsc::channel(batch.buffer_size.max(1));
            *sink.queue.lock() = Some(sender);
            *sink.worker.lock() = Some(tokio::spawn(work(sink.kind.clone(), receiver, batch, truncate)));
        }
        sink
    }

    /// Takes an event.
    pub fn submit(&self, event: &Event) -> Outcome {
        let encode = |event: &Event| match &self.kind {
            Kind::Log { format, .. } => format.line(event),
            Kind::Webhook { .. } => event.json(),
        };
        let Some(bytes) = within(self.truncate, event, encode) else {
            self.kind.failed("event is too large even after truncating", 1);
            return Outcome::Done;
        };
        let strict = self.mode == Mode::BlockingStrict;
        match (&self.kind, self.mode) {
            (_, Mode::Batch) => {
                let queued = self.queue.lock().as_ref().map(|queue| queue.try_send(bytes));
                if !matches!(queued, Some(Ok(()))) {
                    self.kind.failed("audit buffer queue blocked", 1);
                }
                Outcome::Done
            }
            (Kind::Log { writer, .. }, _) => match writer.write(&bytes) {
                Ok(()) => Outcome::Done,
                Err(error) => {
                    self.kind.failed(&error.to_string(), 1);
                    if strict { Outcome::Refused } else { Outcome::Done }
                }
            },
            (Kind::Webhook { .. }, _) => {
                let kind = self.kind.clone();
                Outcome::Wait(Box::pin(async move { kind.write(vec![bytes]).await || !strict }))
            }
        }
    }

    /// Writes what waits, and takes no more.
    pub async fn close(&self) {
        drop(self.queue.lock().take());
        let worker = self.worker.lock().take();
        if let Some(worker) = worker {
            let _ = worker.await;
        }
    }
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Kind::Log { .. } => "log",
            Kind::Webhook { .. } => "webhook",
        }
    }

    fn failed(&self, why: &str, events: usize) {
        tracing::error!(plugin = self.name(), why, events, "audit events are lost");
        metrics::counter!("apiserver_audit_error_total", "plugin" => self.name()).increment(events as u64);
    }

    /// Writes a batch. Whether it was taken.
    async fn write(&self, events: Vec<Bytes>) -> bool {
        let outcome = match self {
            Kind::Log { writer, .. } => {
                let lines = events.concat();
                writer.write(&lines).map_err(|e| e.to_string())
            }
            Kind::Webhook { sender, initial_backoff } => {
                webhook::send(sender, webhook::list(&events), *initial_backoff).await
            }
        };
        outcome.inspect_err(|why| self.failed(why, events.len())).is_ok()
    }
}

/// Writes batches until the queue is closed and empty. A webhook's batches leave side by side, so that one that has to
/// be sent again does not hold up the others.
async fn work(kind: Kind, mut queue: mpsc::Receiver<Bytes>, config: BatchConfig, truncate: Option<TruncateConfig>) {
    let mut throttle = config.throttle.map(Throttle::new);
    let bytes_max = truncate.map_or(usize::MAX, |truncate| truncate.batch_bytes_max);
    let kind = Arc::new(kind);
    let mut sending = tokio::task::JoinSet::new();
    while let Some(events) = batch::next(&mut queue, &config, bytes_max).await {
        if let Some(throttle) = &mut throttle {
            throttle.wait().await;
        }
        match &*kind {
            Kind::Log { .. } => drop(kind.write(events).await),
            Kind::Webhook { .. } => {
                let kind = kind.clone();
                sending.spawn(async move { kind.write(events).await });
                while sending.try_join_next().is_some() {}
            }
        }
    }
    while sending.join_next().await.is_some() {}
}
