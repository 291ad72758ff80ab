//! The gRPC service that other members call.

use std::marker::PhantomData;

use crate::ports::StateMachine;

/// Serves the raft messages of the other members.
pub struct RaftService<M: StateMachine> {
    machine: PhantomData<fn() -> M>,
}

#[tonic::async_trait]
impl<M: StateMachine> kuorum_proto::v1::raft_server::Raft for RaftService<M> {
    type AppendStream = tonic::codec::Streaming<kuorum_proto::v1::AppendResponse>;
    async fn append(&self, _: tonic::Request<tonic::Streaming<kuorum_proto::v1::AppendRequest>>) -> Result<tonic::Response<Self::AppendStream>, tonic::Status> { unimplemented!() }
    async fn vote(&self, _: tonic::Request<kuorum_proto::v1::VoteRequest>) -> Result<tonic::Response<kuorum_proto::v1::VoteResponse>, tonic::Status> { unimplemented!() }
    async fn install_snapshot(&self, _: tonic::Request<tonic::Streaming<kuorum_proto::v1::RaftSnapshotChunk>>) -> Result<tonic::Response<kuorum_proto::v1::VoteState>, tonic::Status> { unimplemented!() }
    async fn read_index(&self, _: tonic::Request<kuorum_proto::v1::ReadIndexRequest>) -> Result<tonic::Response<kuorum_proto::v1::ReadIndexResponse>, tonic::Status> { unimplemented!() }
    async fn transfer_leader(&self, _: tonic::Request<kuorum_proto::v1::TransferLeaderRequest>) -> Result<tonic::Response<kuorum_proto::v1::TransferLeaderResponse>, tonic::Status> { unimplemented!() }
}
