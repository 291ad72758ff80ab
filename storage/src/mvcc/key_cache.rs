//! What the store knows about recently used keys, so that a compare on a hot key (a namespace, say) costs no read of
//! the engine. Two generations: when the young one is full it becomes the old one, and what was not used since goes.

use std::collections::HashMap;

use bytes::Bytes;

use super::row::Meta;

/// Keys per generation: two of them, with some 150 bytes for a key, are below 5 MB.
const GENERATION_KEYS_MAX: usize = 16_384;

/// Holds only what is true at the newest revision. `None` is a key known not to exist.
#[derive(Default)]
pub struct KeyCache {
    young: HashMap<Bytes, Option<Meta>>,
    old: HashMap<Bytes, Option<Meta>>,
}

impl KeyCache {
    pub fn get(&mut self, key: &Bytes) -> Option<Option<Meta>> {
        if let Some(meta) = self.young.get(key) {
            return Some(*meta);
        }
        let meta = self.old.remove(key)?;
        self.insert(key, meta);
        Some(meta)
    }

    /// Remembers a key. The key is copied when it is new: a slice of a log entry would keep the entry alive.
    pub fn insert(&mut self, key: &Bytes, meta: Option<Meta>) {
        if let Some(slot) = self.young.get_mut(key) {
            *slot = meta;
            return;
        }
        if self.young.len() >= GENERATION_KEYS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(key);
        self.young.insert(Bytes::copy_from_slice(key), meta);
    }

    pub fn clear(&mut self) {
        self.young = HashMap::new();
        self.old = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_keys_stay_and_the_newest_word_counts() {
        let key = |i: usize| Bytes::from(format!("/k/{i}"));
        let meta = |r| Some(Meta { create_revision: r, mod_revision: r, version: 1, expires_ms: 0 });
        let mut cache = KeyCache::default();
        cache.insert(&key(0), meta(1));
        for i in 1..=2 * GENERATION_KEYS_MAX {
            cache.insert(&key(i), None);
            assert_eq!(cache.get(&key(0)), Some(meta(1)), "in use");
        }
        assert_eq!(cache.get(&key(1)), None, "unused since two generations");
        cache.insert(&key(0), meta(2));
        assert_eq!(cache.get(&key(0)), Some(meta(2)));
        assert!(cache.young.len() + cache.old.len() <= 2 * GENERATION_KEYS_MAX);
    }
}
