//! The replicated counters: what the store knows besides keys and values. Loaded once, changed by apply, and written
//! with every batch.

use std::collections::BTreeSet;

use super::clients::ClientTable;
use super::key;
use crate::engine::{Error, Read, Result};

/// An alarm. `NOSPACE`, wherever it was raised, stops puts; a member that `CORRUPT` names serves nobody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alarm {
    pub member_id: u64,
    pub kind: String,
}

impl Alarm {
    pub const NO_SPACE: &str = "NOSPACE";
    pub const CORRUPT: &str = "CORRUPT";

    /// Whether the member's data is known to differ from the others'.
    pub fn is_corrupt(alarms: &BTreeSet<Alarm>, member_id: u64) -> bool {
        alarms.iter().any(|alarm| alarm.kind == Self::CORRUPT && alarm.member_id == member_id)
    }
}

/// Invariant: `compact_revision <= revision` and `history_floor <= history_bytes`.
#[derive(Debug, Default)]
pub struct State {
    /// Of the last transaction that changed something. 1 is the empty store, as in etcd, so that 0 can mean "none".
    pub revision: u64,
    /// Reads below it are refused: history up to and including it is gone.
    pub compact_revision: u64,
    /// The newest leader's time seen. Never goes back, whatever the clocks of leaders do.
    pub time_ms: u64,
    /// Keys that exist, and the bytes of their keys and values.
    pub live_keys: u64,
    pub live_bytes: u64,
    /// Bytes of history ever written, and of those compacted since: the difference is what history holds.
    pub history_bytes: u64,
    pub history_floor: u64,
    /// What format of replicated commands the whole cluster understands.
    pub cluster_format: u64,
    pub alarms: BTreeSet<Alarm>,
    pub clients: ClientTable,
}

const STATE_NUMBERS: usize = 8;

impl State {
    /// Reads the state that an engine holds; that of an empty store when it is new.
    pub fn load(engine: &dyn Read) -> Result<Self> {
        let mut state = Self::load_counters(engine)?;
        if let Some(row) = engine.get(key::ALARMS)? {
            state.alarms = decode_alarms(&row).ok_or_else(|| Error::bad_row("alarm", key::ALARMS))?;
        }
        state.clients = ClientTable::load(engine)?;
        Ok(state)
    }

    /// Reads the counters alone, without alarms and clients.
    pub fn load_counters(engine: &dyn Read) -> Result<Self> {
        let mut state = Self { revision: 1, ..Self::default() };
        if let Some(row) = engine.get(key::STATE)? {
            if row.len() < STATE_NUMBERS * 8 {
                return Err(Error::bad_row("state", key::STATE));
            }
            let mut numbers = row.chunks_exact(8).map(|n| u64::from_le_bytes(n.try_into().unwrap_or_default()));
            let mut next = || numbers.next().unwrap_or_default();
            state.revision = next();
            state.compact_revision = next();
            state.time_ms = next();
            state.live_keys = next();
            state.live_bytes = next();
            state.history_bytes = next();
            state.history_floor = next();
            state.cluster_format = next();
        }
        if state.compact_revision > state.revision || state.history_floor > state.history_bytes {
            return Err(Error::Corrupt(format!(
                "compact revision {} is above revision {}",
                state.compact_revision, state.revision
            )));
        }
        Ok(state)
    }

    pub(crate) fn encode(&self) -> [u8; STATE_NUMBERS * 8] {
        let mut row = [0; STATE_NUMBERS * 8];
        let numbers = [
            self.revision,
            self.compact_revision,
            self.time_ms,
            self.live_keys,
            self.live_bytes,
            self.history_bytes,
            self.history_floor,
            self.cluster_format,
        ];
        for (slot, number) in row.chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        row
    }

    /// What the quota is compared with: live objects and the history that has not been compacted, in bytes.
    pub fn used_bytes(&self) -> u64 {
        self.live_bytes + (self.history_bytes - self.history_floor)
    }

    pub fn has_alarm(&self, kind: &str) -> bool {
        self.alarms.iter().any(|a| a.kind == kind)
    }
}

pub(crate) fn encode_alarms(alarms: &BTreeSet<Alarm>) -> Vec<u8> {
    let mut row = Vec::new();
    for alarm in alarms {
        row.extend_from_slice(&alarm.member_id.to_le_bytes());
        row.extend_from_slice(&(alarm.kind.len() as u32).to_le_bytes());
        row.extend_from_slice(alarm.kind.as_bytes());
    }
    row
}

fn decode_alarms(mut row: &[u8]) -> Option<BTreeSet<Alarm>> {
    let mut alarms = BTreeSet::new();
    while !row.is_empty() {
        let member_id = u64::from_le_bytes(row.get(..8)?.try_into().ok()?);
        let length = u32::from_le_bytes(row.get(8..12)?.try_into().ok()?) as usize;
        let kind = String::from_utf8(row.get(12..12usize.checked_add(length)?)?.to_vec()).ok()?;
        row = &row[12 + length..];
        alarms.insert(Alarm { member_id, kind });
    }
    Some(alarms)
}
