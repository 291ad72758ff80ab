//! A front-end's view of the store: transactions and fences over gRPC, a snapshot cache, watches.
//!
//! Knows keys and bytes, and of an object only what lists and watches select on; kinds stay outside.
//!
//! - [`Store`]: fences, transactions, the registered resources. Cheap to clone.
//! - [`Resource`]: every current object of one key prefix, in memory; snapshots and watches of it.
//! - [`value`]: the stored format (`docs/architecture.md`, "Values").

mod apply;
mod error;
mod history;
mod load;
mod memory;
mod object;
mod observer;
mod ordered;
mod remote;
mod resource;
mod snapshot;
mod store;
mod transform;
mod txn;
pub mod value;
pub mod watch;

pub use error::StoreError;
pub use memory::Memory;
pub use object::{Labels, Object};
pub use observer::Observer;
pub use remote::connect::{Config, Connect, ConnectError, TlsFiles, endpoint};
pub use resource::{Field, Resource, ResourceSpec};
pub use snapshot::{Snapshot, SnapshotError, Walk};
pub use store::Store;
pub use transform::{Seal, Unreadable, ValueTransformer};
pub use txn::{CommitOutcome, Expect, Txn};
