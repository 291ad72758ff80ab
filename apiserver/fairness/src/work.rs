//! How much work a request is: the seats that it takes while it is served, and those that its watchers take behind
//! it. The rules and numbers are those of kube-apiserver's work estimator.

use crate::seat_seconds::SeatSeconds;
use crate::{MILLISECOND, Nanos};

/// How long a request is taken to last before it is known: what its queue is charged at its dispatch.
pub const SERVICE_ESTIMATE: Nanos = 3 * MILLISECOND;

/// Most seats of a list that reads the store.
const LIST_SEATS_MAX: u32 = 100;
/// Most seats of a write.
const WRITE_SEATS_MAX: u32 = 10;
/// Bytes that one seat of a list may hold in memory at once.
const BYTES_PER_SEAT: u64 = 100_000;
/// A list from the cache is streamed, and holds no more than this at once.
const STREAMED_BYTES_MAX: u64 = 1_000_000;
/// What an object is taken for whose size is unknown: the largest that is stored.
const OBJECT_BYTES_MAX: u64 = 1_500_000;
/// Watchers of an event that one seat serves.
const WATCHERS_PER_SEAT: u64 = 10;
/// How long it takes to serve them.
const EVENT_TIME: Nanos = 5 * MILLISECOND;

/// The estimated work of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Seats while the request is served.
    pub initial_seats: u32,
    /// Seats behind it, while watchers get the event.
    pub final_seats: u32,
    /// How long `final_seats` are taken. The client does not wait for this.
    pub additional_latency: Nanos,
}

impl Work {
    /// One seat: everything but lists, watches with initial events, and writes that many watch.
    pub const ONE: Work = Work { initial_seats: 1, final_seats: 0, additional_latency: 0 };

    /// `seats` and nothing behind them.
    pub fn seats(seats: u32) -> Self {
        Work { initial_seats: seats.max(1), ..Work::ONE }
    }

    /// What is reserved for the request from its dispatch to its very end.
    pub fn seats_max(&self) -> u32 {
        self.initial_seats.max(self.final_seats)
    }

    pub(crate) fn final_work(&self) -> SeatSeconds {
        SeatSeconds::of(u64::from(self.final_seats), self.additional_latency)
    }

    pub(crate) fn total(&self) -> SeatSeconds {
        SeatSeconds::of(u64::from(self.initial_seats), SERVICE_ESTIMATE) + self.final_work()
    }
}

/// What is known of a list, or of a watch that begins with all objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListShape {
    /// Objects of the resource.
    pub objects: u64,
    /// Their bytes altogether.
    pub bytes: u64,
    /// `limit`, 0 for none.
    pub limit: u64,
    /// Whether it names a single object.
    pub single: bool,
    /// Whether selectors choose among the objects.
    pub selects: bool,
    /// Whether the store is read, rather than the cache.
    pub from_store: bool,
}

impl ListShape {
    /// `level_seats_max`: most seats of one request in its level; 0 for no such limit.
    pub fn work(&self, level_seats_max: u32) -> Work {
        let object_bytes = match self.bytes.checked_div(self.objects) {
            None => 0,
            Some(0) => OBJECT_BYTES_MAX,
            Some(bytes) => bytes,
        };
        let limited = if self.limit > 0 { self.limit.min(self.objects) } else { self.objects };
        let objects = match (self.single, self.from_store, self.selects) {
            (true, ..) => 1,
            (false, true, true) => limited.max(self.objects / 2),
            _ => limited,
        };
        let mut bytes = objects.saturating_mul(object_bytes);
        if !self.from_store {
            bytes = bytes.min(STREAMED_BYTES_MAX);
        }
        let seats = u32::try_from(bytes.div_ceil(BYTES_PER_SEAT)).unwrap_or(u32::MAX);
        Work::seats(seats.min(limit_of(level_seats_max, LIST_SEATS_MAX)))
    }
}

/// The work of a write whose event goes to `watchers`. Few watchers cost nothing; many are served by as many seats as
/// one request may have, and for longer where those are too few.
pub fn write_work(watchers: u64, level_seats_max: u32) -> Work {
    if watchers < WATCHERS_PER_SEAT {
        return Work::ONE;
    }
    let wanted = watchers.div_ceil(WATCHERS_PER_SEAT);
    let work = SeatSeconds::of(wanted, EVENT_TIME);
    let seats_max = limit_of(level_seats_max, WRITE_SEATS_MAX);
    let final_seats = u32::try_from(wanted).unwrap_or(u32::MAX).min(seats_max);
    Work { initial_seats: 1, final_seats, additional_latency: work.time_with(u64::from(final_seats)) }
}

fn limit_of(level_seats_max: u32, own: u32) -> u32 {
    if level_seats_max == 0 { own } else { own.min(level_seats_max) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let of = |objects, bytes| ListShape { objects, bytes, ..Default::default() };
        let stored = |shape: ListShape| ListShape { from_store: true, ..shape };
        let limit = |limit, shape: ListShape| ListShape { limit, ..shape };
        for (what, shape, level_max, seats) in [
            ("nothing stored", of(0, 0), 0, 1),
            ("100 KB", of(10, 100_000), 0, 1),
            ("a byte more", of(1, 100_001), 0, 2),
            ("a streamed list holds a megabyte at most", of(5_000, 14_000_000), 0, 10),
            ("one read from the store holds it all", stored(of(5_000, 9_000_000)), 0, 90),
            ("but is capped", stored(of(5_000, 90_000_000)), 0, 100),
            ("a page", limit(500, stored(of(5_000, 14_000_000))), 0, 14),
            ("a page that is larger than the resource", limit(500, stored(of(10, 1_000_000))), 0, 10),
            (
                "a selected page reads about half",
                ListShape { selects: true, ..limit(10, stored(of(1_000, 2_000_000))) },
                0,
                10,
            ),
            ("one object", ListShape { single: true, ..stored(of(5_000, 14_000_000)) }, 0, 1),
            ("the level's limit", of(5_000, 14_000_000), 3, 3),
            ("objects of unknown size", limit(2, stored(of(5, 0))), 0, 30),
        ] {
            assert_eq!(shape.work(level_max), Work::seats(seats), "{what}");
        }
    }

    #[test]
    fn writes() {
        for (watchers, level_max, final_seats, millis) in [
            (0, 0, 0, 0),
            (9, 0, 0, 0),
            (10, 0, 1, 5),
            (25, 0, 3, 5),
            (100, 0, 10, 5),
            (1_000, 0, 10, 50),
            (50, 1, 1, 25),
        ] {
            let work = write_work(watchers, level_max);
            let want = Work { initial_seats: 1, final_seats, additional_latency: millis * MILLISECOND };
            assert_eq!(work, want, "{watchers} watchers");
        }
    }
}
