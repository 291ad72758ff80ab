//! Objects between verbs and store: decoding what is stored, encoding what is written, and the errors of both.

use std::sync::Arc;

use bytes::Bytes;
use kuorum_cache::{CommitOutcome, Object, Resource, StoreError, Txn, value};
use kuorum_kinds::kind::Kind;
use kuorum_kinds::value as json;
use kuorum_schema::codec;
use serde_json::Value;

use crate::app::{App, Call};
use crate::status::ApiError;

/// Kinds whose objects expire: events, after an hour, as with the real server's `--event-ttl`.
const EVENT_TTL_SECONDS: u64 = 3600;

/// Where the objects of a call's kind are.
pub struct Objects<'a> {
    pub call: &'a Call<'a>,
    pub resource: Resource,
    /// The kind of the stored version: the call's own, or its sibling.
    pub stored: Arc<Kind>,
}

/// One stored object, decoded into the served version.
pub struct Current {
    pub object: Arc<Object>,
    pub value: Value,
}

/// An object ready to be written.
pub struct Encoded {
    /// JSON of the stored version without resourceVersion.
    json: Vec<u8>,
    offset: u32,
}

impl Encoded {
    pub fn packed(&self) -> Bytes {
        value::pack(&self.json, self.offset)
    }
}

impl<'a> Objects<'a> {
    pub fn of(call: &'a Call<'a>) -> Result<Self, ApiError> {
        let served = call.app.kinds.load();
        let stored = served.registry.storage_of(call.kind).clone();
        Ok(Objects { call, resource: call.app.resource(call.kind)?, stored })
    }

    /// Whether the served version is the stored one.
    pub fn same_version(&self) -> bool {
        Arc::ptr_eq(&self.stored, self.call.kind)
    }

    /// Where objects of this kind live: the request's namespace, none for cluster-scoped kinds.
    pub fn namespace(&self) -> &'a str {
        if self.resource.spec().namespaced { self.call.info.namespace } else { "" }
    }

    pub fn key(&self, name: &str) -> String {
        self.resource.key(self.namespace(), name)
    }

    /// The cached object, in the served version.
    pub fn decode(&self, object: Arc<Object>) -> Result<Current, ApiError> {
        let mut value: Value = serde_json::from_slice(object.json())
            .map_err(|e| ApiError::internal(format!("stored object {} is not JSON: {e}", object.key())))?;
        if !self.same_version() {
            self.call.kind.from_storage(&mut value);
        }
        Ok(Current { object, value })
    }

    pub fn encode(&self, object: &Value) -> Encoded {
        let mut json = Vec::with_capacity(1024);
        let offset = if self.same_version() {
            codec::encode_stored(object, &self.stored.schema, &mut json)
        } else {
            let mut converted = object.clone();
            self.call.kind.to_storage(&mut converted);
            codec::encode_stored(&converted, &self.stored.schema, &mut json)
        };
        Encoded { json, offset }
    }

    /// The object as it is answered: in the served version, at a revision (0: none, as after a dry run of a create).
    pub fn answer(&self, object: &Value, encoded: &Encoded, revision: u64) -> Bytes {
        if self.same_version() {
            return if revision == 0 {
                Bytes::copy_from_slice(&encoded.json)
            } else {
                value::splice(&encoded.json, encoded.offset, revision)
            };
        }
        let mut object = object.clone();
        set_resource_version(&mut object, revision);
        let mut out = Vec::with_capacity(encoded.json.len() + 32);
        codec::encode(&object, &self.call.kind.schema, &mut out);
        out.into()
    }

    /// A stored object as it is answered.
    pub fn answer_current(&self, current: &Current) -> Bytes {
        if self.same_version() {
            return current.object.json().clone();
        }
        let mut out = Vec::with_capacity(current.object.json().len());
        codec::encode(&current.value, &self.call.kind.schema, &mut out);
        out.into()
    }

    /// Whether writing `encoded` would change nothing: the value is the same, and is sealed as it would be now.
    pub fn is_unchanged(&self, encoded: &Encoded, current: &Object) -> bool {
        encoded.packed() == current.stored() && !self.resource.is_stale(current)
    }

    /// Adds the write of an object to a transaction.
    pub fn put(&self, txn: Txn, key: String, encoded: &Encoded) -> Txn {
        let expires = self.stored.row.group.is_empty() && self.stored.row.kind == "Event";
        txn.put_with_ttl(key, encoded.packed(), if expires { EVENT_TTL_SECONDS } else { 0 })
    }

    pub async fn commit(&self, txn: Txn) -> Result<CommitOutcome, ApiError> {
        self.call.app.store.commit(txn, self.call.deadline).await.map_err(store_error)
    }

    /// Brings the cache up to what was acknowledged before now.
    pub async fn fence(&self) -> Result<u64, ApiError> {
        fence(self.call.app, self.call.deadline).await
    }

    /// 404; 500 where there is something under this name that cannot be read.
    pub fn not_found(&self, name: &str) -> ApiError {
        if let Err(error) = self.resource.check_readable(self.namespace(), name) {
            return store_error(error);
        }
        ApiError::not_found(self.call.kind.row.group, self.call.kind.row.plural, name)
    }
}

/// Brings the caches up to what was acknowledged before now.
pub async fn fence(app: &App, deadline: tokio::time::Instant) -> Result<u64, ApiError> {
    app.store.fence(deadline).await.map_err(store_error)
}

/// Sets (0: removes) `metadata.resourceVersion`.
pub fn set_resource_version(object: &mut Value, revision: u64) {
    if let Some(meta) = json::child(object, "metadata") {
        if revision == 0 {
            json::remove(meta, "resourceVersion");
        } else {
            json::set(meta, "resourceVersion", revision.to_string());
        }
    }
}

/// What a failure of the store means to a client: never 500 for what time heals.
pub fn store_error(error: StoreError) -> ApiError {
    match &error {
        StoreError::Unavailable(_) => ApiError::unavailable(error.to_string(), 1),
        StoreError::Overloaded(_) => ApiError::too_many_requests(error.to_string(), 1),
        StoreError::OutcomeUnknown(_) | StoreError::Deadline => ApiError::timeout(error.to_string()),
        StoreError::TooLarge(_) => ApiError::too_large(error.to_string()),
        StoreError::NoSpace(_) => ApiError::plain_500("etcdserver: mvcc: database space exceeded"),
        StoreError::Unreadable { .. } | StoreError::Unsealable(_) => ApiError::internal(error),
        StoreError::Internal(_) => ApiError::internal(error),
    }
}

/// Now, as objects carry it.
pub fn now() -> String {
    kuorum_schema::time::Timestamp { seconds: crate::tls::unix_now(), nanos: 0 }.to_rfc3339()
}
