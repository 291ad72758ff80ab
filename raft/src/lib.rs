//! Consensus for kuorum's store, on openraft: a replicated log of opaque commands, ports for its disk and its state
//! machine, the wire between members, and [`Node`], the handle of one member. No other crate names openraft.

pub mod config;
pub mod network;
pub mod node;
pub mod ports;

pub use config::NodeConfig;
pub use node::{AdminError, Leader, Node, ProposeError, ReadError, StartError, Status};

use ports::NodeId;

/// The id of the cluster that an operator's token (`--initial-cluster-token`) names. Never 0.
pub fn cluster_id(token: &str) -> u64 {
    ids::hash(&[token.as_bytes()])
}

/// The id of an initial member, the same on every machine. A member that is added later needs an id that was never
/// used: pass what makes it so (a random number, the time) as `salt`; initial members pass 0. Never 0.
pub fn member_id(cluster_id: u64, name: &str, salt: u64) -> NodeId {
    ids::hash(&[&cluster_id.to_be_bytes(), name.as_bytes(), &salt.to_be_bytes()])
}

mod ids;
