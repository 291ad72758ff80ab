//! The byte layout of rows: one letter for the table, then big-endian numbers, so that byte order is revision order.
//!
//! | table | key | row |
//! |---|---|---|
//! | `k` | user key | the current object |
//! | `e` | revision, index | what one operation of that revision changed |
//! | `u` | escaped user key, revision | what the key was before that revision |
//! | `x` | expiry in ms, user key | (empty) keys with a time to live |
//! | `c` | client id | results of a client's latest transactions |
//! | `m` | name | counters, alarms, consensus state |

pub const STATE: &[u8] = b"mstate";
pub const ALARMS: &[u8] = b"malarms";
/// The consensus layer's own bytes: applied log id and membership.
pub const CONSENSUS: &[u8] = b"mconsensus";
/// Up to which revision history rows have been removed. Follows the compact revision; not part of replicated state.
pub const CLEANED: &[u8] = b"mcleaned";

const CURRENT: u8 = b'k';
const EVENT: u8 = b'e';
const UNDO: u8 = b'u';
const EXPIRY: u8 = b'x';
const CLIENT: u8 = b'c';

fn tagged(tag: u8, capacity: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + capacity);
    key.push(tag);
    key
}

pub fn current(user_key: &[u8]) -> Vec<u8> {
    let mut key = tagged(CURRENT, user_key.len());
    key.extend_from_slice(user_key);
    key
}

/// The user key of a `k` row.
pub fn current_user(key: &[u8]) -> &[u8] {
    key.get(1..).unwrap_or_default()
}

/// Everything in the table of current objects.
pub fn current_table() -> (Vec<u8>, Vec<u8>) {
    (vec![CURRENT], vec![CURRENT + 1])
}

pub fn event(revision: u64, index: u32) -> Vec<u8> {
    let mut key = tagged(EVENT, 12);
    key.extend_from_slice(&revision.to_be_bytes());
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// The revision of an `e` row.
pub fn event_revision(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?))
}

/// Ends a user key inside a longer key: smaller than any escaped byte, so order is kept.
const TERMINATOR: [u8; 2] = [0, 1];

fn push_escaped(key: &mut Vec<u8>, user_key: &[u8]) {
    for &byte in user_key {
        key.push(byte);
        if byte == 0 {
            key.push(0xff);
        }
    }
}

pub fn undo(user_key: &[u8], revision: u64) -> Vec<u8> {
    let mut key = tagged(UNDO, user_key.len() + 10);
    push_escaped(&mut key, user_key);
    key.extend_from_slice(&TERMINATOR);
    key.extend_from_slice(&revision.to_be_bytes());
    key
}

/// The undo rows of all user keys in `[start, end)`.
pub fn undo_range(start: &[u8], end: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let bound = |user_key: &[u8]| {
        let mut key = tagged(UNDO, user_key.len() + 10);
        push_escaped(&mut key, user_key);
        key
    };
    (bound(start), bound(end))
}

/// Everything in the table of undo rows.
pub fn undo_table() -> (Vec<u8>, Vec<u8>) {
    (vec![UNDO], vec![UNDO + 1])
}

/// User key and revision of a `u` row.
pub fn undo_parts(key: &[u8]) -> Option<(Vec<u8>, u64)> {
    let body = key.get(1..key.len().checked_sub(8)?)?;
    let escaped = body.strip_suffix(&TERMINATOR)?;
    let mut user_key = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        user_key.push(byte);
        if byte == 0 && bytes.next() != Some(&0xff) {
            return None;
        }
    }
    Some((user_key, u64::from_be_bytes(key[key.len() - 8..].try_into().ok()?)))
}

pub fn expiry(at_ms: u64, user_key: &[u8]) -> Vec<u8> {
    let mut key = tagged(EXPIRY, 8 + user_key.len());
    key.extend_from_slice(&at_ms.to_be_bytes());
    key.extend_from_slice(user_key);
    key
}

/// Expiry rows due at `now_ms` or before.
pub fn expiry_due(now_ms: u64) -> (Vec<u8>, Vec<u8>) {
    (vec![EXPIRY], expiry(now_ms.saturating_add(1), b""))
}

/// Time and user key of an `x` row.
pub fn expiry_parts(key: &[u8]) -> Option<(u64, &[u8])> {
    Some((u64::from_be_bytes(key.get(1..9)?.try_into().ok()?), &key[9..]))
}

pub fn client(id: &[u8]) -> Vec<u8> {
    let mut key = tagged(CLIENT, id.len());
    key.extend_from_slice(id);
    key
}

pub fn client_table() -> (Vec<u8>, Vec<u8>) {
    (vec![CLIENT], vec![CLIENT + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undo_keys_keep_the_order_of_user_keys_and_revisions() {
        let keys: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"\0\x01", b"a", b"a\0", b"ab"];
        let mut ordered = Vec::new();
        for key in keys {
            for revision in [1, 2, u64::MAX] {
                let row = undo(key, revision);
                assert_eq!(undo_parts(&row), Some((key.to_vec(), revision)));
                ordered.push(row);
            }
        }
        assert!(ordered.is_sorted());
        let (start, end) = undo_range(b"a", b"ab");
        let inside: Vec<_> = ordered.iter().filter(|k| **k >= start && **k < end).collect();
        assert_eq!(inside.len(), 6, "a and a\\0, three revisions each");
    }

    #[test]
    fn damaged_keys_do_not_decode() {
        assert_eq!(undo_parts(b""), None);
        assert_eq!(undo_parts(b"u12345678"), None);
        assert_eq!(event_revision(b"e123"), None);
        assert_eq!(expiry_parts(b"x"), None);
    }
}
