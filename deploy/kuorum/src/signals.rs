//! SIGTERM and SIGINT: the first asks for an orderly end, the second does not wait for it.

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a program that ^C has ended.
const EXIT_INTERRUPTED: i32 = 130;

/// A token that is cancelled by the first signal.
///
/// # Errors
/// When the system has no signal handlers to give.
pub fn shutdown() -> Result<CancellationToken> {
    let token = CancellationToken::new();
    let cancel = token.clone();
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
        }
        cancel.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("told twice: stopping at once");
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(token)
}
