//! The newest entries of the log, in memory: replication and apply read here what was just appended, durable or not,
//! and the disk is read only by those who are far behind.

use std::collections::VecDeque;

use crate::types::Entry;

/// What an entry is taken to cost besides its payload: its id, the enum, the slot in the queue.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// A contiguous run of entries up to the last one of the log.
///
/// Invariant: entries that are not yet durable are never evicted, because nobody else has them.
#[derive(Debug)]
pub(crate) struct Tail {
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
    /// Entries below this index are on the disk.
    durable_below: u64,
}

impl Tail {
    /// An empty tail that keeps about `bytes_max` bytes of durable entries.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max, durable_below: 0 }
    }

    /// The index of the first entry here, if there is any.
    pub(crate) fn first_index(&self) -> Option<u64> {
        self.entries.front().map(|e| e.log_id.index)
    }

    /// Adds the next entry of the log. Anything here that it does not directly follow is dropped first: that is on the
    /// disk, or was purged (after a snapshot was installed).
    pub(crate) fn push(&mut self, entry: Entry) {
        if self.entries.back().is_some_and(|last| last.log_id.index + 1 != entry.log_id.index) {
            self.clear();
        }
        self.durable_below = self.durable_below.min(entry.log_id.index);
        self.bytes += cost(&entry);
        self.entries.push_back(entry);
    }

    /// Removes the entries behind `index` (all, when `None`).
    pub(crate) fn truncate_after(&mut self, index: Option<u64>) {
        while self.entries.back().is_some_and(|e| index.is_none_or(|i| e.log_id.index > i)) {
            self.bytes -= self.entries.pop_back().as_ref().map_or(0, cost);
        }
        self.durable_below = self.durable_below.min(index.map_or(0, |i| i + 1));
    }

    /// Removes the entries up to and including `index`.
    pub(crate) fn purge(&mut self, index: u64) {
        while self.entries.front().is_some_and(|e| e.log_id.index <= index) {
            self.pop_front();
        }
    }

    /// Notes that everything below `index` is on the disk, and evicts what is too much.
    pub(crate) fn durable_below(&mut self, index: u64) {
        self.durable_below = self.durable_below.max(index);
        while self.bytes > self.bytes_max && self.first_index().is_some_and(|first| first < self.durable_below) {
            self.pop_front();
        }
    }

    /// The entries from `start` up to `end` (exclusive), at least one, and no more once they exceed `bytes_max`.
    /// `None` when `start` is before the tail: the disk has it.
    pub(crate) fn read(&self, start: u64, end: u64, bytes_max: usize) -> Option<Vec<Entry>> {
        let offset = usize::try_from(start.checked_sub(self.first_index()?)?).ok()?;
        let wanted = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        Some(
            self.entries
                .iter()
                .skip(offset)
                .take(wanted)
                .take_while(|entry| {
                    let fits = bytes == 0 || bytes < bytes_max;
                    bytes += cost(entry);
                    fits
                })
                .cloned()
                .collect(),
        )
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    fn pop_front(&mut self) {
        self.bytes -= self.entries.pop_front().as_ref().map_or(0, cost);
    }
}

/// About how much memory an entry takes.
pub(crate) fn cost(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        openraft::EntryPayload::Normal(command) => command.0.len(),
        _ => 0,
    };
    payload + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use openraft::EntryPayload;

    use super::*;
    use crate::{ports, types::Command};

    fn entry(index: u64) -> Entry {
        Entry {
            log_id: ports::LogId { term: 1, node_id: 1, index }.into(),
            payload: EntryPayload::Normal(Command(Bytes::from(vec![0; 100]))),
        }
    }

    fn tail(range: std::ops::Range<u64>, bytes_max: usize) -> Tail {
        let mut tail = Tail::new(bytes_max);
        range.map(entry).for_each(|e| tail.push(e));
        tail
    }

    fn indexes(entries: Option<Vec<Entry>>) -> Option<Vec<u64>> {
        entries.map(|entries| entries.iter().map(|e| e.log_id.index).collect())
    }

    #[test]
    fn reads_what_it_has_and_sends_the_rest_to_the_disk() {
        let tail = tail(5..10, usize::MAX);
        assert_eq!(indexes(tail.read(5, 8, usize::MAX)), Some(vec![5, 6, 7]));
        assert_eq!(indexes(tail.read(8, 99, usize::MAX)), Some(vec![8, 9]));
        assert_eq!(indexes(tail.read(10, 99, usize::MAX)), Some(vec![]));
        assert_eq!(indexes(tail.read(4, 8, usize::MAX)), None);
        assert_eq!(indexes(tail.read(5, 99, 1)), Some(vec![5]));
        assert_eq!(indexes(tail.read(5, 99, 250)), Some(vec![5, 6]));
    }

    #[test]
    fn evicts_only_what_is_durable() {
        let mut tail = tail(0..10, 300);
        assert_eq!(tail.first_index(), Some(0));
        tail.durable_below(4);
        assert_eq!(tail.first_index(), Some(4));
        tail.durable_below(10);
        assert_eq!(tail.first_index(), Some(9));
    }

    #[test]
    fn entries_appended_again_after_a_truncation_are_not_durable() {
        let mut tail = tail(0..10, 300);
        tail.truncate_after(Some(4));
        assert_eq!(indexes(tail.read(0, 99, usize::MAX)), Some(vec![0, 1, 2, 3, 4]));
        tail.durable_below(5);
        tail.push(entry(5));
        tail.push(entry(6));
        tail.durable_below(6);
        assert_eq!(indexes(tail.read(6, 99, usize::MAX)), Some(vec![6]));
    }

    #[test]
    fn starts_anew_behind_a_gap() {
        let mut tail = tail(0..3, usize::MAX);
        tail.purge(10);
        assert_eq!(tail.first_index(), None);
        tail.push(entry(11));
        assert_eq!(indexes(tail.read(11, 99, usize::MAX)), Some(vec![11]));
        tail.truncate_after(None);
        assert_eq!(tail.first_index(), None);
    }
}
