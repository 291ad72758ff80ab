//! Waiting for a condition: often enough to be quick, bounded, and with a message that says what did not come.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Long enough for the slowest machine that the tests run on; nothing that works takes it.
pub const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// Calls `condition` until it gives a value.
///
/// # Errors
/// When [`PATIENCE`] has passed, naming `what`, or when the condition itself fails: it cannot come any more.
pub fn until<T>(what: impl Display, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if start.elapsed() > PATIENCE {
            bail!("{what} did not come within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}
