//! Calls that are repeated, with growing pauses.

use std::time::Duration;

use super::CallError;

/// How a call is repeated. The default is kube-apiserver's: five attempts, 500 ms before the second, half as much
/// again before each further one, give or take a fifth.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub factor: f64,
    /// Attempts in all; at least one is made.
    pub attempts: usize,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { first: Duration::from_millis(500), factor: 1.5, attempts: 5 }
    }
}

/// Part of a pause that is random.
const JITTER: f64 = 0.2;

impl Backoff {
    /// Repeats `call` for as long as it fails in a way that may heal. Gives the last failure.
    pub async fn run<T, F: Future<Output = Result<T, CallError>>>(
        self,
        mut call: impl FnMut() -> F,
    ) -> Result<T, CallError> {
        let mut pause = self.first;
        let mut left = self.attempts.max(1);
        loop {
            left -= 1;
            match call().await {
                Err(error) if left > 0 && error.may_heal() => {
                    tracing::debug!(%error, "webhook call failed, trying again");
                    tokio::time::sleep(pause.mul_f64(1.0 + JITTER * rand::random::<f64>())).await;
                    pause = pause.mul_f64(self.factor);
                }
                outcome => return outcome,
            }
        }
    }
}
