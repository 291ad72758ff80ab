//! Begins watches: from the present state, from the ring, or from the store's history where the ring is too short.

use std::collections::VecDeque;
use std::sync::Arc;

use kuorum_proto::v1;
use tokio::time::Instant;

use crate::error::StoreError;
use crate::resource::Resource;
use crate::snapshot::{Snapshot, SnapshotError};
use crate::watch::{Event, Filter, Scope, WatchError, WatchStart, Watcher, watch_selection};

impl Resource {
    /// Begins a watch of the objects in `scope` for which `filter` holds.
    pub async fn watch(
        &self,
        start: WatchStart,
        scope: Scope,
        filter: Option<Filter>,
        deadline: Instant,
    ) -> Result<Watcher, WatchError> {
        let namespaced = self.spec().namespaced;
        if start == WatchStart::State {
            match (&scope.name, &scope.namespace) {
                (Some(name), namespace) => self.check_readable(namespace.as_deref().unwrap_or(""), name),
                (None, namespace) => self.check_all_readable(namespace.as_deref().unwrap_or("")),
            }?;
        }
        let after = match start {
            WatchStart::State => u64::MAX,
            WatchStart::After(revision) => revision,
        };
        let (subscription, snapshot) = self.shared.hub.subscribe(&scope, namespaced, after, || self.snapshot());
        let horizon = subscription.horizon;
        let initial = matches!(start, WatchStart::State).then(|| self.walk_scope(&snapshot, &scope));
        // Up to where the watcher knows: from its initial objects, or because it says so.
        let known = snapshot.state.changed;
        let skip = if initial.is_some() { known } else { after };
        let selection = watch_selection(scope, filter, namespaced, skip > known);
        let mut watcher = Watcher::new(self.clone(), subscription, selection, initial, skip);
        if let WatchStart::After(revision) = start
            && revision < horizon
        {
            watcher.prepend(self.history(revision, horizon, deadline).await?);
        }
        Ok(watcher)
    }

    /// The objects of a scope: one, those of a namespace, all.
    fn walk_scope(&self, snapshot: &Snapshot, scope: &Scope) -> crate::snapshot::Walk {
        let namespace = scope.namespace.as_deref().unwrap_or("");
        let key = match (&scope.name, self.spec().namespaced, namespace) {
            (Some(name), false, _) => name.clone(),
            (Some(_), true, "") | (None, _, _) => return snapshot.walk(namespace, ""),
            (Some(name), true, namespace) => [namespace, "/", name].concat(),
        };
        snapshot.walk_one(&key)
    }

    /// Events behind `after`, up to and including `up_to`, from the store.
    async fn history(&self, after: u64, up_to: u64, deadline: Instant) -> Result<VecDeque<Arc<Event>>, WatchError> {
        let expired = |oldest| WatchError::Expired { wanted: after, oldest };
        let Some(store) = self.shared.store.upgrade() else {
            return Err(expired(up_to));
        };
        let events = match store.history(&self.spec().prefix, after, up_to, deadline).await {
            Ok(events) => events,
            Err(SnapshotError::Store(error)) => return Err(WatchError::Store(error)),
            Err(SnapshotError::Compacted { oldest, .. }) => return Err(expired(oldest)),
            Err(SnapshotError::Future { current, .. }) => return Err(expired(current)),
        };
        let events = events.iter().filter_map(|event| self.past_event(event).transpose());
        events.map(|event| event.map(Arc::new).map_err(WatchError::Store)).collect()
    }

    fn past_event(&self, event: &v1::Event) -> Result<Option<Event>, StoreError> {
        let before = match event.prev_revision {
            0 => None,
            revision => self.read_past(&event.key, &event.prev_value, event.create_revision, revision)?,
        };
        let after = match event.kind() {
            v1::event::Kind::Put => self.read_past(&event.key, &event.value, event.create_revision, event.revision)?,
            v1::event::Kind::Delete => None,
        };
        Ok((before.is_some() || after.is_some()).then(|| Event::new(0, event.revision, before, after)))
    }
}
