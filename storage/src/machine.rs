//! The replicated state machine: decide with `mvcc`, write with `engine`, then publish to `watch`, in this order.
//! [`Machine`] belongs to the apply worker; [`Store`] is what everybody else reads.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use kuorum_proto::v1;
use kuorum_raft::ports::{self, LogEntry, Payload, SnapshotBuild, StateMachine};
use prost::Message;
use tokio::sync::watch;

use crate::engine::{self, ClosedEngine, Engine, Home, Read, decode_applied, encode_applied};
use crate::mvcc::{
    self, Alarm, Applied, Applier, Bounds, HistoryReader, KeyCache, RangeReader, RevisionEvents, State, key,
};
use crate::watch::{Hub, Progress};

/// The replicated counters as of the last applied entry, for status and for the leader's decisions.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    pub live_keys: u64,
    /// Live objects and history, in bytes: what the quota is compared with.
    pub used_bytes: u64,
    pub time_ms: u64,
    pub alarms: BTreeSet<Alarm>,
}

/// How long [`Store::close`] waits for readers. A range to a client that does not read could take for ever.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
const CLOSE_POLL: Duration = Duration::from_millis(2);

/// The readable side of one member's state. Reads never wait for apply.
pub struct Store {
    engine: ArcSwap<Box<dyn Engine>>,
    hub: Hub,
    counters: ArcSwapOption<Counters>,
    alarms: watch::Sender<BTreeSet<Alarm>>,
}

impl Store {
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    pub fn counters(&self) -> Arc<Counters> {
        self.counters.load_full().unwrap_or_default()
    }

    /// The alarms, and their changes.
    pub fn alarms(&self) -> watch::Receiver<BTreeSet<Alarm>> {
        self.alarms.subscribe()
    }

    fn set_counters(&self, counters: Counters) {
        self.alarms.send_if_modified(|alarms| {
            let changed = *alarms != counters.alarms;
            if changed {
                alarms.clone_from(&counters.alarms);
            }
            changed
        });
        self.counters.store(Some(Arc::new(counters)));
    }

    pub fn size_bytes(&self) -> u64 {
        self.engine.load().size_bytes()
    }

    /// Makes everything applied so far durable, and refuses every later call. Blocks until readers that are at work
    /// have let go of the database, or for [`CLOSE_WAIT`].
    ///
    /// # Errors
    /// Storage failures.
    pub fn close(&self) -> engine::Result<()> {
        let engine = self.engine.swap(Arc::new(Box::new(ClosedEngine)));
        let flushed = engine.flush();
        let began = Instant::now();
        while Arc::strong_count(&engine) > 1 && began.elapsed() < CLOSE_WAIT {
            std::thread::sleep(CLOSE_POLL);
        }
        flushed
    }

    /// Writes a durable copy of the state into `directory`, which must not exist.
    pub fn checkpoint(&self, directory: &Path) -> engine::Result<()> {
        self.engine.load_full().checkpoint(directory)
    }

    /// Calls `visit` with each key of a range at a revision (0: the newest), in order, until it returns false.
    /// Returns the revision that was read.
    ///
    /// # Errors
    /// A revision that is compacted or in the future.
    pub fn range(
        &self,
        bounds: &Bounds,
        revision: u64,
        mut visit: impl FnMut(u64, v1::KeyValue) -> bool,
    ) -> mvcc::Result<u64> {
        let engine = self.engine.load_full();
        let view = engine.view();
        let (newest, compacted) = revisions(view.as_ref())?;
        let revision = if revision == 0 { newest } else { revision };
        let mut range = RangeReader::new(view.as_ref(), bounds, revision, newest, compacted)?;
        while let Some(kv) = range.next_key()? {
            if !visit(revision, kv) {
                break;
            }
        }
        Ok(revision)
    }

    /// Events in `(after, up_to]` under a prefix, whole revisions, about `bytes_max` at most; and the revision up to
    /// which that is all.
    ///
    /// # Errors
    /// [`mvcc::Error::Compacted`] when events behind `after` are gone.
    pub fn history(
        &self,
        prefix: &[u8],
        after: u64,
        up_to: u64,
        with_previous: bool,
        bytes_max: usize,
    ) -> mvcc::Result<(Vec<RevisionEvents>, u64)> {
        let engine = self.engine.load_full();
        let view = engine.view();
        let (newest, compacted) = revisions(view.as_ref())?;
        let end = up_to.min(newest);
        let mut reader = HistoryReader::new(view.as_ref(), prefix, (after, end), newest, compacted, with_previous)?;
        let mut found = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some(revision) = reader.next_revision()? else { return Ok((found, end.max(after))) };
            bytes += revision.events.iter().map(|e| e.key.len() + e.value.len() + e.prev_value.len()).sum::<usize>();
            found.push(revision);
        }
        let reached = found.last().map_or(end, |r| r.revision);
        Ok((found, reached))
    }

    /// A hash of the state at a revision (0: the newest), that revision, and the compact revision.
    ///
    /// # Errors
    /// A revision that is compacted or in the future.
    pub fn hash(&self, revision: u64) -> mvcc::Result<(u64, u64, u64)> {
        let engine = self.engine.load_full();
        let view = engine.view();
        let (newest, compacted) = revisions(view.as_ref())?;
        let revision = if revision == 0 { newest } else { revision };
        Ok((mvcc::hash_at(view.as_ref(), revision, newest, compacted)?, revision, compacted))
    }

    /// Keys whose time to live has run out at `now_ms`, oldest first, `limit` at most, with their mod revisions.
    ///
    /// # Errors
    /// Storage failures.
    pub fn due(&self, now_ms: u64, limit: usize) -> engine::Result<Vec<v1::command::ExpiredKey>> {
        let engine = self.engine.load_full();
        let view = engine.view();
        let (start, end) = key::expiry_due(now_ms);
        let mut cursor = view.cursor(&start, &end)?;
        let mut due = Vec::new();
        while let Some((row_key, _)) = cursor.current()? {
            if due.len() >= limit {
                break;
            }
            let (_, user_key) = key::expiry_parts(row_key).ok_or_else(|| engine::Error::bad_row("expiry", row_key))?;
            if let Some(meta) = view.get(&key::current(user_key))?.as_deref().and_then(mvcc::row::Meta::decode) {
                due.push(v1::command::ExpiredKey { key: user_key.to_vec().into(), mod_revision: meta.mod_revision });
            }
            cursor.advance()?;
        }
        Ok(due)
    }

    /// Clients that have not been heard of for long, at the store's own time.
    ///
    /// # Errors
    /// Storage failures.
    pub fn idle_clients(&self) -> engine::Result<Vec<bytes::Bytes>> {
        mvcc::idle_clients(self.engine.load_full().view().as_ref(), self.counters().time_ms)
    }

    /// Removes what compaction made unreadable, one bounded step; returns whether there is more.
    ///
    /// # Errors
    /// Storage failures.
    pub fn clean(&self) -> engine::Result<bool> {
        let engine = self.engine.load_full();
        mvcc::clean(engine.as_ref().as_ref(), self.hub.now().compact_revision)
    }
}

/// Newest and compact revision of a view.
fn revisions(view: &dyn Read) -> engine::Result<(u64, u64)> {
    let state = State::load_counters(view)?;
    Ok((state.revision, state.compact_revision))
}

/// Applies commands; one per member.
pub struct Machine {
    home: Home,
    engine: Arc<Box<dyn Engine>>,
    state: State,
    cache: KeyCache,
    applied: ports::Applied,
    store: Arc<Store>,
}

impl Machine {
    /// Opens what the home holds, or an empty store.
    ///
    /// # Errors
    /// Damaged or unreadable state.
    pub fn open(home: Home) -> engine::Result<(Self, Arc<Store>)> {
        let engine = Arc::new(home.open()?);
        let (state, applied) = load(engine.as_ref().as_ref())?;
        let progress = progress(&state, &applied);
        let store = Arc::new(Store {
            engine: ArcSwap::new(engine.clone()),
            hub: Hub::new(progress),
            counters: ArcSwapOption::default(),
            alarms: watch::Sender::default(),
        });
        store.set_counters(counters(&state));
        let machine = Self { home, engine, state, cache: KeyCache::default(), applied, store: store.clone() };
        Ok((machine, store))
    }

    fn apply_entries(&mut self, entries: &[LogEntry]) -> engine::Result<Vec<Applied>> {
        let mut responses = Vec::with_capacity(entries.len());
        let mut applier = Applier::new(self.engine.as_ref().as_ref(), &mut self.state, &mut self.cache);
        for entry in entries {
            match &entry.payload {
                Payload::Blank => {}
                Payload::Command(bytes) => responses.push(match v1::Command::decode(bytes.clone()) {
                    Ok(command) => applier.apply(command)?,
                    Err(_) => Applied::Malformed,
                }),
                Payload::Membership(membership) => {
                    let membership = membership.clone();
                    self.applied.membership = ports::StoredMembership { log_id: Some(entry.id), membership };
                }
            }
            self.applied.log_id = Some(entry.id);
        }
        let (batch, events) = applier.finish(&encode_applied(&self.applied));
        self.engine.write(batch)?;
        self.store.set_counters(counters(&self.state));
        self.store.hub.publish(events, progress(&self.state, &self.applied));
        Ok(responses)
    }

    fn install_files(&mut self, directory: &Path) -> engine::Result<()> {
        let engine = Arc::new(self.home.install(&directory.join(STATE_FILES))?);
        let (state, applied) = load(engine.as_ref().as_ref())?;
        self.cache.clear();
        self.store.engine.store(engine.clone());
        self.store.set_counters(counters(&state));
        self.store.hub.reset(progress(&state, &applied));
        (self.engine, self.state, self.applied) = (engine, state, applied);
        Ok(())
    }
}

/// The engine's files inside a snapshot's directory.
pub(crate) const STATE_FILES: &str = "state";

fn load(engine: &dyn Engine) -> engine::Result<(State, ports::Applied)> {
    let state = State::load(engine)?;
    let applied = match engine.get(key::CONSENSUS)? {
        Some(row) => decode_applied(&row).ok_or_else(|| engine::Error::bad_row("consensus", key::CONSENSUS))?,
        None => ports::Applied::default(),
    };
    Ok((state, applied))
}

fn progress(state: &State, applied: &ports::Applied) -> Progress {
    Progress {
        applied_index: applied.log_id.map_or(0, |id| id.index),
        revision: state.revision,
        compact_revision: state.compact_revision,
    }
}

fn counters(state: &State) -> Counters {
    Counters {
        live_keys: state.live_keys,
        used_bytes: state.used_bytes(),
        time_ms: state.time_ms,
        alarms: state.alarms.clone(),
    }
}

impl StateMachine for Machine {
    type Response = Applied;

    fn applied(&mut self) -> io::Result<ports::Applied> {
        Ok(self.applied.clone())
    }

    fn apply(&mut self, entries: &[LogEntry]) -> io::Result<Vec<Applied>> {
        metrics::histogram!("kuorum_apply_entries").record(entries.len() as f64);
        self.apply_entries(entries).map_err(io::Error::other)
    }

    fn snapshot(&mut self, directory: &Path) -> io::Result<Box<dyn SnapshotBuild>> {
        // A flush of one small memtable and hard links: milliseconds, and the copy is exactly what is applied now.
        self.engine.checkpoint(&directory.join(STATE_FILES)).map_err(io::Error::other)?;
        Ok(Box::new(()))
    }

    fn install(&mut self, directory: &Path) -> io::Result<()> {
        self.install_files(directory).map_err(io::Error::other)
    }
}
