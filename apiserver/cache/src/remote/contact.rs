//! Contact with the store's leader: when somebody last had an answer that needs one, and how long it is worth waiting
//! for the next. Without a quorum every request is refused in bounded time, whatever its own deadline.

use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

/// How long a request waits for a leader: longer than an election, shorter than a client's patience. Silence of this
/// length is taken for the loss of the quorum.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits while there has been no leader for long: enough for one more attempt on each member.
const PATIENCE_WITHOUT_LEADER: Duration = Duration::from_secs(1);
/// Without an answer for so long a fence is sent to see whether there is still a quorum. An idle front-end costs the
/// members one round a second.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Shared by fences and transactions.
pub(crate) struct Contact {
    /// When a leader last confirmed something.
    last: Mutex<Instant>,
}

impl Contact {
    pub fn new() -> Self {
        Contact { last: Mutex::new(Instant::now()) }
    }

    /// A leader has answered just now.
    pub fn made(&self) {
        *self.last.lock() = Instant::now();
    }

    pub fn silence(&self) -> Duration {
        self.last.lock().elapsed()
    }

    /// Whether the quorum is lost, as far as this front-end can tell.
    pub fn lost(&self) -> bool {
        self.silence() > PATIENCE
    }

    /// How long a request that begins now waits for a leader.
    pub fn patience(&self) -> Duration {
        patience_after(self.silence())
    }
}

fn patience_after(silence: Duration) -> Duration {
    if silence > PATIENCE { PATIENCE_WITHOUT_LEADER } else { PATIENCE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_shortens_patience() {
        assert_eq!(patience_after(Duration::ZERO), PATIENCE);
        assert_eq!(patience_after(PATIENCE), PATIENCE);
        assert_eq!(patience_after(PATIENCE + Duration::from_millis(1)), PATIENCE_WITHOUT_LEADER);
        const { assert!(PROBE_INTERVAL.as_millis() * 2 < PATIENCE.as_millis()) };
    }
}
