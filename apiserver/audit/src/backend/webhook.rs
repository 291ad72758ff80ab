//! The webhook backend: batches of events as an `EventList`, posted again while that may help.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::batch::{BatchConfig, Mode};
use super::truncate::TruncateConfig;

/// Attempts in all, and how the pause between them grows. Kubernetes' own.
const ATTEMPTS_MAX: u32 = 5;
const BACKOFF_FACTOR: f64 = 1.5;
const BACKOFF_JITTER: f64 = 0.2;

/// Why a batch was not taken.
#[derive(Debug)]
pub struct SendError {
    pub why: String,
    /// Whether the same batch may be taken later.
    pub may_heal: bool,
}

/// Posts a body to the webhook's server.
pub type Sender = Arc<dyn Fn(Bytes) -> BoxFuture<'static, Result<(), SendError>> + Send + Sync>;

/// Settings of the webhook.
#[derive(Clone)]
pub struct WebhookConfig {
    pub sender: Sender,
    /// Before the second attempt.
    pub initial_backoff: Duration,
    pub mode: Mode,
    pub batch: BatchConfig,
    pub truncate: Option<TruncateConfig>,
}

/// An `EventList` of encoded events.
pub fn list(events: &[Bytes]) -> Bytes {
    const HEAD: &[u8] = br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;
    let mut body = Vec::with_capacity(HEAD.len() + events.iter().map(|event| event.len() + 1).sum::<usize>() + 2);
    body.extend_from_slice(HEAD);
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(event);
    }
    body.extend_from_slice(b"]}");
    body.into()
}

/// Posts a batch, again with growing pauses where that may help.
pub async fn send(sender: &Sender, body: Bytes, initial_backoff: Duration) -> Result<(), String> {
    let mut pause = initial_backoff;
    let mut attempt = 1;
    loop {
        let error = match sender(body.clone()).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !error.may_heal || attempt >= ATTEMPTS_MAX {
            return Err(error.why);
        }
        attempt += 1;
        let jitter = 1.0 + rand::random::<f64>() * BACKOFF_JITTER;
        tokio::time::sleep(pause.mul_f64(jitter)).await;
        pause = pause.mul_f64(BACKOFF_FACTOR);
    }
}
