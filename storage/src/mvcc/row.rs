//! What rows hold: fixed little-endian headers in front of opaque bytes, so that a value is copied and never parsed.

use bytes::Bytes;

/// What the store knows about a key that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    pub create_revision: u64,
    pub mod_revision: u64,
    /// 1 after a create, one more with every put.
    pub version: u64,
    /// Milliseconds since the epoch; 0 for never.
    pub expires_ms: u64,
}

const META_BYTES: usize = 32;

/// A current object or what an undo row restores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub meta: Meta,
    pub value: Bytes,
}

impl Object {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.reserve(META_BYTES + self.value.len());
        for number in [self.meta.create_revision, self.meta.mod_revision, self.meta.version, self.meta.expires_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.value);
    }

    pub fn decode(row: Vec<u8>) -> Option<Self> {
        let meta = Meta::decode(&row)?;
        Some(Self { meta, value: Bytes::from(row).slice(META_BYTES..) })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

impl Meta {
    /// Reads the header of an object's row.
    pub fn decode(row: &[u8]) -> Option<Self> {
        Some(Self {
            create_revision: number(row, 0)?,
            mod_revision: number(row, 8)?,
            version: number(row, 16)?,
            expires_ms: number(row, 24)?,
        })
    }
}

/// What one operation changed. A put's value is not here: it is in the current row, or in the undo row of the next
/// change of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    pub delete: bool,
    pub create_revision: u64,
    /// 0 for a delete.
    pub version: u64,
    /// Mod revision before the change; 0 when the key did not exist.
    pub prev_revision: u64,
    /// Bytes of history ever written, this row included: the difference of two rows is what lies between them.
    pub history_bytes: u64,
    pub key: Vec<u8>,
}

const EVENT_BYTES: usize = 33;

impl EventRow {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(u8::from(self.delete));
        for number in [self.create_revision, self.version, self.prev_revision, self.history_bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.key);
    }

    pub fn decode(row: &[u8]) -> Option<Self> {
        Some(Self {
            delete: match row.first()? {
                0 => false,
                1 => true,
                _ => return None,
            },
            create_revision: number(row, 1)?,
            version: number(row, 9)?,
            prev_revision: number(row, 17)?,
            history_bytes: number(row, 25)?,
            key: row.get(EVENT_BYTES..)?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_encoding_and_short_rows_are_refused() {
        let object = Object {
            meta: Meta { create_revision: 1, mod_revision: 5, version: 3, expires_ms: 9 },
            value: Bytes::from_static(b"v"),
        };
        let mut row = Vec::new();
        object.encode(&mut row);
        assert_eq!(Object::decode(row.clone()), Some(object));
        assert_eq!(Object::decode(row[..31].to_vec()), None);

        let event = EventRow {
            delete: true,
            create_revision: 1,
            version: 0,
            prev_revision: 4,
            history_bytes: 77,
            key: b"/a".to_vec(),
        };
        event.encode(&mut row);
        assert_eq!(EventRow::decode(&row), Some(event));
        assert_eq!(EventRow::decode(&row[..32]), None);
        row[0] = 2;
        assert_eq!(EventRow::decode(&row), None);
    }
}
