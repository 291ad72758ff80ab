//! Applies the store's events to the caches: each transaction becomes visible in a resource as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use kuorum_proto::v1;

use crate::object::Object;
use crate::resource::Resource;
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
            if let Some(resource) = events.first().and_then(|event| self.resource_of(&event.key)) {
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
        for event in events {
            // What a re-subscription sends again is already here.
            if event.revision <= current.changed {
                continue;
            }
            let after = match event.kind() {
                v1::event::Kind::Put => {
                    let decoded = self.decode(&event.key, &event.value, event.create_revision, event.revision);
                    if decoded.is_none() {
                        continue;
                    }
                    decoded
                }
                v1::event::Kind::Delete => None,
            };
            let before = match &after {
                Some(object) => state.objects.insert(object.clone()),
                None => self.name_of(&event.key).and_then(|name| state.objects.remove(name)),
            };
            state.changed = event.revision;
            if before.is_some() || after.is_some() {
                changes.push(Change { revision: event.revision, before, after });
            }
        }
        self.publish(state, changes);
    }
}
