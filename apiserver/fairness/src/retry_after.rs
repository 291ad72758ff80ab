//! How long a refused client should wait: longer while a level goes on refusing, shorter when it stops.
//!
//! Doubled at most once per its own length when at least three requests per second of it were refused, taken down by
//! a second when fewer than one was; between 1 and 32 seconds, as kube-apiserver has it.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::{Nanos, SECOND};

const SECONDS_MAX: u64 = 32;

/// The refusals of a level.
#[derive(Debug, Default)]
pub(crate) struct RetryAfter(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Second and refusals in it, the last 32 seconds.
    history: VecDeque<(u64, u64)>,
    current: u64,
    refused: u64,
    seconds: u64,
    raised: Option<u64>,
}

impl Default for State {
    fn default() -> Self {
        State { history: VecDeque::new(), current: 0, refused: 0, seconds: 1, raised: None }
    }
}

impl RetryAfter {
    /// Counts a refusal. Returns the seconds to tell the client.
    pub fn refused(&self, now: Nanos) -> u32 {
        let mut state = self.0.lock();
        state.count(now / SECOND);
        state.seconds as u32
    }
}

impl State {
    fn count(&mut self, second: u64) {
        if second == self.current {
            self.refused += 1;
            return;
        }
        if self.refused > 0 {
            self.history.push_back((self.current, self.refused));
        }
        while self.history.front().is_some_and(|(at, _)| second.saturating_sub(*at) > SECONDS_MAX) {
            self.history.pop_front();
        }
        (self.current, self.refused) = (second, 1);
        let recent = self.history.iter().filter(|(at, _)| second.saturating_sub(*at) <= self.seconds);
        let refused: u64 = recent.map(|(_, count)| count).sum();
        let rested = self.raised.is_none_or(|at| second.saturating_sub(at) >= self.seconds);
        if rested && refused >= 3 * self.seconds {
            self.seconds = (self.seconds * 2).min(SECONDS_MAX);
            self.raised = Some(second);
        } else if refused < self.seconds && self.seconds > 1 {
            self.seconds -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_under_a_flood_and_shrinks_behind_it() {
        let retry = RetryAfter::default();
        let mut told = Vec::new();
        for second in 0..40 {
            for _ in 0..200 {
                told.push(retry.refused(second * SECOND));
            }
        }
        assert!(told.is_sorted(), "never down in a flood");
        assert_eq!((told[0], told.last().copied()), (1, Some(32)));
        // One refusal every now and then.
        let after: Vec<u32> = (1..60).map(|i| retry.refused((100 + i * 40) * SECOND)).collect();
        assert!(after.is_sorted_by(|a, b| a >= b), "{after:?}");
        assert_eq!(after.last(), Some(&1));
    }

    #[test]
    fn a_single_refusal_asks_for_a_second() {
        let retry = RetryAfter::default();
        assert_eq!(retry.refused(5 * SECOND), 1);
        assert_eq!(retry.refused(6 * SECOND), 1);
    }
}
