//! The contract of the store, as a client sees it. One suite for every way to run a store: on memory, on RocksDB,
//! and on three members behind gRPC.

mod client;
mod contract;

pub use client::{Client, Found, PATIENCE, Session, compare, delete, put, put_for};
pub use contract::compacted;

use tonic::transport::Channel;

/// Runs every check against the members of one cluster. Keys of different checks do not meet.
///
/// # Errors
/// The first promise that was not kept.
pub async fn run(members: Vec<Channel>) -> Result<(), String> {
    contract::all(&Client::new(members)).await
}
