//! The memory of the load: for each object, what the server has acknowledged and what may have happened besides.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

/// What is known of one object. Each has one writer, so its operations have an order.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Acknowledged: the value and the revision of the last put, or a deletion.
    acknowledged: Option<Fact>,
    /// Sent later than `acknowledged`, without an answer: each may be in force.
    possible: Vec<Option<u64>>,
    /// Every revision that was acknowledged as a put of this object, with its value.
    puts: Vec<(u64, u64)>,
    deleted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Put { value: u64, revision: u64 },
    Deleted,
}

/// All objects.
#[derive(Default)]
pub struct Ledger {
    objects: Mutex<BTreeMap<String, Known>>,
    /// The greatest revision that any client was given.
    newest: AtomicU64,
    acknowledged: AtomicU64,
    unknown: AtomicU64,
    refused: AtomicU64,
    /// The first broken promise that a writer has found.
    broken: Mutex<Option<String>>,
}

impl Ledger {
    /// Writes that the server has acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Writes whose outcome no answer has told.
    pub fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::SeqCst)
    }

    /// Writes that the server has refused to try: 429 and 503.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// The first broken promise, if there is one.
    pub fn broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest.load(Ordering::SeqCst)
    }

    pub(super) fn report(&self, what: String) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }

    /// A put was acknowledged at `revision`; `newest_before` was known when it was sent.
    pub(super) fn put(&self, name: &str, value: u64, revision: u64, newest_before: u64) {
        if revision <= newest_before {
            self.report(format!("{name} was written at {revision}, after {newest_before} had been acknowledged"));
        }
        self.newest.fetch_max(revision, Ordering::SeqCst);
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        let mut objects = self.objects();
        let known = objects.entry(name.to_owned()).or_default();
        known.acknowledged = Some(Fact::Put { value, revision });
        known.possible.clear();
        known.puts.push((revision, value));
    }

    pub(super) fn deleted(&self, name: &str) {
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        let mut objects = self.objects();
        let known = objects.entry(name.to_owned()).or_default();
        known.acknowledged = Some(Fact::Deleted);
        known.possible.clear();
        known.deleted = true;
    }

    /// A put of `value`, or a deletion, was sent and its answer was lost.
    pub(super) fn possible(&self, name: &str, value: Option<u64>) {
        self.unknown.fetch_add(1, Ordering::SeqCst);
        self.objects().entry(name.to_owned()).or_default().possible.push(value);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::SeqCst);
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each object's acknowledged puts and end must look like in a watch.
    pub(super) fn expected_events(&self) -> BTreeMap<String, (Vec<(u64, u64)>, bool)> {
        self.objects().iter().map(|(name, known)| (name.clone(), (known.puts.clone(), known.deleted))).collect()
    }

    /// Compares what a front-end lists with what was acknowledged.
    pub(super) async fn check_contents(&self, api: &Api<ConfigMap>) -> Result<()> {
        if let Some(broken) = self.broken() {
            bail!("{broken}");
        }
        let list = api.list(&ListParams::default()).await.context("list")?;
        let revision: u64 = list.metadata.resource_version.as_deref().unwrap_or_default().parse()?;
        ensure!(revision >= self.newest(), "the list is of {revision}, {} was acknowledged", self.newest());
        let mut present = BTreeMap::new();
        for object in list.items.iter().filter(|object| !is_published(&object.name_any())) {
            present.insert(object.name_any(), (value_of(object)?, revision_of(object)?));
        }
        let objects = self.objects();
        let mut lost = Vec::new();
        for (name, known) in objects.iter() {
            let found = present.get(name);
            let as_acknowledged = match (known.acknowledged, found) {
                (Some(Fact::Put { value, revision }), Some(found)) => *found == (value, revision),
                (Some(Fact::Deleted) | None, None) => true,
                _ => false,
            };
            let as_possible = known.possible.iter().any(|possible| *possible == found.map(|(value, _)| *value));
            if !as_acknowledged && !as_possible {
                lost.push(format!("{name}: want {:?} (or {:?}), found {found:?}", known.acknowledged, known.possible));
            }
        }
        ensure!(
            lost.is_empty(),
            "{} objects are not as acknowledged: {}",
            lost.len(),
            lost[..lost.len().min(5)].join("; ")
        );
        let strangers: Vec<&String> = present.keys().filter(|name| !objects.contains_key(*name)).collect();
        ensure!(strangers.is_empty(), "nobody wrote {strangers:?}");
        Ok(())
    }
}

/// The number that a writer has put into the object.
pub(super) fn value_of(object: &ConfigMap) -> Result<u64> {
    let text = object.data.as_ref().and_then(|data| data.get("value")).with_context(|| object.name_any())?;
    Ok(text.parse()?)
}

/// Its revision.
pub(super) fn revision_of(object: &ConfigMap) -> Result<u64> {
    Ok(object.resource_version().context("resourceVersion")?.parse()?)
}

/// Every namespace gets this one from a controller.
pub(super) fn is_published(name: &str) -> bool {
    name == "kube-root-ca.crt"
}
