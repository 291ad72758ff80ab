//! Consensus for kuorum's store, on openraft: a replicated log of opaque commands, ports for its disk and its state
//! machine, the wire between members, and [`Node`], the handle of one member. No other crate names openraft.
//!
//! A proposal's way: [`Node::propose`] → the consensus core → the log IO thread (one fsync for all that waits) and, at
//! the same time, the append stream to each follower → committed → the apply worker (many entries at once) → the
//! proposer. Nothing but the append waits for the fsync.

mod admin;
pub mod config;
mod ids;
mod log_io;
mod log_store;
mod machine;
pub mod memory;
mod monitor;
pub mod network;
pub mod node;
pub mod ports;
mod read;
mod snapshot;
pub mod suite;
mod tail;
mod types;
pub mod wire;

pub use config::{ConfigError, NodeConfig};
pub use node::{AdminError, Leader, Node, Proposal, ProposeError, ReadError, StartError, Status};
use ports::NodeId;
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The id of the cluster that an operator's token (`--initial-cluster-token`) names. Never 0.
pub fn cluster_id(token: &str) -> u64 {
    ids::hash(&[token.as_bytes()])
}

/// The id of an initial member, the same on every machine. A member that is added later needs an id that was never
/// used: pass what makes it so (a random number, the time) as `salt`; initial members pass 0. Never 0.
pub fn member_id(cluster_id: u64, name: &str, salt: u64) -> NodeId {
    ids::hash(&[&cluster_id.to_be_bytes(), name.as_bytes(), &salt.to_be_bytes()])
}

/// Runs a call that may wait for the disk, without holding up the other tasks of this thread. See [`guarded`].
fn blocking<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let call = || guarded(call);
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(call),
        _ => call(),
    }
}

/// Calls a port, and makes a panic in it an error. Errors of the ports are fatal and tell the process to exit; a panic
/// would only end one task, and leave a member that leads but never applies. Nothing is called on the port afterwards.
fn guarded<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        Err(io::Error::other(format!("panic: {}", message.unwrap_or("of unknown cause"))))
    })
}
