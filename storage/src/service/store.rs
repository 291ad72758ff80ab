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
use crate::mvcc::Alarm;
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

    /// Lets a request pass if its caller has one of the roles, and this member the right data.
    ///
    /// # Errors
    /// PERMISSION_DENIED; DATA_LOSS while an alarm says that this member's data differs from the others'.
    fn admit<T>(&self, request: &Request<T>, roles: &[Role]) -> Result<(), Status> {
        require(request, roles)?;
        match Alarm::is_corrupt(&self.store.alarms().borrow(), self.member_id) {
            true => Err(corrupt()),
            false => Ok(()),
        }
    }

    /// Resolves when an alarm says that this member's data differs from the others'.
    pub(super) async fn found_corrupt(&self) {
        let mut alarms = self.store.alarms();
        if alarms.wait_for(|alarms| Alarm::is_corrupt(alarms, self.member_id)).await.is_err() {
            // The store is being dropped, which ends everything by itself.
            std::future::pending::<()>().await;
        }
    }

    /// The leader as this member knows it; id 0 when it knows none.
    pub(super) fn leader(&self) -> Leader {
        self.node
            .leader()
            .map_or_else(Leader::default, |l| Leader { member_id: l.id, client_urls: l.member.client_urls })
    }
}

/// What a member says whose data differs from the others'.
pub(super) fn corrupt() -> Status {
    Status::data_loss("alarm CORRUPT: the data of this member differs from the others'")
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
        self.admit(&request, &[Role::FrontEnd])?;
        Ok(Response::new(session::serve(self.clone(), request.into_inner())))
    }

    async fn write(&self, request: Request<Streaming<WriteRequest>>) -> Result<Response<Self::WriteStream>, Status> {
        self.admit(&request, &[Role::FrontEnd])?;
        Ok(Response::new(write::serve(self.clone(), request.into_inner())))
    }

    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<Self::RangeStream>, Status> {
        self.admit(&request, &[Role::FrontEnd, Role::Operator])?;
        Ok(Response::new(range::serve_range(self.clone(), request.into_inner()).await?))
    }

    async fn history(&self, request: Request<HistoryRequest>) -> Result<Response<Self::HistoryStream>, Status> {
        self.admit(&request, &[Role::FrontEnd, Role::Operator])?;
        Ok(Response::new(range::serve_history(self.clone(), request.into_inner()).await?))
    }
}
