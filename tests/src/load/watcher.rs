//! One watcher: follows all objects through one front-end, resumes where it was when the stream ends, and checks that
//! the events are in order, none comes twice, and none is missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, WatchEvent, WatchParams};
use tokio::sync::watch;

use super::ledger::{Ledger, is_published, revision_of, value_of};
use crate::wait::PATIENCE;

/// A stream that says nothing for this long is opened again: its server may have gone without a word.
const SILENCE: Duration = Duration::from_secs(5);
const BACK_OFF: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Seen {
    /// Revision and value of each put.
    puts: Vec<(u64, u64)>,
    deleted: bool,
}

pub(super) async fn run(
    index: usize,
    api: Api<ConfigMap>,
    from: String,
    ledger: Arc<Ledger>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let mut last: u64 = from.parse()?;
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let mut stopped_at = None;
    loop {
        if *stop.borrow() {
            // Acknowledged writes may still be on their way to this watcher.
            let missing = missing(&ledger, &seen);
            if missing.is_empty() {
                return Ok(());
            }
            let since = *stopped_at.get_or_insert_with(Instant::now);
            ensure!(
                since.elapsed() < PATIENCE,
                "watcher {index} has not seen {} acknowledged writes, at {last}: {:?}",
                missing.len(),
                &missing[..missing.len().min(5)]
            );
        }
        let parameters = WatchParams::default().timeout(60);
        let Ok(Ok(stream)) = tokio::time::timeout(SILENCE, api.watch(&parameters, &last.to_string())).await else {
            tokio::time::sleep(BACK_OFF).await;
            continue;
        };
        let mut stream = std::pin::pin!(stream);
        // An error or an end is the server going away: open the next one at the same place.
        while let Ok(Ok(Some(event))) = tokio::time::timeout(SILENCE, stream.try_next()).await {
            let object = match &event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => object,
                WatchEvent::Bookmark(bookmark) => {
                    let revision: u64 = bookmark.metadata.resource_version.parse()?;
                    ensure!(revision >= last, "watcher {index}: a bookmark of {revision} after {last}");
                    last = revision;
                    continue;
                }
                // The store keeps minutes of history, and no outage here is that long.
                WatchEvent::Error(status) if status.code == 410 => {
                    bail!("watcher {index}: {} at {last}", status.message)
                }
                WatchEvent::Error(_) => break,
            };
            let revision = revision_of(object)?;
            let name = object.name_any();
            ensure!(revision > last, "watcher {index}: {name} at {revision} came after {last}");
            last = revision;
            if is_published(&name) {
                continue;
            }
            let entry = seen.entry(name.clone()).or_default();
            match event {
                WatchEvent::Added(_) => {
                    ensure!(entry.puts.is_empty(), "watcher {index}: {name} was added twice");
                    entry.puts.push((revision, value_of(object)?));
                }
                WatchEvent::Modified(_) => {
                    ensure!(!entry.puts.is_empty() && !entry.deleted, "watcher {index}: {name} was never added");
                    entry.puts.push((revision, value_of(object)?));
                }
                _ => {
                    ensure!(!entry.deleted, "watcher {index}: {name} was deleted twice");
                    entry.deleted = true;
                }
            }
            if *stop.borrow() && missing(&ledger, &seen).is_empty() {
                return Ok(());
            }
        }
    }
}

/// Acknowledged writes without their event.
fn missing(ledger: &Ledger, seen: &BTreeMap<String, Seen>) -> Vec<String> {
    let nothing = Seen::default();
    let mut missing = Vec::new();
    for (name, (puts, deleted)) in ledger.expected_events() {
        let seen = seen.get(&name).unwrap_or(&nothing);
        for put in puts {
            if seen.puts.binary_search(&put).is_err() {
                missing.push(format!("{name} at {}", put.0));
            }
        }
        if deleted && !seen.deleted {
            missing.push(format!("{name} deleted"));
        }
    }
    missing
}
