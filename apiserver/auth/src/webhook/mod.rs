//! Webhooks that this server calls: where they are (a kubeconfig file), how they are called, how often again.
//!
//! Shared by token review, subject access review and audit.

mod backoff;
mod client;
mod kubeconfig;
mod tls;

#[cfg(test)]
pub mod test_server;
#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use client::{CallError, Client};
pub use kubeconfig::{Kubeconfig, KubeconfigError};
pub use tls::{TrustError, client_config, roots, system_roots};
