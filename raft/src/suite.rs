//! The consensus library's own storage tests, for any [`LogDisk`] and [`StateMachine`].

use std::path::PathBuf;

use openraft::{
    StorageError,
    errors::ErrorSource,
    impls::BoxedErrorSource,
    testing::log::{StoreBuilder, Suite},
};
use tokio::sync::watch;

use crate::{
    log_store::LogStore,
    machine::Machine,
    ports::{LogDisk, StateMachine},
    snapshot::SnapshotStore,
    types::TypeConfig,
};

/// Bytes of the in-memory tail in these tests: so few that reads go to the disk too.
const TAIL_BYTES: usize = 300;

/// What one test runs on; all of it empty.
pub struct Fixture<G, D, M> {
    /// Dropped when the test is over: removes directories, say.
    pub guard: G,
    /// The log.
    pub disk: D,
    /// The state machine.
    pub machine: M,
    /// An empty directory for snapshots.
    pub snapshot_dir: PathBuf,
}

struct Builder<F>(F);

impl<G, D, M, F> StoreBuilder<TypeConfig<M::Response>, LogStore, Machine<M>, G> for Builder<F>
where
    G: Send + Sync,
    D: LogDisk,
    M: StateMachine,
    F: Fn() -> Fixture<G, D, M> + Send + Sync,
{
    async fn build(&self) -> Result<(G, LogStore, Machine<M>), StorageError<TypeConfig<M::Response>>> {
        let Fixture { guard, disk, machine, snapshot_dir } = (self.0)();
        let failed = |e: std::io::Error| StorageError::read_logs(BoxedErrorSource::from_error(&e));
        let snapshots = SnapshotStore::open(&snapshot_dir).map_err(failed)?;
        let (store, _) = LogStore::open(disk, TAIL_BYTES, watch::Sender::new(None)).await.map_err(failed)?;
        let machine = Machine::new(machine, snapshots.into(), watch::Sender::new(0));
        Ok((guard, store, machine))
    }
}

/// Runs every test of the suite, each on what `make` returns.
///
/// # Errors
/// Storage failures, as text. Wrong answers panic.
pub async fn run<G, D, M>(make: impl Fn() -> Fixture<G, D, M> + Send + Sync) -> Result<(), String>
where
    G: Send + Sync,
    D: LogDisk,
    M: StateMachine,
{
    Suite::test_all(Builder(make)).await.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{MemoryLog, MemoryMachine};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn memory_passes() {
        let make = || {
            let guard = tempfile::tempdir().unwrap();
            let snapshot_dir = guard.path().to_owned();
            Fixture { guard, disk: MemoryLog::default(), machine: MemoryMachine::default(), snapshot_dir }
        };
        run(make).await.unwrap();
    }
}
