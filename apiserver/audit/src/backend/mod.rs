//! Where events go: a log or a webhook, at once or in batches.

mod batch;
mod log;
mod rotation;
mod sink;
mod truncate;
mod webhook;

pub use batch::{BatchConfig, Mode};
pub use log::{Format, LogConfig};
pub use sink::{Outcome, Sink};
pub use truncate::TruncateConfig;
pub use webhook::{SendError, Sender, WebhookConfig};

#[cfg(test)]
mod tests;
