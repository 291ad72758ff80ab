//! Applies the store's events to the caches: each transaction becomes visible in a resource as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use kuorum_proto::v1;

use crate::object::Object;
use crate::resource::{Read, Resource};
use crate::snapshot::State;
use crate::store::{Inner, resource_prefix};

/// One object's change: what was there before, and what is there now.
pub(crate) struct Change {
    pub revision: u64,
    pub before: Option<Arc<Object>>,
    pub after: Option<Arc<Object>>,
}

impl Inner {
    /// Whole transactions in revision order. Called by one task only, in the order of the store.
    pub fn apply(&self, events: &[v1::Event]) {
        let Some(last) = events.last() else {
            return;
        };
        let mut by_resource: HashMap<&str, Vec<&v1::Event>> = HashMap::new();
        for event in events {
            if let Some(prefix) = resource_prefix(&event.key) {
                by_resource.entry(prefix).or_default().push(event);
            }
        }
        for (_, events) in by_resource {
            // One that is not loaded yet will be, at a revision that covers these events.
            let resource = events.first().and_then(|event| self.resource_of(&event.key));
            if let Some(resource) = resource.filter(Resource::is_loaded) {
                resource.apply(&events);
            }
        }
        self.progress.advance(last.revision);
    }
}

impl Resource {
    fn apply(&self, events: &[&v1::Event]) {
        let current = self.shared.state.load_full();
        let mut state = State::clone(&current);
        let mut changes = Vec::with_capacity(events.len());
        // Something changed in a way that cannot be shown.
        let mut gap = false;
        for event in events {
            // What a re-subscription sends again is already here.
            if event.revision <= current.changed {
                continue;
            }
            let name = self.name_of(&event.key);
            let after = match event.kind() {
                v1::event::Kind::Put => {
                    match self.read(&event.key, &event.value, event.create_revision, event.revision) {
                        Read::Object(object) => Some(object),
                        Read::Unreadable(found) => {
                            self.shared.unreadable.insert(found);
                            gap = true;
                            None
                        }
                        Read::Foreign => continue,
                    }
                }
                v1::event::Kind::Delete => None,
            };
            let readable = after.is_some() || event.kind() == v1::event::Kind::Delete;
            name.filter(|_| readable).into_iter().for_each(|name| self.shared.unreadable.remove(name));
            let before = match &after {
                Some(object) => state.objects.insert(object.clone()),
                None => name.and_then(|name| state.objects.remove(name)),
            };
            state.changed = event.revision;
            if before.is_some() || after.is_some() {
                changes.push(Change { revision: event.revision, before, after });
            }
        }
        match gap {
            false => self.publish(state, changes),
            true => self.publish_gap(state, &changes),
        }
    }
}
