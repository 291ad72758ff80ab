//! A hash of everything readable at one revision, equal on all members that are right.

use xxhash_rust::xxh3::Xxh3;

use super::Result;
use super::range::{Bounds, RangeReader};
use crate::engine::Read;

/// Hashes keys, values, revisions and versions at `revision`. `newest` and `compacted` are those of the view. Reads
/// every object: seconds for a big store, never on a hot path.
///
/// # Errors
/// As [`RangeReader::new`].
pub fn hash_at(view: &dyn Read, revision: u64, newest: u64, compacted: u64) -> Result<u64> {
    let mut hash = Xxh3::new();
    hash.update(&revision.to_le_bytes());
    let mut range = RangeReader::new(view, &Bounds::everything(), revision, newest, compacted)?;
    while let Some(kv) = range.next_key()? {
        for bytes in [&kv.key, &kv.value] {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        for number in [kv.create_revision, kv.mod_revision, kv.version] {
            hash.update(&number.to_le_bytes());
        }
    }
    Ok(hash.digest())
}
