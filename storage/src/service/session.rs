//! `Session`: events flow down, fences go up. A fence's answer is placed behind every event that it covers.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use kuorum_proto::v1::session_request::{Open, Request as Ask};
use kuorum_proto::v1::session_response::{Compacted, FenceAck, FenceFailed, Opened, Response as Answer};
use kuorum_proto::v1::{EventBatch, SessionRequest, SessionResponse};
use kuorum_raft::ReadError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::StoreService;
use super::status::from_mvcc;
use super::store::corrupt;
use crate::mvcc;
use crate::watch::Subscriber;

/// Fences of one session without an answer. A front-end shares one among all its requests; beyond this it waits.
const FENCES_MAX: usize = 256;
/// Messages ahead of the connection. A session that does not read stops here and falls behind; nobody else does.
const MESSAGES_AHEAD: usize = 16;

/// How long a session waits for its first revision to be applied here.
const FUTURE_WAIT: Duration = Duration::from_secs(3);

type Sender = mpsc::Sender<Result<SessionResponse, Status>>;

/// The client is gone; there is nobody to tell.
struct Gone;

pub(super) fn serve(
    service: StoreService,
    requests: Streaming<SessionRequest>,
) -> Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>> {
    let (responses, receiver) = mpsc::channel(MESSAGES_AHEAD);
    tokio::spawn(async move {
        metrics::gauge!("kuorum_sessions").increment(1.0);
        if let Err(status) = run(service, requests, &responses).await {
            let _ = responses.send(Err(status)).await;
        }
        metrics::gauge!("kuorum_sessions").decrement(1.0);
    });
    Box::pin(ReceiverStream::new(receiver))
}

async fn send(responses: &Sender, answer: Answer) -> Result<(), Gone> {
    responses.send(Ok(SessionResponse { response: Some(answer) })).await.map_err(|_| Gone)
}

async fn run(service: StoreService, mut requests: Streaming<SessionRequest>, responses: &Sender) -> Result<(), Status> {
    let open = match requests.message().await? {
        Some(SessionRequest { request: Some(Ask::Open(open)) }) => open,
        Some(_) => return Err(Status::invalid_argument("the first message must be open")),
        None => return Ok(()),
    };
    let session = Session::new(service, open);
    match session.run(requests, responses).await {
        Ok(()) | Err(End::Gone) => Ok(()),
        Err(End::Failed(status)) => Err(status),
    }
}

enum End {
    Gone,
    Failed(Status),
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

struct Session {
    service: StoreService,
    subscriber: Subscriber,
    /// Fences whose revision is known and not yet delivered, in the order of their revisions.
    covered: VecDeque<(u64, u64)>,
}

impl Session {
    fn new(service: StoreService, open: Open) -> Self {
        let prefix: Bytes = open.prefix;
        let subscriber = Subscriber::new(service.store.clone(), prefix, open.after_revision);
        Self { service, subscriber, covered: VecDeque::new() }
    }

    async fn run(mut self, mut requests: Streaming<SessionRequest>, responses: &Sender) -> Result<(), End> {
        // Another member may have been ahead of this one by a moment.
        let position = self.subscriber.position();
        let mut progress = self.service.store.hub().progress();
        let _ = tokio::time::timeout(FUTURE_WAIT, progress.wait_for(|p| p.revision >= position)).await;
        let now = self.service.store.hub().now();
        if position > now.revision {
            let message = format!("revision {position} is in the future here ({})", now.revision);
            return Err(End::Failed(Status::unavailable(message)));
        }
        let opened = Opened {
            member_id: self.service.member_id,
            revision: now.revision,
            compact_revision: now.compact_revision,
        };
        send(responses, Answer::Opened(opened)).await?;
        if position < now.compact_revision {
            // Memory may still reach so far, but an answer must not depend on that.
            let compacted = Compacted { compact_revision: now.compact_revision };
            return Ok(send(responses, Answer::Compacted(compacted)).await?);
        }
        let mut status = self.service.node.status();
        let mut leader = self.service.leader();
        send(responses, Answer::Leader(leader.clone())).await?;
        let mut fences = FuturesUnordered::new();
        let service = self.service.clone();
        let found_corrupt = service.found_corrupt();
        tokio::pin!(found_corrupt);
        let mut open = true;
        loop {
            if !self.deliver(responses).await? {
                return Ok(());
            }
            if !open && fences.is_empty() && self.covered.is_empty() {
                return Ok(());
            }
            tokio::select! {
                () = self.subscriber.moved() => {}
                Some((id, outcome)) = fences.next() => self.fenced(id, outcome, responses).await?,
                request = requests.message(), if open && fences.len() + self.covered.len() < FENCES_MAX => match request {
                    Ok(Some(SessionRequest { request: Some(Ask::Fence(fence)) })) => {
                        let reader = self.service.fences.clone();
                        fences.push(async move { (fence.id, reader.read().await) });
                    }
                    Ok(Some(_)) => return Err(End::Failed(Status::invalid_argument("only fences may follow"))),
                    Ok(None) => open = false,
                    Err(_) => return Err(End::Gone),
                },
                changed = status.changed() => {
                    if changed.is_err() {
                        return Err(End::Failed(Status::unavailable("the member stops")));
                    }
                    status.mark_unchanged();
                    let known = self.service.leader();
                    if known != leader {
                        leader = known;
                        send(responses, Answer::Leader(leader.clone())).await?;
                    }
                }
                () = self.service.stop.cancelled() => {
                    return Err(End::Failed(Status::unavailable("the member stops")));
                }
                () = &mut found_corrupt => return Err(End::Failed(corrupt())),
                () = responses.closed() => return Err(End::Gone),
            }
        }
    }

    /// Sends everything there is. False: the position was compacted and the session ends.
    async fn deliver(&mut self, responses: &Sender) -> Result<bool, End> {
        loop {
            match self.subscriber.next().await {
                Ok(Some(delivery)) => {
                    if !delivery.events.is_empty() {
                        send(responses, Answer::Events(EventBatch { events: delivery.events })).await?;
                    }
                    self.acknowledge(responses).await?;
                }
                Ok(None) => {
                    self.acknowledge(responses).await?;
                    return Ok(true);
                }
                Err(mvcc::Error::Compacted { compacted, .. }) => {
                    send(responses, Answer::Compacted(Compacted { compact_revision: compacted })).await?;
                    return Ok(false);
                }
                Err(error) => return Err(End::Failed(from_mvcc(error))),
            }
        }
    }

    async fn fenced(&mut self, id: u64, outcome: Result<u64, ReadError>, responses: &Sender) -> Result<(), End> {
        match outcome {
            Ok(revision) => {
                let at = self.covered.partition_point(|(_, r)| *r <= revision);
                self.covered.insert(at, (id, revision));
            }
            Err(error) => {
                let failed = FenceFailed { id, message: error.to_string() };
                send(responses, Answer::FenceFailed(failed)).await?;
            }
        }
        Ok(())
    }

    /// Answers the fences that the events sent so far cover.
    async fn acknowledge(&mut self, responses: &Sender) -> Result<(), End> {
        let position = self.subscriber.position();
        while let Some((id, _)) = self.covered.front().copied().filter(|(_, revision)| *revision <= position) {
            self.covered.pop_front();
            let compact_revision = self.service.store.hub().now().compact_revision;
            send(responses, Answer::FenceAck(FenceAck { id, revision: position, compact_revision })).await?;
        }
        Ok(())
    }
}
