//! What is left of an engine when the member has stopped: every call fails, so that a reader that comes late gets an
//! error and not an empty answer.

use std::path::Path;

use super::{Batch, Cursor, Engine, Error, Read, Result};

/// Refuses everything.
pub struct ClosedEngine;

fn closed<T>(operation: &'static str) -> Result<T> {
    Err(Error::Database { operation, message: "the member has stopped".into() })
}

impl Read for ClosedEngine {
    fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>> {
        closed("read")
    }

    fn cursor<'a>(&'a self, _start: &[u8], _end: &[u8]) -> Result<Box<dyn Cursor + 'a>> {
        closed("iterate")
    }
}

impl Engine for ClosedEngine {
    fn batch(&self) -> Batch {
        Batch::Memory(Vec::new())
    }

    fn write(&self, _batch: Batch) -> Result<()> {
        closed("write")
    }

    fn view(&self) -> Box<dyn Read + '_> {
        Box::new(Self)
    }

    fn flush(&self) -> Result<()> {
        closed("flush")
    }

    fn checkpoint(&self, _directory: &Path) -> Result<()> {
        closed("checkpoint")
    }

    fn size_bytes(&self) -> u64 {
        0
    }
}
