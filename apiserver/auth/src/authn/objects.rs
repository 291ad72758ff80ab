//! The objects that credentials refer to: service accounts, and what their tokens are bound to.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kuorum_cache::{Object, Resource, Store};
use serde::Deserialize;
use tokio::time::Instant;

use super::Refusal;

/// How long a credential may wait for the store.
const FENCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Kinds that credentials refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ServiceAccount,
    Pod,
    Secret,
    Node,
}

impl Kind {
    const ALL: [(Kind, &'static str); 4] = [
        (Kind::ServiceAccount, "/registry/core/serviceaccounts/"),
        (Kind::Pod, "/registry/core/pods/"),
        (Kind::Secret, "/registry/core/secrets/"),
        (Kind::Node, "/registry/core/nodes/"),
    ];
}

/// What authentication needs to know of an object.
#[derive(Clone, Debug)]
pub struct Facts {
    pub uid: String,
    /// Seconds since 1970, while the object is being deleted.
    pub deleted_at: Option<i64>,
}

/// The front-end's view of those objects.
pub struct Objects {
    store: Store,
    resources: [OnceLock<Resource>; 4],
}

impl Objects {
    pub fn new(store: Store) -> Self {
        Objects { store, resources: Default::default() }
    }

    fn resource(&self, kind: Kind) -> Option<&Resource> {
        let (at, (_, prefix)) = Kind::ALL.iter().enumerate().find(|(_, (k, _))| *k == kind)?;
        let cell = &self.resources[at];
        if cell.get().is_none() {
            // Registered once, when the server starts.
            let _ = cell.set(self.store.resource(prefix)?);
        }
        cell.get()
    }

    /// The cached object, which may be a moment old.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.resource(kind)?.get(namespace, name)
    }

    /// Brings the cache up to what was acknowledged anywhere before now.
    pub async fn fence(&self) -> Result<(), Refusal> {
        let deadline = Instant::now() + FENCE_TIMEOUT;
        self.store.fence(deadline).await.map(drop).map_err(|e| Refusal::Unavailable(e.to_string()))
    }

    /// Waits for the first load of the cache, after which absence means something.
    pub async fn ready(&self) -> Result<(), Refusal> {
        if self.store.ready() {
            return Ok(());
        }
        let loaded = tokio::time::timeout(FENCE_TIMEOUT, self.store.wait_ready()).await;
        loaded.map_err(|_| Refusal::Unavailable("the store's objects are not loaded yet".to_owned()))
    }
}

/// Reads what authentication needs to know.
pub fn facts(object: &Object) -> Facts {
    #[derive(Deserialize, Default)]
    struct Envelope {
        metadata: Metadata,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        #[serde(default)]
        uid: String,
        deletion_timestamp: Option<String>,
    }
    let read: Envelope = serde_json::from_slice(object.json()).unwrap_or_default();
    let deleted_at = read.metadata.deletion_timestamp.map(|text| {
        // What cannot be read was deleted long ago.
        kuorum_schema::time::Timestamp::parse(&text).map_or(0, |t| t.seconds)
    });
    Facts { uid: read.metadata.uid, deleted_at }
}
