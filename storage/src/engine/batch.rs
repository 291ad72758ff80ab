//! An atomic batch of writes, built once in the form that its engine writes.

use super::{Error, Result};

/// Puts and deletes that become visible together. Operations apply in the order in which they were added.
pub enum Batch {
    #[doc(hidden)]
    Rocks(rocksdb::WriteBatch),
    #[doc(hidden)]
    Memory(Vec<MemoryOp>),
}

/// One operation of a batch for the in-memory engine.
#[doc(hidden)]
pub enum MemoryOp {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
}

impl Batch {
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        match self {
            Self::Rocks(batch) => batch.put(key, value),
            Self::Memory(ops) => ops.push(MemoryOp::Put(key.to_vec(), value.to_vec())),
        }
    }

    pub fn delete(&mut self, key: &[u8]) {
        match self {
            Self::Rocks(batch) => batch.delete(key),
            Self::Memory(ops) => ops.push(MemoryOp::Delete(key.to_vec())),
        }
    }

    /// Deletes `[start, end)`.
    pub fn delete_range(&mut self, start: &[u8], end: &[u8]) {
        match self {
            Self::Rocks(batch) => batch.delete_range(start, end),
            Self::Memory(ops) => ops.push(MemoryOp::DeleteRange(start.to_vec(), end.to_vec())),
        }
    }

    pub(super) fn wrong_engine() -> Error {
        Error::Database { operation: "write", message: "the batch was built for another engine".into() }
    }

    pub(super) fn into_rocks(self) -> Result<rocksdb::WriteBatch> {
        match self {
            Self::Rocks(batch) => Ok(batch),
            Self::Memory(_) => Err(Self::wrong_engine()),
        }
    }
}
