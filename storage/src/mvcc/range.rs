//! The keys of a range as they were at one revision: current rows, with newer changes undone.

use std::cmp::Ordering;

use bytes::Bytes;
use kuorum_proto::v1::KeyValue;

use super::apply::key_value;
use super::row::Object;
use super::{Error, Result, key};
use crate::engine::{Cursor, Error as EngineError, Read};

/// `[start, end)` of user keys.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub start: Vec<u8>,
    pub end: Vec<u8>,
}

impl Bounds {
    /// As the wire says it: an empty end is the one key `start`.
    pub fn new(start: &[u8], end: &[u8]) -> Self {
        if end.is_empty() { Self::single(start) } else { Self { start: start.to_vec(), end: end.to_vec() } }
    }

    pub fn single(key: &[u8]) -> Self {
        let mut end = key.to_vec();
        end.push(0);
        Self { start: key.to_vec(), end }
    }

    pub fn everything() -> Self {
        Self { start: Vec::new(), end: vec![0xff; super::KEY_BYTES_MAX + 1] }
    }
}

/// Walks a range at one revision. All reads must come from one view.
pub struct RangeReader<'a> {
    revision: u64,
    current: Box<dyn Cursor + 'a>,
    /// `None` when the revision is the newest: there is nothing to undo.
    undo: Option<UndoCursor<'a>>,
}

impl<'a> RangeReader<'a> {
    /// `newest` and `compacted` are the revisions of the view.
    ///
    /// # Errors
    /// A revision outside `compacted..=newest`. The compact revision itself can still be read.
    pub fn new(view: &'a dyn Read, bounds: &Bounds, revision: u64, newest: u64, compacted: u64) -> Result<Self> {
        if revision > newest {
            return Err(Error::Future { requested: revision, current: newest });
        }
        if revision < compacted {
            return Err(Error::Compacted { requested: revision, compacted });
        }
        let current = view.cursor(&key::current(&bounds.start), &key::current(&bounds.end))?;
        let undo = if revision == newest { None } else { Some(UndoCursor::new(view, bounds, revision)?) };
        Ok(Self { revision, current, undo })
    }

    /// The next key, in order.
    pub fn next_key(&mut self) -> Result<Option<KeyValue>> {
        loop {
            let undone = self.undo.as_ref().and_then(|u| u.at.as_ref()).map(|(user_key, _)| user_key.as_slice());
            let current = self.current.current()?;
            let order = match (undone, &current) {
                (None, None) => return Ok(None),
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (Some(undone), Some((row_key, _))) => undone.cmp(key::current_user(row_key)),
            };
            let found = if let (Ordering::Greater, Some((row_key, row))) = (order, current) {
                let object = Object::decode(row.to_vec()).ok_or_else(|| EngineError::bad_row("object", row_key))?;
                let found = key_value(Bytes::copy_from_slice(key::current_user(row_key)), object);
                self.current.advance()?;
                Some(found)
            } else {
                if order.is_eq() {
                    self.current.advance()?;
                }
                match &mut self.undo {
                    Some(undo) => undo.take(self.revision)?,
                    None => None,
                }
            };
            // A key with a later mod revision did not exist then.
            if let Some(found) = found.filter(|kv| kv.mod_revision <= self.revision) {
                return Ok(Some(found));
            }
        }
    }
}

/// For each key that was changed after a revision, the oldest such change: what it undoes is the state at the
/// revision.
struct UndoCursor<'a> {
    rows: Box<dyn Cursor + 'a>,
    at: Option<(Vec<u8>, Object)>,
}

impl<'a> UndoCursor<'a> {
    fn new(view: &'a dyn Read, bounds: &Bounds, revision: u64) -> Result<Self> {
        let (start, end) = key::undo_range(&bounds.start, &bounds.end);
        let mut cursor = Self { rows: view.cursor(&start, &end)?, at: None };
        cursor.find(revision)?;
        Ok(cursor)
    }

    /// Moves to the first row, from here on, of a change after the revision.
    fn find(&mut self, revision: u64) -> Result<()> {
        while let Some((row_key, row)) = self.rows.current()? {
            let (user_key, changed) = key::undo_parts(row_key).ok_or_else(|| EngineError::bad_row("undo", row_key))?;
            if changed > revision {
                let object = Object::decode(row.to_vec()).ok_or_else(|| EngineError::bad_row("undo", row_key))?;
                self.at = Some((user_key, object));
                return Ok(());
            }
            self.rows.advance()?;
        }
        Ok(())
    }

    /// What the key under the cursor was; moves to the next key.
    fn take(&mut self, revision: u64) -> Result<Option<KeyValue>> {
        let Some((user_key, object)) = self.at.take() else { return Ok(None) };
        while let Some((row_key, _)) = self.rows.current()? {
            let (other, _) = key::undo_parts(row_key).ok_or_else(|| EngineError::bad_row("undo", row_key))?;
            if other != user_key {
                break;
            }
            self.rows.advance()?;
        }
        self.find(revision)?;
        Ok(Some(key_value(user_key.into(), object)))
    }
}
