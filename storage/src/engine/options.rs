//! How RocksDB is tuned. A member is small: 16,000 objects should cost it some 20 MB, so every buffer has a size
//! here with its reason, and both databases share one block cache.

use std::sync::OnceLock;

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options};

use super::Error;

/// Blocks, index and filter blocks of both databases. Current objects that are hot live in the front-ends'
/// memory; a member reads blocks for old revisions, history and front-ends that start.
pub const BLOCK_CACHE_BYTES: usize = 8 << 20;
/// A state machine memtable. What it holds is replayed from the raft log after a crash, so it also bounds restart.
const STATE_WRITE_BUFFER_BYTES: usize = 4 << 20;
/// A raft log memtable: log rows are short-lived, most die with a purge before a second flush.
const LOG_WRITE_BUFFER_BYTES: usize = 4 << 20;
/// Memtables per database: one that takes writes and one that is flushed.
const WRITE_BUFFERS: i32 = 2;
/// Files held open per database. Table readers beyond it are opened again when needed.
const OPEN_FILES_MAX: i32 = 64;
/// Flushes and compactions at one time, per process: members are usually one of several processes on a machine.
const BACKGROUND_JOBS: i32 = 2;
/// RocksDB's own text log: kept short, it only gets warnings.
const INFO_LOG_BYTES: usize = 1 << 20;
/// Bits per key of the bloom filters: 1 % false positives, so a compare with "absent" rarely touches a block.
const BLOOM_BITS_PER_KEY: f64 = 10.0;

fn common(cache: &Cache) -> (Options, BlockBasedOptions) {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_write_buffer_number(WRITE_BUFFERS);
    options.set_arena_block_size(256 << 10);
    options.set_allow_concurrent_memtable_write(false); // one writer per database
    options.set_paranoid_checks(true);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(INFO_LOG_BYTES);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options.set_max_file_opening_threads(1);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_compression_type(DBCompressionType::Lz4);

    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(16 << 10);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);
    (options, table)
}

/// The state machine: no WAL, read by key and by range.
pub(super) fn state(cache: &Cache) -> Options {
    let (mut options, mut table) = common(cache);
    options.set_write_buffer_size(STATE_WRITE_BUFFER_BYTES);
    options.set_memtable_prefix_bloom_ratio(0.05);
    options.set_memtable_whole_key_filtering(true);
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    options.set_block_based_table_factory(&table);
    options
}

/// The raft log: a synced WAL, appended and purged in order.
pub(super) fn raft_log(cache: &Cache) -> Options {
    let (mut options, table) = common(cache);
    options.set_write_buffer_size(LOG_WRITE_BUFFER_BYTES);
    options.set_max_total_wal_size(4 * LOG_WRITE_BUFFER_BYTES as u64);
    // An unfinished record at the very end was never acknowledged: its fsync did not return. Anything else that
    // does not check is an error. That no acknowledged entry is missing is proved by the watermark, see `raft_log`.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_block_based_table_factory(&table);
    options
}

/// The process's one block cache: a bound that does not grow with the number of databases.
pub(super) fn cache() -> &'static Cache {
    static CACHE: OnceLock<Cache> = OnceLock::new();
    CACHE.get_or_init(|| Cache::new_lru_cache(BLOCK_CACHE_BYTES))
}

/// Names the operation that failed.
pub(super) fn failed(operation: &'static str) -> impl FnOnce(rocksdb::Error) -> Error {
    move |e| match e.kind() {
        rocksdb::ErrorKind::Corruption => Error::Corrupt(format!("{operation}: {}", e.into_string())),
        _ => Error::Database { operation, message: e.into_string() },
    }
}
