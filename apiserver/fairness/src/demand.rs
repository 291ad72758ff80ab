//! The demand for seats of a level over a period: average, deviation and peak, weighted by time.

use crate::{Nanos, SECOND};

/// Integrates a number of seats over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Integrator {
    since: Nanos,
    last: Nanos,
    value: f64,
    max: f64,
    /// Integrals over seconds of the value and of its square.
    sum: f64,
    squares: f64,
}

/// What was seen in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Observed {
    pub average: f64,
    pub deviation: f64,
    pub max: f64,
    /// Whether any time has passed; else average and deviation say nothing.
    pub any: bool,
}

impl Integrator {
    /// The demand is `value` from now on.
    pub fn set(&mut self, now: Nanos, value: u64) {
        self.integrate(now);
        self.value = value as f64;
        self.max = self.max.max(self.value);
    }

    /// Ends the period, and begins the next with the demand of now.
    pub fn reset(&mut self, now: Nanos) -> Observed {
        self.integrate(now);
        let seconds = now.saturating_sub(self.since) as f64 / SECOND as f64;
        let mut observed = Observed { max: self.max, ..Observed::default() };
        if seconds > 0.0 {
            let average = self.sum / seconds;
            let variance = (self.squares / seconds - average * average).max(0.0);
            observed = Observed { average, deviation: variance.sqrt(), max: self.max, any: true };
        }
        *self = Integrator { since: now, last: now, value: self.value, max: self.value, sum: 0.0, squares: 0.0 };
        observed
    }

    fn integrate(&mut self, now: Nanos) {
        let seconds = now.saturating_sub(self.last) as f64 / SECOND as f64;
        self.sum += self.value * seconds;
        self.squares += self.value * self.value * seconds;
        self.last = self.last.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_weighted_by_time() {
        let mut demand = Integrator::default();
        demand.set(0, 4);
        demand.set(SECOND, 0);
        demand.set(3 * SECOND, 8);
        let seen = demand.reset(4 * SECOND);
        // 4 for one second, 0 for two, 8 for one.
        assert_eq!((seen.average, seen.max, seen.any), (3.0, 8.0, true));
        assert!((seen.deviation - 11f64.sqrt()).abs() < 1e-9, "{seen:?}");
        // The next period begins with what still is.
        assert_eq!(demand.reset(4 * SECOND), Observed { max: 8.0, ..Observed::default() });
        assert_eq!(demand.reset(5 * SECOND), Observed { average: 8.0, deviation: 0.0, max: 8.0, any: true });
    }
}
