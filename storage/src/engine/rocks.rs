//! The state machine's RocksDB: one column family, no WAL, so that what survives a crash is a prefix of the batches.

use std::path::{Path, PathBuf};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions, SnapshotWithThreadMode, WriteOptions};

use super::options::{self, failed};
use super::{Batch, Cursor, Engine, Read, Result};

/// A directory with one RocksDB database.
pub struct RocksEngine {
    db: DB,
    directory: PathBuf,
    unsynced: WriteOptions,
}

impl RocksEngine {
    /// Opens the database, or makes it when the directory does not exist.
    pub fn open(directory: &Path) -> Result<Self> {
        let options = options::state(options::cache());
        let db = DB::open(&options, directory).map_err(failed("open state machine"))?;
        let mut unsynced = WriteOptions::default();
        unsynced.disable_wal(true);
        Ok(Self { db, directory: directory.to_path_buf(), unsynced })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

struct View<'a>(SnapshotWithThreadMode<'a, DB>);

struct RocksCursor<'a>(DBRawIteratorWithThreadMode<'a, DB>);

fn bounded(start: &[u8], end: &[u8]) -> ReadOptions {
    let mut read = ReadOptions::default();
    read.set_iterate_lower_bound(start);
    read.set_iterate_upper_bound(end);
    read
}

impl Cursor for RocksCursor<'_> {
    fn current(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if !self.0.valid() {
            self.0.status().map_err(failed("iterate"))?;
        }
        Ok(self.0.item())
    }

    fn advance(&mut self) -> Result<()> {
        if self.0.valid() {
            self.0.next();
        }
        Ok(())
    }
}

impl Read for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.get(key).map_err(failed("read"))
    }

    fn cursor<'a>(&'a self, start: &[u8], end: &[u8]) -> Result<Box<dyn Cursor + 'a>> {
        let mut iterator = self.0.raw_iterator_opt(bounded(start, end));
        iterator.seek(start);
        Ok(Box::new(RocksCursor(iterator)))
    }
}

impl Read for RocksEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get(key).map_err(failed("read"))
    }

    fn cursor<'a>(&'a self, start: &[u8], end: &[u8]) -> Result<Box<dyn Cursor + 'a>> {
        let mut iterator = self.db.raw_iterator_opt(bounded(start, end));
        iterator.seek(start);
        Ok(Box::new(RocksCursor(iterator)))
    }
}

impl Engine for RocksEngine {
    fn batch(&self) -> Batch {
        Batch::Rocks(rocksdb::WriteBatch::default())
    }

    fn write(&self, batch: Batch) -> Result<()> {
        self.db.write_opt(batch.into_rocks()?, &self.unsynced).map_err(failed("write state machine"))
    }

    fn view(&self) -> Box<dyn Read + '_> {
        Box::new(View(self.db.snapshot()))
    }

    fn flush(&self) -> Result<()> {
        self.db.flush().map_err(failed("flush state machine"))
    }

    fn checkpoint(&self, directory: &Path) -> Result<()> {
        let checkpoint = Checkpoint::new(&self.db).map_err(failed("checkpoint"))?;
        // Without a WAL a checkpoint has only what is in files: flush first, whatever the log size.
        self.flush()?;
        checkpoint.create_checkpoint(directory).map_err(failed("checkpoint"))
    }

    fn size_bytes(&self) -> u64 {
        let property = |name: &str| self.db.property_int_value(name).ok().flatten().unwrap_or(0);
        property("rocksdb.total-sst-files-size") + property("rocksdb.cur-size-all-mem-tables")
    }
}
