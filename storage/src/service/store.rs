//! The `Store` service: what front-ends call. Each method has a file of its own.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use kuorum_proto::v1::store_server::Store as StoreApi;
use kuorum_proto::v1::{
    EventBatch, HistoryRequest, Leader, RangeRequest, RangeResponse, SessionRequest, SessionResponse, WriteRequest,
    WriteResponse,
};
use kuorum_raft::Node;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::access::require;
use super::{range, session, write};
use crate::fence::Fences;
use crate::machine::{Machine, Store};
use crate::propose::Proposer;
use crate::tls::Role;

/// Range and history reads at one time: each holds a thread and a view of the engine; more of them wait.
const READS_MAX: usize = 8;

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the methods share. Cheap to clone.
#[derive(Clone)]
pub struct StoreService {
    pub(super) node: Arc<Node<Machine>>,
    pub(super) store: Arc<Store>,
    pub(super) fences: Fences,
    pub(super) proposer: Proposer,
    pub(super) member_id: u64,
    pub(super) reads: Arc<Semaphore>,
    /// Ends sessions and write streams, which have no end of their own.
    pub(super) stop: CancellationToken,
}

impl StoreService {
    pub fn new(
        node: Arc<Node<Machine>>,
        store: Arc<Store>,
        fences: Fences,
        proposer: Proposer,
        member_id: u64,
        stop: CancellationToken,
    ) -> Self {
        Self { node, store, fences, proposer, member_id, reads: Arc::new(Semaphore::new(READS_MAX)), stop }
    }

    /// The leader as this member knows it; id 0 when it knows none.
    pub(super) fn leader(&self) -> Leader {
        self.node
            .leader()
            .map_or_else(Leader::default, |l| Leader { member_id: l.id, client_urls: l.member.client_urls })
    }
}

#[tonic::async_trait]
impl StoreApi for StoreService {
    type SessionStream = Responses<SessionResponse>;
    type WriteStream = Responses<WriteResponse>;
    type RangeStream = Responses<RangeResponse>;
    type HistoryStream = Responses<EventBatch>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        require(&request, &[Role::FrontEnd])?;
        Ok(Response::new(session::serve(self.clone(), request.into_inner())))
    }

    async fn write(&self, request: Request<Streaming<WriteRequest>>) -> Result<Response<Self::WriteStream>, Status> {
        require(&request, &[Role::FrontEnd])?;
        Ok(Response::new(write::serve(self.clone(), request.into_inner())))
    }

    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<Self::RangeStream>, Status> {
        require(&request, &[Role::FrontEnd, Role::Operator])?;
        Ok(Response::new(range::serve_range(self.clone(), request.into_inner()).await?))
    }

    async fn history(&self, request: Request<HistoryRequest>) -> Result<Response<Self::HistoryStream>, Status> {
        require(&request, &[Role::FrontEnd, Role::Operator])?;
        Ok(Response::new(range::serve_history(self.clone(), request.into_inner()).await?))
    }
}
