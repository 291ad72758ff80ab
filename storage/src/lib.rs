//! The store: keys, bytes and revisions, replicated. Knows nothing of Kubernetes kinds.
//!
//! `engine` has the disk, `mvcc` decides, `machine` joins both under consensus, `watch` fans events out, `service`
//! speaks gRPC, `member` assembles it all. [`run`] is a member of a cluster, [`Embedded`] one inside another process.

mod compare;
pub mod config;
mod connect;
mod data_dir;
mod embedded;
pub mod engine;
mod error;
mod fence;
mod housekeeping;
mod listen;
pub mod machine;
mod member;
mod metrics;
pub mod mvcc;
mod propose;
mod service;
pub mod snapshot;
pub mod suite;
#[cfg(test)]
mod tests;
mod tls;
pub mod watch;

pub use config::Config;
pub use embedded::{Connector, Embedded};
pub use error::{Error, Result};
pub use member::{MESSAGE_BYTES_MAX, run};
