//! The sending side: what the consensus core calls to reach one other member.

use std::{collections::HashMap, future::Future, io, sync::Arc, time::Duration};

use futures_util::Stream;
use kuorum_proto::v1::{self, raft_client::RaftClient};
use openraft::{
    RaftNetworkFactory, RaftNetworkV2,
    base::{BoxFuture, BoxStream},
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
        TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
    },
    storage::Snapshot,
};
use parking_lot::Mutex;
use tonic::{Request, Status, metadata::MetadataValue, transport::Channel};

use super::{
    MESSAGE_BYTES_MAX,
    exchange::{Exchange, Link},
    header, id_from_wire, id_to_wire, vote_from_wire, vote_to_wire,
};
use crate::{
    ports::{Connector, Member, NodeId},
    snapshot::SnapshotDir,
    types::{LeaderId, Response, TypeConfig, Vote},
};

/// How long a follower may take to accept a stream, or to answer an append, before the connection is given up. Longer
/// than any fsync on a disk that still works.
pub(super) const APPEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens connections and addresses messages, for all peers of one member.
pub(crate) struct Transport {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) id: NodeId,
    pub(crate) cluster_id: u64,
    /// One connection per peer for small messages, so that none of them waits behind entries or a snapshot.
    pub(crate) control: Mutex<HashMap<NodeId, (Member, Channel)>>,
}

impl Transport {
    /// A client on the peer's connection for small messages.
    ///
    /// # Errors
    /// An address that is none.
    pub(crate) fn control(&self, to: NodeId, member: &Member) -> io::Result<RaftClient<Channel>> {
        let mut control = self.control.lock();
        if let Some((known, channel)) = control.get(&to)
            && known == member
        {
            return Ok(RaftClient::new(channel.clone()));
        }
        let channel = self.connector.channel(to, member)?;
        control.insert(to, (member.clone(), channel.clone()));
        Ok(RaftClient::new(channel))
    }

    /// A client on a connection of its own.
    pub(super) fn dedicated(&self, to: NodeId, member: &Member) -> io::Result<RaftClient<Channel>> {
        let client = RaftClient::new(self.connector.channel(to, member)?);
        Ok(client.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Addresses a message to `to`.
    pub(crate) fn request<T>(&self, to: NodeId, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert(header::CLUSTER, MetadataValue::from(self.cluster_id));
        metadata.insert(header::FROM, MetadataValue::from(self.id));
        metadata.insert(header::TO, MetadataValue::from(to));
        request
    }
}

/// Makes clients for the consensus core.
#[derive(Clone)]
pub(crate) struct Network(pub(crate) Arc<Transport>);

impl<R: Response> RaftNetworkFactory<TypeConfig<R>> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeId, node: &Member) -> Peer {
        Peer { transport: self.0.clone(), id: target, member: node.clone(), small: false, link: None }
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, node: &Member) -> Peer {
        Peer { transport: self.0.clone(), id: target, member: node.clone(), small: true, link: None }
    }
}

/// One peer as one task of the consensus core sees it.
pub(crate) struct Peer {
    transport: Arc<Transport>,
    id: NodeId,
    member: Member,
    /// Whether its append stream carries only heartbeats.
    small: bool,
    /// The append stream, while nobody uses it.
    link: Option<Link>,
}

pub(super) fn unreachable<R: Response>(error: impl std::fmt::Display) -> RPCError<TypeConfig<R>> {
    RPCError::Unreachable(Unreachable::from_string(error))
}

impl Peer {
    fn control<R: Response>(&self) -> Result<RaftClient<Channel>, RPCError<TypeConfig<R>>> {
        self.transport.control(self.id, &self.member).map_err(unreachable)
    }

    async fn link<R: Response>(&mut self) -> Result<Link, RPCError<TypeConfig<R>>> {
        match self.link.take() {
            Some(link) if link.is_open() => Ok(link),
            _ => {
                let client = match self.small {
                    true => self.transport.control(self.id, &self.member),
                    false => self.transport.dedicated(self.id, &self.member),
                };
                let client = client.map_err(unreachable)?;
                let open = Link::open(client, |stream| self.transport.request(self.id, stream));
                let opened = tokio::time::timeout(APPEND_TIMEOUT, open).await;
                opened.map_err(|_| unreachable("the append stream is not accepted in time"))?.map_err(unreachable)
            }
        }
    }

    async fn ask_for_vote<R: Response>(
        &mut self,
        rpc: VoteRequest<TypeConfig<R>>,
        pre: bool,
        timeout: Duration,
    ) -> Result<VoteResponse<TypeConfig<R>>, RPCError<TypeConfig<R>>> {
        let message = v1::VoteRequest {
            vote: Some(vote_to_wire(rpc.vote)),
            last: rpc.last_log_id.map(id_to_wire),
            pre,
            leader_transfer: rpc.leadership_transfer,
        };
        let mut client = self.control()?;
        let answer = client.vote(self.transport.request(self.id, message));
        let answer = within(timeout, answer).await.map_err(unreachable)?;
        let vote = vote_from_wire(answer.vote).map_err(unreachable)?;
        Ok(VoteResponse::new(vote, answer.last.map(id_from_wire), answer.granted))
    }
}

/// Runs a call with a deadline.
pub(crate) async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(timeout, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer in {timeout:?}"))),
    }
}

impl<R: Response> RaftNetworkV2<TypeConfig<R>> for Peer {
    type SnapshotData = Arc<SnapshotDir>;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig<R>>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig<R>>, RPCError<TypeConfig<R>>> {
        use futures_util::StreamExt;
        let last = rpc.entries.last().map(|entry| entry.log_id).or(rpc.prev_log_id);
        let input = Box::pin(futures_util::stream::once(async { rpc }));
        let mut answers = self.stream_append(input, option).await?;
        match answers.next().await {
            None => Err(unreachable("no answer")),
            Some(Err(error)) => Err(error),
            Some(Ok(Ok(matched))) if matched == last => Ok(AppendEntriesResponse::Success),
            Some(Ok(Ok(matched))) => Ok(AppendEntriesResponse::PartialSuccess(matched)),
            Some(Ok(Err(StreamAppendError::Conflict(_)))) => Ok(AppendEntriesResponse::Conflict),
            Some(Ok(Err(StreamAppendError::HigherVote(vote)))) => Ok(AppendEntriesResponse::HigherVote(vote)),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<AppendAnswers<'s, R>, RPCError<TypeConfig<R>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig<R>>> + Send + Unpin + 'static,
    {
        Box::pin(async move {
            let link = self.link().await?;
            let answers: AppendAnswers<'s, R> = Box::pin(Exchange::new(&mut self.link, link, input));
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig<R>>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig<R>>, RPCError<TypeConfig<R>>> {
        self.ask_for_vote(rpc, false, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig<R>>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig<R>>, RPCError<TypeConfig<R>>> {
        self.ask_for_vote(rpc, true, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<LeaderId, NodeId, Member, Arc<SnapshotDir>>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig<R>>, StreamingError<TypeConfig<R>>> {
        let client = self.transport.dedicated(self.id, &self.member).map_err(unreachable)?;
        let address = |stream| self.transport.request(self.id, stream);
        let send = super::snapshot::send(client, address, vote, snapshot.meta, snapshot.snapshot);
        let sent = tokio::select! {
            sent = send => sent,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        let vote = sent.and_then(|state| vote_from_wire(Some(state)).map_err(|e| Status::internal(e.to_string())));
        Ok(SnapshotResponse::new(vote.map_err(unreachable)?))
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig<R>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig<R>>, RPCError<TypeConfig<R>>> {
        let message = v1::TransferLeaderRequest {
            from: Some(vote_to_wire(*req.from_leader())),
            to: *req.to_node_id(),
            last: req.last_log_id().copied().map(id_to_wire),
        };
        let mut client = self.control()?;
        let answer = client.transfer_leader(self.transport.request(self.id, message));
        let answer = within(option.hard_ttl(), answer).await.map_err(unreachable)?;
        if answer.accepted { Ok(Ok(())) } else { Err(unreachable(answer.reason)) }
    }
}

type AppendAnswers<'s, R> = BoxStream<'s, Result<StreamAppendResult<TypeConfig<R>>, RPCError<TypeConfig<R>>>>;
