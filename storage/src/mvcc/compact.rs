//! Removes history rows that a replicated compaction made unreadable. Each member does it in its own time, off the
//! apply path: no read looks at these rows any more, so when they go changes nothing that can be seen.

use super::key;
use super::row::EventRow;
use crate::engine::{Engine, Error, Result};

/// Events per batch: some milliseconds of work, so that apply's own writes are never held up for long.
pub const CLEAN_EVENTS_MAX: usize = 2_048;

/// Removes at most [`CLEAN_EVENTS_MAX`] events, and what they superseded, at or below `compact_revision`. Returns
/// whether there is more to remove.
pub fn clean(engine: &dyn Engine, compact_revision: u64) -> Result<bool> {
    let cleaned = match engine.get(key::CLEANED)? {
        Some(row) => {
            u64::from_le_bytes(row.as_slice().try_into().map_err(|_| Error::bad_row("cleaned", key::CLEANED))?)
        }
        None => 0,
    };
    if cleaned >= compact_revision {
        return Ok(false);
    }
    let mut batch = engine.batch();
    let mut reached = compact_revision;
    let mut more = false;
    {
        let mut seen = 0;
        let mut last = 0;
        let mut cursor = engine.cursor(&key::event(cleaned + 1, 0), &key::event(compact_revision + 1, 0))?;
        while let Some((row_key, row)) = cursor.current()? {
            let revision = key::event_revision(row_key).ok_or_else(|| Error::bad_row("event", row_key))?;
            if seen >= CLEAN_EVENTS_MAX && revision != last {
                (reached, more) = (last, true);
                break;
            }
            let row = EventRow::decode(row).ok_or_else(|| Error::bad_row("event", row_key))?;
            if row.prev_revision != 0 {
                batch.delete(&key::undo(&row.key, revision));
            }
            seen += 1;
            last = revision;
            cursor.advance()?;
        }
    }
    batch.delete_range(&key::event(0, 0), &key::event(reached + 1, 0));
    batch.put(key::CLEANED, &reached.to_le_bytes());
    engine.write(batch)?;
    Ok(more)
}
