//! Reads of the past: a range at a revision, the history of a range.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use kuorum_proto::v1;
use kuorum_proto::v1::store_client::StoreClient;
use tokio::time::Instant;
use tonic::Code;
use tonic::transport::Channel;

use super::{MESSAGE_BYTES_MAX, Remote};
use crate::error::StoreError;
use crate::object::Object;
use crate::resource::Resource;
use crate::snapshot::SnapshotError;
use crate::store::prefix_end;

/// History that a new watch may bring into memory; beyond it the client is better off with a list.
const HISTORY_BYTES_MAX: usize = 32 << 20;
/// A read of the past is tried again on another member this often.
const ATTEMPTS_MAX: usize = 3;

pub(super) fn object(resource: &Resource, kv: &v1::KeyValue) -> Option<Arc<Object>> {
    resource.decode(&kv.key, &kv.value, kv.create_revision, kv.mod_revision)
}

impl Remote {
    pub async fn range_at(
        &self,
        prefix: &str,
        revision: u64,
        deadline: Instant,
    ) -> Result<Vec<v1::KeyValue>, SnapshotError> {
        let request = v1::RangeRequest {
            start: bytes::Bytes::copy_from_slice(prefix.as_bytes()),
            end: prefix_end(prefix.as_bytes()),
            revision,
            ..v1::RangeRequest::default()
        };
        self.read(revision, deadline, |client| Box::pin(range(client, request.clone()))).await
    }

    pub async fn history(
        &self,
        prefix: &str,
        after: u64,
        up_to: u64,
        deadline: Instant,
    ) -> Result<Vec<v1::Event>, SnapshotError> {
        let request = v1::HistoryRequest {
            prefix: bytes::Bytes::copy_from_slice(prefix.as_bytes()),
            after_revision: after,
            up_to_revision: up_to,
        };
        self.read(after, deadline, |client| Box::pin(history(client, request.clone()))).await
    }

    /// Runs a read on the session's member, on another after a failure.
    async fn read<T>(
        &self,
        revision: u64,
        deadline: Instant,
        attempt: impl Fn(StoreClient<Channel>) -> BoxFuture<'static, Result<T, tonic::Status>>,
    ) -> Result<T, SnapshotError> {
        let deadline = deadline.min(Instant::now() + self.contact.patience());
        let unavailable = |why: &str| SnapshotError::Store(StoreError::Unavailable(why.to_owned()));
        let mut session = self.members.session();
        let mut failure = String::new();
        for _ in 0..ATTEMPTS_MAX {
            // The guard of the watch channel must not live across what follows.
            let channel = async { session.wait_for(Option::is_some).await.ok().and_then(|channel| channel.clone()) };
            let Ok(Some(channel)) = tokio::time::timeout_at(deadline, channel).await else {
                return Err(unavailable("no member answers"));
            };
            let client = StoreClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
            match tokio::time::timeout_at(deadline, attempt(client)).await {
                Err(_) => return Err(unavailable("the member does not answer in time")),
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(status)) if status.code() == Code::OutOfRange => {
                    let oldest = self.store.upgrade().map_or(0, |store| store.progress.compacted());
                    return Err(SnapshotError::Compacted { wanted: revision, oldest });
                }
                Ok(Err(status)) => failure = status.message().to_owned(),
            }
        }
        Err(unavailable(&failure))
    }
}

async fn range(
    mut client: StoreClient<Channel>,
    request: v1::RangeRequest,
) -> Result<Vec<v1::KeyValue>, tonic::Status> {
    let mut chunks = client.range(request).await?.into_inner();
    let mut kvs = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        kvs.extend(chunk.kvs);
    }
    Ok(kvs)
}

async fn history(
    mut client: StoreClient<Channel>,
    request: v1::HistoryRequest,
) -> Result<Vec<v1::Event>, tonic::Status> {
    let mut batches = client.history(request).await?.into_inner();
    let mut events: Vec<v1::Event> = Vec::new();
    let mut bytes = 0;
    while let Some(batch) = batches.message().await? {
        bytes += batch.events.iter().map(|e| e.value.len() + e.prev_value.len()).sum::<usize>();
        if bytes > HISTORY_BYTES_MAX {
            return Err(tonic::Status::out_of_range("too much history"));
        }
        events.extend(batch.events);
    }
    Ok(events)
}
