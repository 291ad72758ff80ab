//! What controllers work on: names that wait, fed by the changes of the caches.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kuorum_cache::{Object, Observer, Resource};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Names that wait, each once, however often it was added.
#[derive(Default)]
pub struct Queue {
    names: Mutex<BTreeSet<String>>,
    added: Notify,
}

impl Queue {
    pub fn add(&self, name: &str) {
        let mut names = self.names.lock();
        if !names.contains(name) {
            names.insert(name.to_owned());
            drop(names);
            self.added.notify_one();
        }
    }

    /// The next name, when there is one.
    pub async fn next(&self) -> String {
        loop {
            let added = self.added.notified();
            if let Some(name) = self.names.lock().pop_first() {
                return name;
            }
            added.await;
        }
    }

    /// Adds a name after a while: what failed is tried again, and does not hold up the others.
    pub fn add_later(self: &Arc<Self>, name: String, delay: Duration) {
        let queue = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            if let Some(queue) = queue.upgrade() {
                queue.add(&name);
            }
        });
    }

    /// Has the changes of a resource add names: `name` says which one a change (before, after) is about, if any.
    pub fn follow(
        self: &Arc<Self>,
        resource: &Resource,
        name: impl Fn(Option<&Object>, Option<&Object>) -> Option<String> + Send + Sync + 'static,
    ) {
        resource.observe(Arc::new(Feed { queue: self.clone(), name }));
    }
}

struct Feed<F> {
    queue: Arc<Queue>,
    /// The name that a change (before, after) is about.
    name: F,
}

impl<F: Fn(Option<&Object>, Option<&Object>) -> Option<String> + Send + Sync> Observer for Feed<F> {
    fn replaced(&self, objects: &[Arc<Object>]) {
        for object in objects {
            self.changed(None, Some(object));
        }
    }

    fn changed(&self, before: Option<&Arc<Object>>, after: Option<&Arc<Object>>) {
        if let Some(name) = (self.name)(before.map(AsRef::as_ref), after.map(AsRef::as_ref)) {
            self.queue.add(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_waits_once() {
        let queue = Arc::new(Queue::default());
        for name in ["b", "a", "b"] {
            queue.add(name);
        }
        assert_eq!((queue.next().await, queue.next().await), ("a".to_owned(), "b".to_owned()));
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        queue.add("c");
        assert_eq!(waiting.await.unwrap(), "c");
    }

    #[tokio::test]
    async fn what_failed_comes_back() {
        let queue = Arc::new(Queue::default());
        queue.add_later("a".to_owned(), Duration::from_millis(1));
        assert_eq!(queue.next().await, "a");
    }
}
