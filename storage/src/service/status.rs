//! Errors as gRPC statuses: the only such map. The caller gets the reason, the log gets the cause.

use kuorum_raft::{AdminError, ProposeError, ReadError};
use tonic::Status;

use crate::{engine, mvcc};

pub fn from_mvcc(error: mvcc::Error) -> Status {
    match error {
        mvcc::Error::Compacted { .. } => Status::out_of_range(error.to_string()),
        mvcc::Error::Future { .. } => Status::unavailable(error.to_string()),
        mvcc::Error::Engine(error) => from_engine(error),
    }
}

pub fn from_engine(error: engine::Error) -> Status {
    tracing::error!(%error, "storage failure");
    match error {
        engine::Error::Corrupt(_) => Status::data_loss("the member's data is corrupt"),
        engine::Error::NotFound(_) => Status::not_found(error.to_string()),
        _ => Status::internal("the member's storage failed"),
    }
}

pub fn from_read(error: ReadError) -> Status {
    Status::unavailable(error.to_string())
}

pub fn from_propose(error: ProposeError) -> Status {
    match error {
        ProposeError::NotLeader(leader) => not_leader(leader.map(|l| l.member.name)),
        // Whether it happened is open: never a code that clients repeat by themselves.
        ProposeError::OutcomeUnknown => Status::unknown(error.to_string()),
        ProposeError::TooLarge(_) => Status::invalid_argument(error.to_string()),
        ProposeError::Stopped => Status::unknown(error.to_string()),
    }
}

pub fn from_admin(error: AdminError) -> Status {
    match error {
        AdminError::NotLeader(leader) => not_leader(leader.map(|l| l.member.name)),
        AdminError::Refused(message) => Status::failed_precondition(message),
        AdminError::Stopped => Status::unavailable(error.to_string()),
    }
}

fn not_leader(leader: Option<String>) -> Status {
    match leader {
        Some(name) => Status::unavailable(format!("not the leader; {name} is")),
        None => Status::unavailable("no leader"),
    }
}

/// A task of ours that panicked: a bug, not a reason to end.
pub fn from_join(error: tokio::task::JoinError) -> Status {
    tracing::error!(%error, "task failed");
    Status::internal("internal error")
}
