//! An engine in memory, for tests: the same contract as RocksDB, a few dozen lines to trust.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;

use super::batch::MemoryOp;
use super::{Batch, Cursor, Engine, Error, Read, Result};

/// The one file of a checkpoint.
const ROWS: &str = "ROWS";

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// An ordered map behind a lock. Views share the map and copy it on the next write.
#[derive(Default)]
pub struct MemoryEngine {
    map: RwLock<Arc<Map>>,
}

impl MemoryEngine {
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads what [`Engine::checkpoint`] wrote.
    pub(super) fn read_checkpoint(directory: &Path) -> Result<Self> {
        let file = std::fs::read(directory.join(ROWS)).map_err(Error::io("read", directory))?;
        let mut rest = file.as_slice();
        let mut next = || {
            let (length, tail) = rest.split_first_chunk::<8>()?;
            let (bytes, tail) = tail.split_at_checked(u64::from_le_bytes(*length) as usize)?;
            rest = tail;
            Some(bytes.to_vec())
        };
        let mut map = Map::new();
        while let (Some(key), Some(value)) = (next(), next()) {
            map.insert(key, value);
        }
        Ok(Self { map: RwLock::new(Arc::new(map)) })
    }
}

struct View(Arc<Map>);

struct MemoryCursor {
    map: Arc<Map>,
    at: Option<(Vec<u8>, Vec<u8>)>,
    end: Vec<u8>,
}

impl MemoryCursor {
    fn new(map: Arc<Map>, start: &[u8], end: &[u8]) -> Self {
        let mut cursor = Self { map, at: None, end: end.to_vec() };
        cursor.seek(Bound::Included(start));
        cursor
    }

    fn seek(&mut self, from: Bound<&[u8]>) {
        let below = |key: &[u8], end: &[u8]| key < end;
        let next = self.map.range::<[u8], _>((from, Bound::Unbounded)).next();
        self.at = next.filter(|(k, _)| below(k, &self.end)).map(|(k, v)| (k.clone(), v.clone()));
    }
}

impl Cursor for MemoryCursor {
    fn current(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        Ok(self.at.as_ref().map(|(k, v)| (k.as_slice(), v.as_slice())))
    }

    fn advance(&mut self) -> Result<()> {
        if let Some((key, _)) = self.at.take() {
            self.seek(Bound::Excluded(&key));
        }
        Ok(())
    }
}

impl Read for View {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(key).cloned())
    }

    fn cursor<'a>(&'a self, start: &[u8], end: &[u8]) -> Result<Box<dyn Cursor + 'a>> {
        Ok(Box::new(MemoryCursor::new(self.0.clone(), start, end)))
    }
}

impl Read for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.map.read().get(key).cloned())
    }

    fn cursor<'a>(&'a self, start: &[u8], end: &[u8]) -> Result<Box<dyn Cursor + 'a>> {
        Ok(Box::new(MemoryCursor::new(self.map.read().clone(), start, end)))
    }
}

impl Engine for MemoryEngine {
    fn batch(&self) -> Batch {
        Batch::Memory(Vec::new())
    }

    fn write(&self, batch: Batch) -> Result<()> {
        let Batch::Memory(ops) = batch else { return Err(Batch::wrong_engine()) };
        let mut guard = self.map.write();
        let map = Arc::make_mut(&mut guard);
        for op in ops {
            match op {
                MemoryOp::Put(key, value) => {
                    map.insert(key, value);
                }
                MemoryOp::Delete(key) => {
                    map.remove(&key);
                }
                MemoryOp::DeleteRange(start, end) => {
                    let doomed: Vec<_> = map.range(start..end).map(|(k, _)| k.clone()).collect();
                    for key in doomed {
                        map.remove(&key);
                    }
                }
            }
        }
        Ok(())
    }

    fn view(&self) -> Box<dyn Read + '_> {
        Box::new(View(self.map.read().clone()))
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn checkpoint(&self, directory: &Path) -> Result<()> {
        let mut file = Vec::new();
        for (key, value) in self.map.read().iter() {
            for bytes in [key, value] {
                file.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                file.extend_from_slice(bytes);
            }
        }
        std::fs::create_dir(directory).map_err(Error::io("create", directory))?;
        std::fs::write(directory.join(ROWS), file).map_err(Error::io("write", directory))
    }

    fn size_bytes(&self) -> u64 {
        self.map.read().iter().map(|(k, v)| (k.len() + v.len()) as u64).sum()
    }
}
