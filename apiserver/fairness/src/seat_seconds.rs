//! Seat-seconds: the unit of work, and of the progress meter R of fair queuing.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use crate::Nanos;

/// An amount of work: a number of seats for a time. Exact, and wide enough never to overflow: 10,000 seats for a
/// million years are 2^98 seat-nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeatSeconds(i128);

const NANOS_PER_SECOND: i128 = 1_000_000_000;

impl SeatSeconds {
    pub const ZERO: Self = SeatSeconds(0);

    /// `seats` for `time`.
    pub fn of(seats: u64, time: Nanos) -> Self {
        SeatSeconds(i128::from(seats).saturating_mul(i128::from(time)))
    }

    /// `seats` shared by `queues`, for `time`. Nothing without queues.
    pub fn shared(seats: u64, queues: usize, time: Nanos) -> Self {
        SeatSeconds(Self::of(seats, time).0.checked_div(queues as i128).unwrap_or(0))
    }

    /// How long `seats` need for this work. Nothing without seats.
    pub fn time_with(self, seats: u64) -> Nanos {
        let nanos = self.0.checked_div(i128::from(seats)).unwrap_or(0);
        Nanos::try_from(nanos).unwrap_or(if nanos < 0 { 0 } else { Nanos::MAX })
    }

    pub fn as_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SECOND as f64
    }
}

impl Add for SeatSeconds {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        SeatSeconds(self.0.saturating_add(other.0))
    }
}

impl Sub for SeatSeconds {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        SeatSeconds(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for SeatSeconds {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for SeatSeconds {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

/// As the debugging dumps of kube-apiserver write it: `1.50000000ss`.
impl fmt::Display for SeatSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, nanos) = if self.0 < 0 { ("-", self.0.unsigned_abs()) } else { ("", self.0.unsigned_abs()) };
        let (whole, rest) = (nanos / NANOS_PER_SECOND.unsigned_abs(), nanos % NANOS_PER_SECOND.unsigned_abs());
        write!(f, "{sign}{whole}.{:08}ss", rest / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MILLISECOND, SECOND};

    #[test]
    fn amounts() {
        assert_eq!(SeatSeconds::of(3, SECOND / 2).to_string(), "1.50000000ss");
        assert_eq!((SeatSeconds::ZERO - SeatSeconds::of(1, 3 * MILLISECOND)).to_string(), "-0.00300000ss");
        assert_eq!(SeatSeconds::shared(600, 4, SECOND), SeatSeconds::of(150, SECOND));
        assert_eq!(SeatSeconds::shared(600, 0, SECOND), SeatSeconds::ZERO);
        assert_eq!(SeatSeconds::of(100, 5 * MILLISECOND).time_with(10), 50 * MILLISECOND);
        assert_eq!(SeatSeconds::of(1, 1).time_with(0), 0);
        assert!(SeatSeconds::of(u64::MAX, Nanos::MAX) > SeatSeconds::of(10_000, Nanos::MAX));
    }
}
