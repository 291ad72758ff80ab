//! At most once: what became of each client's latest transactions, so that a retry of one that was already applied
//! gets its answer instead of a second effect. Part of the replicated state, bounded in clients and in results.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::{Buf, Bytes};
use prost::encoding::{decode_varint, encode_varint};

use super::key;
use crate::engine::{Batch, Error, Read, Result};

/// Front-ends that the store remembers at one time. A new one beyond it is refused until idle ones are forgotten.
pub const CLIENTS_MAX: usize = 4_096;
/// Results kept for one client. It frees them with `acked_below`; one that does not is refused at this number.
pub const RESULTS_PER_CLIENT_MAX: usize = 8_192;
/// A client idle for so long is forgotten. Far longer than any request lives, so that no retry can still be on its
/// way.
pub const CLIENT_IDLE_MS: u64 = 15 * 60 * 1000;
/// Bytes of a client id: a UUID.
pub const CLIENT_ID_BYTES: usize = 16;

/// What became of a transaction. Rejections are not kept: they had no effect, and a retry may fare better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Committed { revision: u64 },
    CompareFailed { index: u32, revision: u64 },
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Client {
    last_ms: u64,
    acked_below: u64,
    /// By sequence number; all are at or above `acked_below`.
    results: BTreeMap<u64, Outcome>,
}

/// What the table says about a sequence number.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// Never seen: apply it.
    New,
    /// Applied before, with this outcome.
    Applied(Outcome),
    /// Below what the client said it has answers for.
    Stale,
    /// The table has no room for the client or for another of its results.
    Full,
}

/// Ids of the clients that are idle at `time_ms`.
pub fn idle_clients(engine: &dyn Read, time_ms: u64) -> Result<Vec<Bytes>> {
    let table = ClientTable::load(engine)?;
    let idle = |client: &Client| client.last_ms.saturating_add(CLIENT_IDLE_MS) <= time_ms;
    Ok(table.clients.into_iter().filter(|(_, client)| idle(client)).map(|(id, _)| id).collect())
}

/// All clients' results.
#[derive(Debug, Default)]
pub struct ClientTable {
    clients: HashMap<Bytes, Client>,
    /// Changed since the last [`ClientTable::save`].
    dirty: BTreeSet<Bytes>,
}

impl ClientTable {
    pub(super) fn load(engine: &dyn Read) -> Result<Self> {
        let mut table = Self::default();
        let (start, end) = key::client_table();
        let mut cursor = engine.cursor(&start, &end)?;
        while let Some((row_key, row)) = cursor.current()? {
            let client = Client::decode(row).ok_or_else(|| Error::bad_row("client", row_key))?;
            table.clients.insert(Bytes::copy_from_slice(&row_key[1..]), client);
            cursor.advance()?;
        }
        Ok(table)
    }

    /// Notes what the client acknowledged and looks up a sequence number.
    pub fn check(&mut self, id: &Bytes, acked_below: u64, seq: u64, time_ms: u64) -> Known {
        if !self.clients.contains_key(id) {
            if self.clients.len() >= CLIENTS_MAX {
                return Known::Full;
            }
            // A copy: a slice of a log entry would keep the whole entry in memory.
            self.clients.insert(Bytes::copy_from_slice(id), Client::default());
        }
        let Some(client) = self.clients.get_mut(id) else { return Known::Full };
        client.last_ms = time_ms;
        if acked_below > client.acked_below {
            client.acked_below = acked_below;
            client.results = client.results.split_off(&acked_below);
        }
        let known = match client.results.get(&seq) {
            Some(outcome) => Known::Applied(*outcome),
            None if seq < client.acked_below => Known::Stale,
            None if client.results.len() >= RESULTS_PER_CLIENT_MAX => Known::Full,
            None => Known::New,
        };
        if !self.dirty.contains(id) {
            self.dirty.insert(Bytes::copy_from_slice(id));
        }
        known
    }

    pub fn record(&mut self, id: &Bytes, seq: u64, outcome: Outcome) {
        if let Some(client) = self.clients.get_mut(id) {
            client.results.insert(seq, outcome);
        }
    }

    pub fn forget(&mut self, id: &Bytes, time_ms: u64) {
        // Decided again here: between the proposal and now, the client may have come back.
        if self.clients.get(id).is_some_and(|c| c.last_ms.saturating_add(CLIENT_IDLE_MS) <= time_ms) {
            self.clients.remove(id);
            self.dirty.insert(id.clone());
        }
    }

    /// Writes what changed: one row per client, whatever the number of its transactions in the batch.
    pub(super) fn save(&mut self, batch: &mut Batch, scratch: &mut Vec<u8>) {
        while let Some(id) = self.dirty.pop_first() {
            match self.clients.get(&id) {
                Some(client) => {
                    client.encode(scratch);
                    batch.put(&key::client(&id), scratch);
                }
                None => batch.delete(&key::client(&id)),
            }
        }
    }
}

impl Client {
    /// Varints, sequence numbers relative to `acked_below`: some 9 bytes per result, written once per batch.
    fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        encode_varint(self.last_ms, out);
        encode_varint(self.acked_below, out);
        for (seq, outcome) in &self.results {
            encode_varint(seq - self.acked_below, out);
            let (tag, revision) = match outcome {
                Outcome::Committed { revision } => (0, revision),
                Outcome::CompareFailed { index, revision } => (u64::from(*index) + 1, revision),
            };
            encode_varint(tag, out);
            encode_varint(*revision, out);
        }
    }

    fn decode(mut row: &[u8]) -> Option<Self> {
        let next = |row: &mut &[u8]| decode_varint(row).ok();
        let mut client = Self { last_ms: next(&mut row)?, acked_below: next(&mut row)?, results: BTreeMap::new() };
        while row.has_remaining() {
            let seq = client.acked_below.checked_add(next(&mut row)?)?;
            let tag = next(&mut row)?;
            let revision = next(&mut row)?;
            let outcome = match tag {
                0 => Outcome::Committed { revision },
                _ => Outcome::CompareFailed { index: u32::try_from(tag - 1).ok()?, revision },
            };
            client.results.insert(seq, outcome);
        }
        Some(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Bytes = Bytes::from_static(b"0123456789abcdef");

    #[test]
    fn a_result_is_kept_until_the_client_has_it() {
        let mut table = ClientTable::default();
        assert_eq!(table.check(&ID, 0, 5, 1), Known::New);
        table.record(&ID, 5, Outcome::Committed { revision: 9 });
        assert_eq!(table.check(&ID, 5, 5, 2), Known::Applied(Outcome::Committed { revision: 9 }));
        assert_eq!(table.check(&ID, 6, 6, 3), Known::New);
        assert_eq!(table.check(&ID, 0, 5, 4), Known::Stale, "acked_below never goes back");
    }

    #[test]
    fn a_client_that_acknowledges_nothing_is_refused_in_the_end() {
        let mut table = ClientTable::default();
        for seq in 0..RESULTS_PER_CLIENT_MAX as u64 {
            assert_eq!(table.check(&ID, 0, seq, 1), Known::New);
            table.record(&ID, seq, Outcome::CompareFailed { index: 0, revision: seq });
        }
        assert_eq!(table.check(&ID, 0, 1 << 40, 1), Known::Full);
        assert_eq!(table.check(&ID, 1, 1 << 40, 1), Known::New);
    }

    #[test]
    fn only_an_idle_client_is_forgotten() {
        let mut table = ClientTable::default();
        table.check(&ID, 0, 1, 1_000);
        table.forget(&ID, CLIENT_IDLE_MS);
        assert_eq!(table.clients.len(), 1);
        table.forget(&ID, 1_000 + CLIENT_IDLE_MS);
        assert_eq!(table.clients.len(), 0);
    }

    #[test]
    fn rows_survive_encoding() {
        let mut client = Client { last_ms: 7, acked_below: 100, results: BTreeMap::new() };
        client.results.insert(100, Outcome::Committed { revision: 1 << 50 });
        client.results.insert(4_000, Outcome::CompareFailed { index: 3, revision: 2 });
        let mut row = Vec::new();
        client.encode(&mut row);
        assert_eq!(Client::decode(&row), Some(client));
        assert_eq!(Client::decode(&row[..row.len() - 1]), None);
    }
}
