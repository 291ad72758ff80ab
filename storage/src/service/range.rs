//! `Range` and `History`: reads of any size, streamed in chunks from one view of the engine on a thread of their own.
//! A reader that is slow blocks its thread, of which there is a bounded number, and nothing else.

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use kuorum_proto::v1::{EventBatch, HistoryRequest, KeyValue, RangeRequest, RangeResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::StoreService;
use super::status::{from_join, from_mvcc, from_read};
use crate::mvcc::{Bounds, KEY_BYTES_MAX};

/// Keys and values of one message.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Keys of one message, for small values.
const CHUNK_KEYS_MAX: usize = 4_096;
/// Messages ahead of the connection.
const CHUNKS_AHEAD: usize = 2;
/// How long a read waits for a revision that this member has not applied yet: another member may be ahead by a moment.
const FUTURE_WAIT: Duration = Duration::from_secs(3);

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(super) async fn serve_range(
    service: StoreService,
    request: RangeRequest,
) -> Result<Responses<RangeResponse>, Status> {
    if request.start.len() > KEY_BYTES_MAX || request.end.len() > KEY_BYTES_MAX + 1 {
        return Err(Status::invalid_argument("key is too large"));
    }
    if request.linearizable {
        service.fences.read().await.map_err(from_read)?;
    }
    wait_for(&service, request.revision).await;
    let permit = service.reads.clone().acquire_owned().await.map_err(|_| Status::unavailable("the member stops"))?;
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    tokio::spawn(async move {
        let failed = sender.clone();
        let read = tokio::task::spawn_blocking(move || read_range(&service, &request, &sender)).await;
        if let Err(status) = read.map_err(from_join).flatten() {
            let _ = failed.send(Err(status)).await;
        }
        drop(permit);
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

type Sender<T> = mpsc::Sender<Result<T, Status>>;

fn read_range(service: &StoreService, request: &RangeRequest, sender: &Sender<RangeResponse>) -> Result<(), Status> {
    let limit = if request.limit == 0 { u64::MAX } else { request.limit };
    let mut chunk: Vec<KeyValue> = Vec::new();
    let (mut bytes, mut count, mut gone) = (0, 0u64, false);
    let visit = |revision, kv: KeyValue| {
        count += 1;
        if request.count_only || count > limit {
            return true;
        }
        bytes += kv.key.len() + kv.value.len();
        chunk.push(kv);
        if bytes >= CHUNK_BYTES_MAX || chunk.len() >= CHUNK_KEYS_MAX {
            bytes = 0;
            let kvs = std::mem::take(&mut chunk);
            gone = sender.blocking_send(Ok(RangeResponse { revision, kvs, ..Default::default() })).is_err();
        }
        !gone
    };
    let bounds = Bounds::new(&request.start, &request.end);
    let revision = service.store.range(&bounds, request.revision, visit).map_err(from_mvcc)?;
    let _ = sender.blocking_send(Ok(RangeResponse { revision, kvs: chunk, count, more: count > limit }));
    Ok(())
}

pub(super) async fn serve_history(
    service: StoreService,
    request: HistoryRequest,
) -> Result<Responses<EventBatch>, Status> {
    wait_for(&service, request.up_to_revision).await;
    let newest = service.store.hub().now().revision;
    if request.up_to_revision > newest {
        let message = format!("revision {} is in the future (current revision is {newest})", request.up_to_revision);
        return Err(Status::unavailable(message));
    }
    let permit = service.reads.clone().acquire_owned().await.map_err(|_| Status::unavailable("the member stops"))?;
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    tokio::spawn(async move {
        let failed = sender.clone();
        let read = tokio::task::spawn_blocking(move || read_history(&service, &request, &sender)).await;
        if let Err(status) = read.map_err(from_join).flatten() {
            let _ = failed.send(Err(status)).await;
        }
        drop(permit);
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

fn read_history(service: &StoreService, request: &HistoryRequest, sender: &Sender<EventBatch>) -> Result<(), Status> {
    let mut after = request.after_revision;
    while after < request.up_to_revision {
        // A view per chunk: what is compacted in between is an error, not a gap.
        let (revisions, reached) = service
            .store
            .history(&request.prefix, after, request.up_to_revision, true, CHUNK_BYTES_MAX)
            .map_err(from_mvcc)?;
        let events: Vec<_> = revisions.into_iter().flat_map(|r| r.events).collect();
        if !events.is_empty() && sender.blocking_send(Ok(EventBatch { events })).is_err() {
            return Ok(());
        }
        after = reached;
    }
    Ok(())
}

/// Waits a moment for a revision that is not applied here yet; the read itself says so if it did not come.
async fn wait_for(service: &StoreService, revision: u64) {
    let mut progress = service.store.hub().progress();
    let _ = tokio::time::timeout(FUTURE_WAIT, progress.wait_for(|p| p.revision >= revision)).await;
}
