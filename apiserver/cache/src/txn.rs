//! Transactions: what must hold, and what is then written, all or nothing, at one revision.

use std::sync::Arc;

use bytes::Bytes;
use kuorum_proto::v1;

use crate::object::Object;

/// What a key must be like when the transaction is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key exists, whatever its revision.
    Exists,
    /// The key exists and was last written at this revision.
    ModRevision(u64),
}

/// The wire's number for "exists".
pub(crate) const MOD_REVISION_EXISTS: u64 = u64::MAX;

impl Expect {
    pub(crate) fn to_wire(self) -> u64 {
        match self {
            Expect::Absent => 0,
            Expect::Exists => MOD_REVISION_EXISTS,
            Expect::ModRevision(revision) => revision,
        }
    }
}

/// A transaction under construction. Keys are whole store keys ([`Resource::key`](crate::Resource::key)).
#[derive(Clone, Debug, Default)]
pub struct Txn {
    pub(crate) compares: Vec<v1::Compare>,
    pub(crate) ops: Vec<v1::Op>,
}

impl Txn {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a precondition. Preconditions are checked in the order in which they were added.
    pub fn expect(mut self, key: impl Into<Bytes>, expect: Expect) -> Self {
        self.compares.push(v1::Compare { key: key.into(), mod_revision: expect.to_wire() });
        self
    }

    /// Writes a packed value ([`value::pack`](crate::value::pack)).
    pub fn put(self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.put_with_ttl(key, value, 0)
    }

    /// Writes a packed value that the store deletes by itself after `ttl_seconds` (0: never).
    pub fn put_with_ttl(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>, ttl_seconds: u64) -> Self {
        let put = v1::op::Put { key: key.into(), value: value.into(), ttl_seconds };
        self.ops.push(v1::Op { op: Some(v1::op::Op::Put(put)) });
        self
    }

    /// Deletes a key; deleting an absent key changes nothing.
    pub fn delete(mut self, key: impl Into<Bytes>) -> Self {
        self.ops.push(v1::Op { op: Some(v1::op::Op::Delete(key.into())) });
        self
    }

    /// Both transactions as one: the preconditions and operations of `other` behind those of this one.
    pub fn and(mut self, other: Txn) -> Self {
        self.compares.extend(other.compares);
        self.ops.extend(other.ops);
        self
    }

    /// `create`: put `key` if it is absent.
    pub fn create(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        let key = key.into();
        Self::new().expect(key.clone(), Expect::Absent).put(key, value)
    }

    /// `update`: put `key` if it is still at `mod_revision`.
    pub fn update(key: impl Into<Bytes>, mod_revision: u64, value: impl Into<Bytes>) -> Self {
        let key = key.into();
        Self::new().expect(key.clone(), Expect::ModRevision(mod_revision)).put(key, value)
    }

    /// `delete`: delete `key` if it is still at `mod_revision`.
    pub fn remove(key: impl Into<Bytes>, mod_revision: u64) -> Self {
        let key = key.into();
        Self::new().expect(key.clone(), Expect::ModRevision(mod_revision)).delete(key)
    }
}

/// What became of a transaction that the store decided on.
#[derive(Clone, Debug)]
pub enum CommitOutcome {
    /// Applied, at this revision (the store's current one when no operation changed anything).
    Committed(u64),
    /// Nothing was written: a precondition did not hold.
    Conflict {
        /// Of the first precondition that did not hold, in the order in which they were added.
        index: usize,
        /// The object at that key; `None`: there is none, or the key belongs to no registered resource.
        current: Option<Arc<Object>>,
        /// Of the store, when it was decided.
        revision: u64,
    },
}
