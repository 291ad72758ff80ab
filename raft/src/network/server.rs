//! The receiving side: checks who calls, and hands the message to the consensus core.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt};
use kuorum_proto::v1::{self, append_response::Result as Answer, raft_server::RaftServer};
use openraft::{
    Raft,
    raft::{AppendEntriesRequest, StreamAppendError, TransferLeaderRequest, VoteRequest},
    storage::Snapshot,
};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use super::{MESSAGE_BYTES_MAX, header, id_from_wire, id_to_wire, snapshot, vote_from_wire, vote_to_wire};
use crate::{
    machine::Machine,
    ports::{self, NodeId, PeerIdentity, StateMachine},
    read::ReadIndex,
    snapshot::SnapshotStore,
    types::{TypeConfig, Vote},
};

type Config<M> = TypeConfig<<M as StateMachine>::Response>;

/// Serves the raft messages of the other members.
pub struct RaftService<M: StateMachine> {
    raft: Raft<Config<M>, Machine<M>>,
    cluster_id: u64,
    id: NodeId,
    reads: ReadIndex,
    snapshots: Arc<SnapshotStore>,
    /// One snapshot is received at a time: two would only be slower, and fill the disk.
    receiving: tokio::sync::Mutex<()>,
}

impl<M: StateMachine> RaftService<M> {
    pub(crate) fn new(
        raft: Raft<Config<M>, Machine<M>>,
        cluster_id: u64,
        id: NodeId,
        reads: ReadIndex,
        snapshots: Arc<SnapshotStore>,
    ) -> RaftServer<Self> {
        RaftServer::new(Self { raft, cluster_id, id, reads, snapshots, receiving: tokio::sync::Mutex::default() })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Who sends this, if it is a member that may.
    fn sender<T>(&self, request: &Request<T>) -> Result<NodeId, Status> {
        let metadata = request.metadata();
        if number(metadata, header::CLUSTER)? != self.cluster_id {
            return Err(Status::permission_denied("the message is for another cluster"));
        }
        if number(metadata, header::TO)? != self.id {
            return Err(Status::permission_denied("the message is for another member"));
        }
        let from = number(metadata, header::FROM)?;
        let identity = request
            .extensions()
            .get::<PeerIdentity>()
            .ok_or_else(|| Status::unauthenticated("the connection has no peer certificate"))?;
        let metrics = self.raft.server_metrics();
        let metrics = openraft::async_runtime::watch::WatchReceiver::borrow_watched(&metrics);
        check_identity(metrics.membership_config.membership(), from, identity).map_err(Status::permission_denied)?;
        Ok(from)
    }
}

/// A message comes from the member that it says it comes from. While this member does not know the sender (it joins,
/// or lags behind a change of membership), a peer certificate with a name that it knows of nobody else must do.
fn check_identity(membership: &crate::types::Membership, from: NodeId, peer: &PeerIdentity) -> Result<(), String> {
    let PeerIdentity { name } = peer;
    match membership.get_node(&from) {
        Some(member) if member.name == *name => Ok(()),
        Some(member) => Err(format!("the certificate of {name:?} is not that of member {:?}", member.name)),
        None => match membership.nodes().find(|(_, member)| member.name == *name) {
            Some((id, _)) => Err(format!("{name:?} is member {id:016x}, not {from:016x}")),
            None => Ok(()),
        },
    }
}

fn number(metadata: &MetadataMap, key: &str) -> Result<u64, Status> {
    let value = metadata.get(key).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok());
    value.ok_or_else(|| Status::invalid_argument(format!("metadata {key} is missing or no number")))
}

/// The vote of a message that only the voted node itself may send.
fn own_vote(vote: Option<v1::VoteState>, from: NodeId) -> Result<Vote, Status> {
    let vote = vote_from_wire(vote).map_err(invalid)?;
    match vote.leader_id.node_id == from {
        true => Ok(vote),
        false => Err(Status::permission_denied("a member speaks for itself only")),
    }
}

fn invalid(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("the member has stopped: {error}"))
}

fn append_from_wire<M: StateMachine>(
    request: v1::AppendRequest,
    from: NodeId,
) -> Result<AppendEntriesRequest<Config<M>>, Status> {
    let entry = |entry: v1::LogEntry| {
        let entry = ports::LogEntry::try_from(entry).map_err(invalid)?;
        crate::types::Entry::try_from(entry).map_err(invalid)
    };
    let prev_log_id = request.prev.map(id_from_wire);
    let entries = request.entries.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let first = prev_log_id.map_or(0, |id| id.index.saturating_add(1));
    if entries.iter().zip(first..).any(|(entry, index)| entry.log_id.index != index) {
        return Err(Status::invalid_argument("the entries do not follow each other"));
    }
    Ok(AppendEntriesRequest {
        vote: own_vote(request.vote, from)?,
        prev_log_id,
        entries,
        leader_commit: request.commit.map(id_from_wire),
    })
}

#[tonic::async_trait]
impl<M: StateMachine> v1::raft_server::Raft for RaftService<M> {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<v1::AppendResponse, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<v1::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let from = self.sender(&request)?;
        // The core's stream has no room for a bad message: it ends there, and the reason is told behind the answers.
        let (refused_tx, mut refused) = tokio::sync::oneshot::channel();
        let requests =
            futures_util::stream::unfold((request.into_inner(), refused_tx), move |(mut input, refused)| async move {
                let refusal = match input.message().await {
                    Ok(None) => return None,
                    Ok(Some(message)) => match append_from_wire::<M>(message, from) {
                        Ok(request) => return Some((request, (input, refused))),
                        Err(status) => status,
                    },
                    Err(status) => status,
                };
                let _ = refused.send(refusal);
                None
            });
        let answers = self.raft.stream_append(requests).map(|answer| match answer {
            Ok(Ok(last)) => Ok(Answer::Matched(v1::append_response::Matched { last: last.map(id_to_wire) })),
            Ok(Err(StreamAppendError::Conflict(id))) => Ok(Answer::Conflict(id_to_wire(id))),
            Ok(Err(StreamAppendError::HigherVote(vote))) => Ok(Answer::HigherVote(vote_to_wire(vote))),
            Err(fatal) => Err(stopped(fatal)),
        });
        let answers = answers.map(|answer| answer.map(|result| v1::AppendResponse { result: Some(result) }));
        let refusal = futures_util::stream::poll_fn(move |_| std::task::Poll::Ready(refused.try_recv().ok().map(Err)));
        Ok(Response::new(Box::pin(answers.chain(refusal))))
    }

    async fn vote(&self, request: Request<v1::VoteRequest>) -> Result<Response<v1::VoteResponse>, Status> {
        let from = self.sender(&request)?;
        let message = request.into_inner();
        let rpc = VoteRequest {
            vote: own_vote(message.vote, from)?,
            last_log_id: message.last.map(id_from_wire),
            leadership_transfer: message.leader_transfer,
        };
        let answer = if message.pre { self.raft.pre_vote(rpc).await } else { self.raft.vote(rpc).await };
        let answer = answer.map_err(stopped)?;
        Ok(Response::new(v1::VoteResponse {
            vote: Some(vote_to_wire(answer.vote)),
            granted: answer.vote_granted,
            last: answer.last_log_id.map(id_to_wire),
        }))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<v1::RaftSnapshotChunk>>,
    ) -> Result<Response<v1::VoteState>, Status> {
        let from = self.sender(&request)?;
        let Ok(_one) = self.receiving.try_lock() else {
            return Err(Status::resource_exhausted("another snapshot is being received"));
        };
        let dir = self.snapshots.partial().map_err(|e| Status::internal(format!("no place for a snapshot: {e}")))?;
        let received = snapshot::receive(request.into_inner(), dir).await?;
        own_vote(Some(vote_to_wire(received.vote)), from)?;
        let snapshot = Snapshot { meta: received.meta, snapshot: received.dir };
        let answer = self.raft.install_full_snapshot(received.vote, snapshot).await.map_err(stopped)?;
        Ok(Response::new(vote_to_wire(answer.vote)))
    }

    async fn read_index(
        &self,
        request: Request<v1::ReadIndexRequest>,
    ) -> Result<Response<v1::ReadIndexResponse>, Status> {
        self.sender(&request)?;
        let index = self.reads.local().await.map_err(|e| Status::unavailable(e.to_string()))?;
        Ok(Response::new(v1::ReadIndexResponse { index }))
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::TransferLeaderRequest>,
    ) -> Result<Response<v1::TransferLeaderResponse>, Status> {
        let from = self.sender(&request)?;
        let message = request.into_inner();
        let leader = own_vote(message.from, from)?;
        let rpc = TransferLeaderRequest::new(leader, message.to, message.last.map(id_from_wire));
        let outcome = self.raft.handle_transfer_leader(rpc).await.map_err(stopped)?;
        Ok(Response::new(v1::TransferLeaderResponse {
            accepted: outcome.is_ok(),
            reason: outcome.err().map(|e| e.to_string()).unwrap_or_default(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{memory::MemoryMachine, ports::Member};

    #[test]
    fn a_sender_must_have_the_certificate_of_the_member_it_claims_to_be() {
        let member = |name: &str| Member { name: name.into(), ..Member::default() };
        let membership = crate::types::Membership::new(
            vec![[1, 2].into()],
            std::collections::BTreeMap::from([(1, member("a")), (2, member("b"))]),
        )
        .unwrap();
        let check = |from, name: &str| check_identity(&membership, from, &PeerIdentity { name: name.into() });
        assert!(check(1, "a").is_ok());
        assert!(check(1, "b").is_err());
        assert!(check(3, "b").is_err());
        assert!(check(3, "newcomer").is_ok());
    }

    #[test]
    fn appends_that_cannot_be_are_refused() {
        let vote = Some(v1::VoteState { term: 1, node_id: 7, committed: true });
        let entry = |index| v1::LogEntry {
            id: Some(v1::LogId { term: 1, node_id: 7, index }),
            payload: Some(v1::log_entry::Payload::Blank(v1::log_entry::Blank {})),
        };
        let prev = Some(v1::LogId { term: 1, node_id: 7, index: 4 });
        let good = v1::AppendRequest { vote, prev, entries: vec![entry(5), entry(6)], commit: None };
        let check = |request: v1::AppendRequest| append_from_wire::<MemoryMachine>(request, 7).map(|_| ());
        assert!(check(good.clone()).is_ok());
        assert!(check(v1::AppendRequest { vote: None, ..good.clone() }).is_err());
        assert!(check(v1::AppendRequest { prev: None, ..good.clone() }).is_err());
        assert!(check(v1::AppendRequest { entries: vec![entry(5), entry(7)], ..good.clone() }).is_err());
        assert!(check(v1::AppendRequest { entries: vec![v1::LogEntry::default()], ..good.clone() }).is_err());
        assert!(append_from_wire::<MemoryMachine>(good, 8).is_err());
    }
}
