//! In-flight limits: how many requests are worked on at once, reading and writing apart. More get 429.
//!
//! Requests that last (watches) are not counted. system:masters is never turned away, so that a loaded server can
//! still be repaired. Priority and fairness has its seam here.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::auth::{MASTERS, User};
use crate::request::info::RequestInfo;
use crate::status::ApiError;

/// Seconds after which a refused client may come back.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Both limits with their counts.
pub struct InFlight {
    reading: Gate,
    writing: Gate,
}

struct Gate {
    /// 0: no limit.
    max: usize,
    now: AtomicUsize,
}

/// A place among the requests in flight, given back when it is dropped.
pub struct Permit<'a>(Option<&'a Gate>);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.0 {
            gate.now.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl InFlight {
    pub fn new(reading_max: usize, writing_max: usize) -> Self {
        let gate = |max| Gate { max, now: AtomicUsize::new(0) };
        InFlight { reading: gate(reading_max), writing: gate(writing_max) }
    }

    /// Takes a place, or refuses with 429.
    pub fn enter(&self, user: &User, info: &RequestInfo<'_>) -> Result<Permit<'_>, ApiError> {
        if info.is_long_running() {
            return Ok(Permit(None));
        }
        let gate = if info.is_read_only() { &self.reading } else { &self.writing };
        let before = gate.now.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(Some(gate));
        if gate.max > 0 && before >= gate.max && !user.is_in(MASTERS) {
            return Err(ApiError::too_many_requests("Too many requests, please try again later.", RETRY_AFTER_SECONDS));
        }
        Ok(permit)
    }

    /// How many requests are in flight: reading, writing.
    pub fn counts(&self) -> (usize, usize) {
        (self.reading.now.load(Ordering::Relaxed), self.writing.now.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_one_is_turned_away_unless_it_is_a_master() {
        let limits = InFlight::new(1, 1);
        let info = RequestInfo { verb: "get", ..Default::default() };
        let user = User::anonymous();
        let first = limits.enter(&user, &info).unwrap();
        let refused = limits.enter(&user, &info).err().unwrap();
        assert_eq!((refused.code().as_u16(), refused.retry_after_seconds()), (429, Some(1)));
        assert!(limits.enter(&User::loopback(), &info).is_ok());
        drop(first);
        assert!(limits.enter(&user, &info).is_ok());
        assert_eq!(limits.counts(), (0, 0));
    }
}
