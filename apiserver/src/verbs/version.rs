//! `resourceVersion` of reads: how fresh the cache must be before it may answer.

use std::time::Duration;

use kuorum_cache::SnapshotError;
use tokio::time::Instant;

use crate::app::Call;
use crate::status::ApiError;
use crate::verbs::store;

/// How long a request for a version that has not been seen waits for it, as in the real server.
const FUTURE_WAIT: Duration = Duration::from_secs(3);

/// Waits until the cache is at `revision` at least; 504 when it does not come.
pub async fn not_older_than(call: &Call<'_>, revision: u64) -> Result<(), ApiError> {
    let store = &call.app.store;
    if store.revision() >= revision {
        return Ok(());
    }
    // Another front-end may have acknowledged it a moment ago: a fence brings it, if it exists.
    store::fence(call.app, call.deadline).await?;
    let patience = call.deadline.min(Instant::now() + FUTURE_WAIT);
    if store.wait_for_revision(revision, patience).await {
        return Ok(());
    }
    Err(ApiError::version_too_large(revision, store.revision()))
}

/// What a client is told when a revision cannot be read.
pub fn snapshot_error(error: SnapshotError) -> ApiError {
    match error {
        SnapshotError::Compacted { .. } => ApiError::expired("The resourceVersion for the provided list is too old."),
        SnapshotError::Future { wanted, current } => ApiError::version_too_large(wanted, current),
        SnapshotError::Store(error) => store::store_error(error),
    }
}
