//! gRPC: the store for front-ends, the cluster for operators and members. Translates; decides nothing.

mod access;
mod cluster;
mod range;
mod session;
mod status;
mod store;
mod write;

pub use access::raft_only_peers;
pub use cluster::ClusterService;
pub use store::StoreService;
