//! Past events in revision order, whole revisions at a time, for a reader that is further back than memory reaches.

use bytes::Bytes;
use kuorum_proto::v1::{Event, event};

use super::apply::RevisionEvents;
use super::row::{EventRow, Object};
use super::{Error, Result, key};
use crate::engine::{Cursor, Error as EngineError, Read};

/// The first key behind all keys that begin with `prefix`; `None` when there is no such key.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// Walks the events in `(after, up_to]`. All reads must come from one view.
pub struct HistoryReader<'a> {
    view: &'a dyn Read,
    rows: Box<dyn Cursor + 'a>,
    prefix: Vec<u8>,
    with_previous: bool,
}

impl<'a> HistoryReader<'a> {
    /// `newest` and `compacted` are the revisions of the view. `with_previous` fills in the values before each event.
    ///
    /// # Errors
    /// `after` below the compact revision: events right behind it are gone.
    pub fn new(
        view: &'a dyn Read,
        prefix: &[u8],
        range: (u64, u64),
        newest: u64,
        compacted: u64,
        with_previous: bool,
    ) -> Result<Self> {
        let (after, up_to) = (range.0, range.1.min(newest));
        if after < compacted {
            return Err(Error::Compacted { requested: after, compacted });
        }
        let rows = view.cursor(&key::event(after.saturating_add(1), 0), &key::event(up_to.saturating_add(1), 0))?;
        Ok(Self { view, rows, prefix: prefix.to_vec(), with_previous })
    }

    /// The next revision that changed something under the prefix, with those events.
    pub fn next_revision(&mut self) -> Result<Option<RevisionEvents>> {
        let mut found: Option<RevisionEvents> = None;
        while let Some((row_key, row)) = self.rows.current()? {
            let revision = key::event_revision(row_key).ok_or_else(|| EngineError::bad_row("event", row_key))?;
            if found.as_ref().is_some_and(|f| f.revision != revision) {
                break;
            }
            let row = EventRow::decode(row).ok_or_else(|| EngineError::bad_row("event", row_key))?;
            if row.key.starts_with(&self.prefix) {
                let event = self.event(revision, row)?;
                found.get_or_insert_with(|| RevisionEvents { revision, events: Vec::new() }).events.push(event);
            }
            self.rows.advance()?;
        }
        Ok(found)
    }

    fn event(&self, revision: u64, row: EventRow) -> Result<Event> {
        let value = if row.delete { Bytes::new() } else { self.value_at(&row.key, revision)? };
        let mut event = Event {
            kind: if row.delete { event::Kind::Delete } else { event::Kind::Put } as i32,
            value,
            revision,
            create_revision: row.create_revision,
            version: row.version,
            ..Default::default()
        };
        if self.with_previous && row.prev_revision != 0 {
            let undo = key::undo(&row.key, revision);
            let object = self.view.get(&undo)?.and_then(Object::decode).ok_or_else(|| missing(&row.key, revision))?;
            event.prev_revision = row.prev_revision;
            event.prev_value = object.value;
        }
        event.key = row.key.into();
        Ok(event)
    }

    /// What a put wrote: still current, or undone by the next change of the key.
    fn value_at(&self, user_key: &[u8], revision: u64) -> Result<Bytes> {
        let row = self.view.get(&key::current(user_key))?.and_then(Object::decode);
        if let Some(object) = row.filter(|o| o.meta.mod_revision == revision) {
            return Ok(object.value);
        }
        let next = self.view.first(&key::undo(user_key, revision + 1), &key::undo(user_key, u64::MAX))?;
        let object = next.and_then(|(_, row)| Object::decode(row)).filter(|o| o.meta.mod_revision == revision);
        Ok(object.ok_or_else(|| missing(user_key, revision))?.value)
    }
}

fn missing(user_key: &[u8], revision: u64) -> Error {
    let message = format!("no value of {} at revision {revision}", user_key.escape_ascii());
    Error::Engine(EngineError::Corrupt(message))
}

#[cfg(test)]
mod tests {
    use super::prefix_end;

    #[test]
    fn prefix_ends() {
        assert_eq!(prefix_end(b"/a/"), Some(b"/a0".to_vec()));
        assert_eq!(prefix_end(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }
}
