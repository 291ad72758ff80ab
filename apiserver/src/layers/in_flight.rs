//! In-flight limits, for a server without priority and fairness: how many requests are worked on at once, reading and
//! writing apart. More get 429.
//!
//! Requests that last (watches) are not counted. system:masters is never turned away, so that a loaded server can
//! still be repaired.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::auth::{MASTERS, User};
use crate::request::info::RequestInfo;

/// Both limits with their counts. 0: no limit.
pub struct InFlight {
    reading_max: usize,
    writing_max: usize,
    now: Counts,
}

/// Requests by kind.
#[derive(Debug, Default)]
pub struct Counts {
    reading: AtomicUsize,
    writing: AtomicUsize,
}

impl Counts {
    pub fn of(&self, read_only: bool) -> &AtomicUsize {
        if read_only { &self.reading } else { &self.writing }
    }

    /// Reading, writing.
    pub fn counts(&self) -> (usize, usize) {
        (self.reading.load(Ordering::Relaxed), self.writing.load(Ordering::Relaxed))
    }
}

/// A place among the requests in flight, given back when it is dropped.
#[derive(Debug)]
pub struct Permit<'a>(Option<&'a AtomicUsize>);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(now) = self.0 {
            now.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl InFlight {
    pub fn new(reading_max: usize, writing_max: usize) -> Self {
        InFlight { reading_max, writing_max, now: Counts::default() }
    }

    /// Takes a place; `None` if there is none.
    pub fn enter(&self, user: &User, info: &RequestInfo<'_>) -> Option<Permit<'_>> {
        if info.is_long_running() {
            return Some(Permit(None));
        }
        let max = if info.is_read_only() { self.reading_max } else { self.writing_max };
        let now = self.now.of(info.is_read_only());
        let before = now.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(Some(now));
        (max == 0 || before < max || user.is_in(MASTERS)).then_some(permit)
    }

    /// How many requests are in flight: reading, writing.
    pub fn counts(&self) -> (usize, usize) {
        self.now.counts()
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
        assert!(limits.enter(&user, &info).is_none());
        assert_eq!(limits.counts(), (1, 0));
        assert!(limits.enter(&User::loopback(), &info).is_some());
        drop(first);
        assert!(limits.enter(&user, &info).is_some());
        let watch = RequestInfo { verb: "watch", is_resource: true, ..Default::default() };
        let _watch = limits.enter(&user, &watch).unwrap();
        assert_eq!(limits.counts(), (0, 0));
    }
}
