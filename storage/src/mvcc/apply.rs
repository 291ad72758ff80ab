//! What a command does to the state. Decides and describes; writes nothing: the caller writes the batch, then
//! publishes the events.

use std::collections::HashMap;

use bytes::Bytes;
use kuorum_proto::v1::{self, command, event, op, txn_result};

use super::clients::{CLIENT_ID_BYTES, Known, Outcome};
use super::key_cache::KeyCache;
use super::row::{EventRow, Meta, Object};
use super::state::{Alarm, State, encode_alarms};
use super::{KEY_BYTES_MAX, TXN_OPS_MAX, VALUE_BYTES_MAX, key};
use crate::engine::{Batch, Engine, Error, Result};

/// What a history row costs the quota besides its key and value.
const ROW_OVERHEAD_BYTES: u64 = 48;

/// What one revision changed. Shared by every subscriber.
#[derive(Debug, Clone, PartialEq)]
pub struct RevisionEvents {
    pub revision: u64,
    pub events: Vec<v1::Event>,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// One result per transaction of a batch, in order.
    Txns(Vec<v1::TxnResult>),
    /// The compact revision after the command; `Err` holds the current revision when the wanted one is beyond it.
    Compacted(Result<u64, u64>),
    /// Alarms after the command.
    Alarms(Vec<Alarm>),
    /// Nothing to say.
    Done,
    /// The command was not understood, and changed nothing.
    Malformed,
}

/// Applies commands on top of an engine's state and collects what has to be written.
pub struct Applier<'a> {
    engine: &'a dyn Engine,
    state: &'a mut State,
    cache: &'a mut KeyCache,
    batch: Batch,
    /// Keys read or changed since the batch began: what the engine does not know yet.
    overlay: HashMap<Bytes, Option<Object>>,
    events: Vec<RevisionEvents>,
    /// `history_bytes` behind each revision of this batch.
    history_marks: Vec<(u64, u64)>,
    alarms_changed: bool,
    scratch: Vec<u8>,
}

/// One decided operation.
enum Change {
    Put { key: Bytes, value: Bytes, expires_ms: u64 },
    Delete { key: Bytes },
}

impl<'a> Applier<'a> {
    pub fn new(engine: &'a dyn Engine, state: &'a mut State, cache: &'a mut KeyCache) -> Self {
        Self {
            batch: engine.batch(),
            engine,
            state,
            cache,
            overlay: HashMap::new(),
            events: Vec::new(),
            history_marks: Vec::new(),
            alarms_changed: false,
            scratch: Vec::new(),
        }
    }

    pub fn apply(&mut self, command: v1::Command) -> Result<Applied> {
        self.state.time_ms = self.state.time_ms.max(command.time_unix_ms);
        match command.body {
            Some(command::Body::Batch(batch)) => {
                let blocked = self.blocked();
                let txns = batch.txns.into_iter();
                Ok(Applied::Txns(txns.map(|t| self.client_txn(t, blocked)).collect::<Result<_>>()?))
            }
            Some(command::Body::Compact(compact)) => Ok(Applied::Compacted(self.compact(compact.revision)?)),
            Some(command::Body::Expire(expire)) => self.expire(expire.keys).map(|()| Applied::Done),
            Some(command::Body::Alarm(alarm)) => Ok(Applied::Alarms(self.set_alarm(alarm))),
            Some(command::Body::ForgetClients(forget)) => {
                for id in &forget.client_ids {
                    self.state.clients.forget(id, self.state.time_ms);
                }
                Ok(Applied::Done)
            }
            Some(command::Body::ClusterVersion(version)) => {
                self.state.cluster_format = self.state.cluster_format.max(version.format);
                Ok(Applied::Done)
            }
            None => Ok(Applied::Malformed),
        }
    }

    /// What has to be written, and what it makes true. `consensus` is the caller's own row.
    pub fn finish(mut self, consensus: &[u8]) -> (Batch, Vec<RevisionEvents>) {
        self.state.clients.save(&mut self.batch, &mut self.scratch);
        if self.alarms_changed {
            self.batch.put(key::ALARMS, &encode_alarms(&self.state.alarms));
        }
        self.batch.put(key::STATE, &self.state.encode());
        self.batch.put(key::CONSENSUS, consensus);
        (self.batch, self.events)
    }

    /// Which alarm stops puts at the moment. CORRUPT does not: the members that it names serve nobody, the others are
    /// right.
    fn blocked(&self) -> Option<&'static str> {
        [Alarm::NO_SPACE].into_iter().find(|kind| self.state.has_alarm(kind))
    }

    fn client_txn(&mut self, request: v1::command::ClientTxn, blocked: Option<&'static str>) -> Result<v1::TxnResult> {
        let Some(txn) = request.txn else {
            return Ok(rejected(0, txn_result::rejected::Code::Unknown, "no transaction"));
        };
        let (id, seq) = (request.client_id, txn.seq);
        if id.len() != CLIENT_ID_BYTES {
            return Ok(rejected(seq, txn_result::rejected::Code::Unknown, "client_id must have 16 bytes"));
        }
        match self.state.clients.check(&id, request.acked_below, seq, self.state.time_ms) {
            Known::New => {}
            Known::Applied(outcome) => return self.known(seq, outcome, &txn),
            Known::Stale => {
                return Ok(rejected(seq, txn_result::rejected::Code::StaleSequence, "the result was acknowledged"));
            }
            Known::Full => {
                let message = "too many clients, or too many unacknowledged results of this client";
                return Ok(rejected(seq, txn_result::rejected::Code::Overloaded, message));
            }
        }
        if let Some((code, message)) = refuse(&txn, blocked) {
            return Ok(rejected(seq, code, message));
        }
        for (index, compare) in txn.compares.iter().enumerate() {
            let found = self.meta(&compare.key)?.map_or(0, |m| m.mod_revision);
            let holds = if compare.mod_revision == u64::MAX { found != 0 } else { found == compare.mod_revision };
            if !holds {
                let (index, revision) = (index as u32, self.state.revision);
                self.state.clients.record(&id, seq, Outcome::CompareFailed { index, revision });
                return self.compare_failed(seq, index, revision, &compare.key);
            }
        }
        let time_ms = self.state.time_ms;
        let changes = txn.ops.into_iter().filter_map(|op| match op.op? {
            op::Op::Put(put) => {
                let ttl_ms = put.ttl_seconds.saturating_mul(1000);
                let expires_ms = if ttl_ms == 0 { 0 } else { time_ms.saturating_add(ttl_ms) };
                Some(Change::Put { key: put.key, value: put.value, expires_ms })
            }
            op::Op::Delete(key) => Some(Change::Delete { key }),
        });
        let revision = self.commit(changes.collect())?;
        self.state.clients.record(&id, seq, Outcome::Committed { revision });
        Ok(v1::TxnResult { seq, outcome: Some(txn_result::Outcome::Committed(revision)) })
    }

    /// The answer to a retry: what was decided then, with what is there now.
    fn known(&mut self, seq: u64, outcome: Outcome, txn: &v1::Txn) -> Result<v1::TxnResult> {
        match outcome {
            Outcome::Committed { revision } => {
                Ok(v1::TxnResult { seq, outcome: Some(txn_result::Outcome::Committed(revision)) })
            }
            Outcome::CompareFailed { index, .. } => match txn.compares.get(index as usize) {
                Some(compare) => self.compare_failed(seq, index, self.state.revision, &compare.key.clone()),
                None => {
                    Ok(rejected(seq, txn_result::rejected::Code::StaleSequence, "another transaction had this seq"))
                }
            },
        }
    }

    fn compare_failed(&mut self, seq: u64, index: u32, revision: u64, key: &Bytes) -> Result<v1::TxnResult> {
        let current = self.object(key)?.map(|object| key_value(key.clone(), object));
        let failed = txn_result::CompareFailed { index, current, revision };
        Ok(v1::TxnResult { seq, outcome: Some(txn_result::Outcome::Failed(failed)) })
    }

    /// Makes a new revision of the changes that change something; else returns the current one.
    fn commit(&mut self, changes: Vec<Change>) -> Result<u64> {
        let revision = self.state.revision + 1;
        let mut events = Vec::with_capacity(changes.len());
        for change in changes {
            let index = events.len() as u32;
            let event = match change {
                Change::Put { key, value, expires_ms } => self.put(revision, index, key, value, expires_ms)?,
                Change::Delete { key } => match self.object(&key)? {
                    Some(previous) => self.delete(revision, index, key, previous)?,
                    None => continue,
                },
            };
            events.push(event);
        }
        if events.is_empty() {
            return Ok(self.state.revision);
        }
        self.state.revision = revision;
        self.history_marks.push((revision, self.state.history_bytes));
        self.events.push(RevisionEvents { revision, events });
        Ok(revision)
    }

    fn put(&mut self, revision: u64, index: u32, key: Bytes, value: Bytes, expires_ms: u64) -> Result<v1::Event> {
        let previous = self.object(&key)?;
        let meta = Meta {
            create_revision: previous.as_ref().map_or(revision, |p| p.meta.create_revision),
            mod_revision: revision,
            version: previous.as_ref().map_or(1, |p| p.meta.version + 1),
            expires_ms,
        };
        self.remember(revision, index, &key, previous, Some(meta));
        self.state.live_keys += u64::from(meta.version == 1);
        self.state.live_bytes += (key.len() + value.len()) as u64;
        if expires_ms != 0 {
            self.batch.put(&key::expiry(expires_ms, &key), b"");
        }
        let object = Object { meta, value: value.clone() };
        object.encode(&mut self.scratch);
        self.batch.put(&key::current(&key), &self.scratch);
        self.cache.insert(&key, Some(meta));
        self.overlay.insert(key.clone(), Some(object));
        Ok(v1::Event {
            kind: event::Kind::Put as i32,
            key,
            value,
            revision,
            create_revision: meta.create_revision,
            version: meta.version,
            ..Default::default()
        })
    }

    fn delete(&mut self, revision: u64, index: u32, key: Bytes, previous: Object) -> Result<v1::Event> {
        let create_revision = previous.meta.create_revision;
        self.remember(revision, index, &key, Some(previous), None);
        self.state.live_keys = self.state.live_keys.saturating_sub(1);
        self.batch.delete(&key::current(&key));
        self.cache.insert(&key, None);
        self.overlay.insert(key.clone(), None);
        Ok(v1::Event { kind: event::Kind::Delete as i32, key, revision, create_revision, ..Default::default() })
    }

    /// Writes the history rows of one change, and takes what was there before off the counters.
    fn remember(&mut self, revision: u64, index: u32, key: &Bytes, previous: Option<Object>, now: Option<Meta>) {
        let mut history_bytes = ROW_OVERHEAD_BYTES + key.len() as u64;
        let prev_revision = previous.as_ref().map_or(0, |p| p.meta.mod_revision);
        let create_revision = now.or(previous.as_ref().map(|p| p.meta)).map_or(revision, |m| m.create_revision);
        if let Some(previous) = previous {
            let bytes = (key.len() + previous.value.len()) as u64;
            history_bytes += ROW_OVERHEAD_BYTES + bytes;
            self.state.live_bytes = self.state.live_bytes.saturating_sub(bytes);
            if previous.meta.expires_ms != 0 {
                self.batch.delete(&key::expiry(previous.meta.expires_ms, key));
            }
            previous.encode(&mut self.scratch);
            self.batch.put(&key::undo(key, revision), &self.scratch);
        }
        self.state.history_bytes += history_bytes;
        let row = EventRow {
            delete: now.is_none(),
            create_revision,
            version: now.map_or(0, |m| m.version),
            prev_revision,
            history_bytes: self.state.history_bytes,
            key: key.to_vec(),
        };
        row.encode(&mut self.scratch);
        self.batch.put(&key::event(revision, index), &self.scratch);
    }

    /// Deletes the keys whose time has come, all under one revision. A key that was written since the leader looked
    /// is left alone.
    fn expire(&mut self, keys: Vec<v1::command::ExpiredKey>) -> Result<()> {
        let mut changes: Vec<Change> = Vec::with_capacity(keys.len());
        let mut seen = std::collections::HashSet::new();
        for expired in keys {
            let due = self.meta(&expired.key)?.is_some_and(|m| {
                m.mod_revision == expired.mod_revision && m.expires_ms != 0 && m.expires_ms <= self.state.time_ms
            });
            if due && seen.insert(expired.key.clone()) {
                changes.push(Change::Delete { key: expired.key });
            }
        }
        self.commit(changes).map(|_| ())
    }

    fn compact(&mut self, revision: u64) -> Result<Result<u64, u64>> {
        if revision > self.state.revision {
            return Ok(Err(self.state.revision));
        }
        if revision > self.state.compact_revision {
            self.state.history_floor = self.history_bytes_at(revision)?.max(self.state.history_floor);
            self.state.compact_revision = revision;
        }
        Ok(Ok(self.state.compact_revision))
    }

    /// What `history_bytes` was right behind a revision.
    fn history_bytes_at(&self, revision: u64) -> Result<u64> {
        if revision == self.state.revision {
            return Ok(self.state.history_bytes);
        }
        if let Some((_, bytes)) = self.history_marks.iter().find(|(r, _)| *r == revision) {
            return Ok(*bytes);
        }
        let mut bytes = self.state.history_floor;
        let mut cursor = self.engine.cursor(&key::event(revision, 0), &key::event(revision + 1, 0))?;
        while let Some((row_key, row)) = cursor.current()? {
            bytes = EventRow::decode(row).ok_or_else(|| Error::bad_row("event", row_key))?.history_bytes;
            cursor.advance()?;
        }
        Ok(bytes)
    }

    fn set_alarm(&mut self, set: v1::command::SetAlarm) -> Vec<Alarm> {
        let before = self.state.alarms.len();
        if set.active {
            self.state.alarms.insert(Alarm { member_id: set.member_id, kind: set.kind });
        } else {
            // Member 0 and an empty kind stand for all of them.
            self.state.alarms.retain(|alarm| {
                (set.member_id != 0 && alarm.member_id != set.member_id)
                    || (!set.kind.is_empty() && alarm.kind != set.kind)
            });
        }
        self.alarms_changed |= before != self.state.alarms.len();
        self.state.alarms.iter().cloned().collect()
    }

    /// Header of a key, without its value where it is remembered.
    fn meta(&mut self, key: &Bytes) -> Result<Option<Meta>> {
        if let Some(object) = self.overlay.get(key) {
            return Ok(object.as_ref().map(|o| o.meta));
        }
        if let Some(meta) = self.cache.get(key) {
            return Ok(meta);
        }
        let meta = self.object(key)?.map(|o| o.meta);
        self.cache.insert(key, meta);
        Ok(meta)
    }

    fn object(&mut self, key: &Bytes) -> Result<Option<Object>> {
        if let Some(object) = self.overlay.get(key) {
            return Ok(object.clone());
        }
        let row_key = key::current(key);
        let object = match self.engine.get(&row_key)? {
            Some(row) => Some(Object::decode(row).ok_or_else(|| Error::bad_row("object", &row_key))?),
            None => None,
        };
        self.overlay.insert(key.clone(), object.clone());
        Ok(object)
    }
}

/// Why a transaction is not even tried.
fn refuse(txn: &v1::Txn, blocked: Option<&'static str>) -> Option<(txn_result::rejected::Code, &'static str)> {
    use txn_result::rejected::Code;
    if txn.ops.len() > TXN_OPS_MAX || txn.compares.len() > TXN_OPS_MAX {
        return Some((Code::TooLarge, "too many operations in one transaction"));
    }
    let mut keys = std::collections::HashSet::with_capacity(txn.ops.len());
    for op in &txn.ops {
        let key = match &op.op {
            Some(op::Op::Put(put)) => {
                if blocked.is_some() {
                    return Some((Code::NoSpace, "database space exceeded"));
                }
                if put.value.len() > VALUE_BYTES_MAX {
                    return Some((Code::TooLarge, "value is too large"));
                }
                &put.key
            }
            Some(op::Op::Delete(key)) => key,
            None => return Some((Code::Unknown, "unknown operation")),
        };
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Some((Code::TooLarge, "key is empty or too large"));
        }
        if !keys.insert(key) {
            return Some((Code::Unknown, "a key appears twice in one transaction"));
        }
    }
    None
}

fn rejected(seq: u64, code: txn_result::rejected::Code, message: &str) -> v1::TxnResult {
    let rejected = txn_result::Rejected { code: code as i32, message: message.into() };
    v1::TxnResult { seq, outcome: Some(txn_result::Outcome::Rejected(rejected)) }
}

/// A key and its object as a message.
pub fn key_value(key: Bytes, object: Object) -> v1::KeyValue {
    v1::KeyValue {
        key,
        value: object.value,
        create_revision: object.meta.create_revision,
        mod_revision: object.meta.mod_revision,
        version: object.meta.version,
    }
}
