//! Why a member does not start, or stopped. Each is one line for the operator.

use crate::{config, engine};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error("listen on {address}: {source}")]
    Listen { address: String, source: std::io::Error },
    #[error("the data directory belongs to member {found:?}, not to {wanted:?}")]
    WrongMember { found: String, wanted: String },
    #[error("join the cluster: {0}")]
    Join(String),
    #[error(transparent)]
    Start(#[from] kuorum_raft::StartError),
    #[error(transparent)]
    Admin(#[from] kuorum_raft::AdminError),
    #[error("the member left service: {0}")]
    LeftService(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
