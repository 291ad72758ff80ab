//! A persistent ordered set of objects: two levels of sorted blocks, copied on write, with ranks.
//!
//! A reader clones it in O(1) and keeps it as long as it likes. A writer copies only the blocks that it touches, and
//! copies each at most once per batch. Chosen over a general B-tree map because lists walk it in long runs, count
//! what remains (a rank), and because a separator key of such a map would keep old object versions alive.

use std::sync::Arc;

use crate::object::Object;

/// Objects of one block. Copying one costs a reference count per object, so a block is small; the upper level has
/// one pointer per block, so it is not tiny.
const BLOCK_LEN_MAX: usize = 128;
/// How full blocks are made by a bulk load: some room for inserts before the first split.
const BLOCK_LEN_LOADED: usize = 96;
/// Neighbours that together hold no more than this are merged after a removal.
const BLOCK_LEN_MERGED: usize = 64;

type Block = Vec<Arc<Object>>;

/// Objects in key order.
#[derive(Clone, Default)]
pub(crate) struct Ordered {
    /// No block is empty; every key of a block is less than every key of the next.
    blocks: Arc<Vec<Arc<Block>>>,
    len: usize,
}

/// A place between two objects. Ordered; meaningful only in the set that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    block: usize,
    item: usize,
}

impl Ordered {
    /// Builds the set from objects in strictly ascending key order.
    pub fn from_sorted(objects: Vec<Arc<Object>>) -> Self {
        let len = objects.len();
        let mut blocks = Vec::with_capacity(len.div_ceil(BLOCK_LEN_LOADED));
        let mut objects = objects.into_iter();
        loop {
            let block: Block = objects.by_ref().take(BLOCK_LEN_LOADED).collect();
            if block.is_empty() {
                break;
            }
            blocks.push(Arc::new(block));
        }
        Ordered { blocks: Arc::new(blocks), len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get(&self, key: &str) -> Option<&Arc<Object>> {
        let block = self.blocks.get(self.block_of(key))?;
        let found = block.binary_search_by(|object| object.key().cmp(key)).ok()?;
        block.get(found)
    }

    /// Adds or replaces; returns the version before.
    pub fn insert(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        let index = self.block_of(object.key());
        let blocks = Arc::make_mut(&mut self.blocks);
        let Some(block) = blocks.get_mut(index) else {
            blocks.push(Arc::new(vec![object]));
            self.len = 1;
            return None;
        };
        let block = Arc::make_mut(block);
        match block.binary_search_by(|candidate| candidate.key().cmp(object.key())) {
            Ok(found) => Some(std::mem::replace(&mut block[found], object)),
            Err(place) => {
                block.insert(place, object);
                self.len += 1;
                if block.len() > BLOCK_LEN_MAX {
                    // Names often grow (generateName, events): a split at the end keeps the left block full.
                    let at = if place + 1 == block.len() { BLOCK_LEN_LOADED } else { BLOCK_LEN_MAX / 2 };
                    let right = block.split_off(at);
                    blocks.insert(index + 1, Arc::new(right));
                }
                None
            }
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<Arc<Object>> {
        let index = self.block_of(key);
        let found = self.blocks.get(index)?.binary_search_by(|object| object.key().cmp(key)).ok()?;
        let blocks = Arc::make_mut(&mut self.blocks);
        let block = Arc::make_mut(&mut blocks[index]);
        let removed = block.remove(found);
        let left = block.len();
        self.len -= 1;
        if left == 0 {
            blocks.remove(index);
        } else if blocks.get(index + 1).is_some_and(|next| left + next.len() <= BLOCK_LEN_MERGED) {
            let next = blocks.remove(index + 1);
            Arc::make_mut(&mut blocks[index]).extend(next.iter().cloned());
        }
        Some(removed)
    }

    /// The first object whose key is not less than `key`.
    pub fn lower_bound(&self, key: &str) -> Position {
        let block = self.block_of(key);
        let item = self.blocks.get(block).map_or(0, |b| b.partition_point(|object| object.key() < key));
        self.normal(Position { block, item })
    }

    pub fn start(&self) -> Position {
        Position { block: 0, item: 0 }
    }

    pub fn end(&self) -> Position {
        Position { block: self.blocks.len(), item: 0 }
    }

    /// How many objects lie between two positions.
    pub fn count(&self, from: Position, to: Position) -> usize {
        if from >= to {
            return 0;
        }
        let whole: usize = self.blocks[from.block..to.block].iter().map(|block| block.len()).sum();
        whole + to.item - from.item
    }

    /// The object at a position, and the position behind it.
    pub fn at(&self, position: Position) -> Option<(&Arc<Object>, Position)> {
        let block = self.blocks.get(position.block)?;
        let object = block.get(position.item)?;
        let next = match position.item + 1 < block.len() {
            true => Position { block: position.block, item: position.item + 1 },
            false => Position { block: position.block + 1, item: 0 },
        };
        Some((object, next))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.blocks.iter().flat_map(|block| block.iter())
    }

    /// Up to `max` objects from all over the set.
    pub fn sample(&self, max: usize) -> impl Iterator<Item = &Arc<Object>> {
        let blocks = self.blocks.len();
        let per_block = max.checked_div(blocks).unwrap_or(0).max(1);
        let step = blocks.div_ceil(max.max(1)).max(1);
        self.blocks
            .iter()
            .step_by(step)
            .flat_map(move |block| block.iter().step_by(block.len().div_ceil(per_block).max(1)).take(per_block))
    }

    /// The block where `key` is or belongs: the last one that does not begin behind it.
    fn block_of(&self, key: &str) -> usize {
        let behind = self.blocks.partition_point(|block| block.first().is_some_and(|first| first.key() <= key));
        behind.saturating_sub(1)
    }

    fn normal(&self, position: Position) -> Position {
        match self.blocks.get(position.block) {
            Some(block) if position.item >= block.len() => Position { block: position.block + 1, item: 0 },
            _ => position,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::value;

    fn object(key: &str, revision: u64) -> Arc<Object> {
        Arc::new(Object::decode(key, &value::pack(b"{}", 1), revision, revision, &[]).unwrap())
    }

    fn versions(set: &Ordered) -> Vec<(String, u64)> {
        set.iter().map(|o| (o.key().to_owned(), o.revision())).collect()
    }

    proptest! {
        /// Against a BTreeMap; a clone taken in the middle does not change.
        #[test]
        fn behaves_like_a_map(ops in proptest::collection::vec((any::<bool>(), 0u32..700), 0..2500), cut in 0usize..2500) {
            let mut set = Ordered::default();
            let mut model = BTreeMap::new();
            let mut kept = None;
            for (revision, (put, key)) in ops.into_iter().enumerate() {
                if revision == cut {
                    kept = Some((set.clone(), versions(&set)));
                }
                let (key, revision) = (format!("ns/{key:04}"), revision as u64);
                let before = match put {
                    true => (set.insert(object(&key, revision)), model.insert(key, revision)),
                    false => (set.remove(&key), model.remove(&key)),
                };
                prop_assert_eq!(before.0.map(|o| o.revision()), before.1);
                prop_assert_eq!(set.len(), model.len());
            }
            prop_assert!(set.blocks.iter().all(|b| !b.is_empty() && b.len() <= BLOCK_LEN_MAX));
            prop_assert_eq!(versions(&set), model.clone().into_iter().collect::<Vec<_>>());
            if let Some((set, expected)) = kept {
                prop_assert_eq!(versions(&set), expected);
            }
            for probe in ["", "ns/", "ns/0000", "ns/0350", "ns/0350\0", "ns/0699", "ns0"] {
                let position = set.lower_bound(probe);
                let expected: Vec<_> = model.range(probe.to_owned()..).collect();
                prop_assert_eq!(set.count(position, set.end()), expected.len());
                prop_assert_eq!(set.at(position).map(|(o, _)| o.key()), expected.first().map(|(k, _)| k.as_str()));
                prop_assert_eq!(set.get(probe).map(|o| o.revision()), model.get(probe).copied());
            }
        }

        #[test]
        fn a_bulk_load_gives_what_was_loaded(len in 0usize..600) {
            let objects: Vec<_> = (0..len).map(|i| object(&format!("{i:05}"), i as u64)).collect();
            let set = Ordered::from_sorted(objects);
            prop_assert_eq!(set.len(), len);
            let mut position = set.start();
            for i in 0..len {
                prop_assert_eq!(set.count(set.start(), position), i);
                let (object, next) = set.at(position).unwrap();
                prop_assert_eq!(object.revision(), i as u64);
                position = next;
            }
            prop_assert_eq!(position, set.end());
        }
    }
}
