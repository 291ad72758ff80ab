//! The wire, no logic: the messages and services of `proto/*.proto`, generated at build time.

/// Every message and service lives in one protobuf package.
pub mod v1 {
    #![allow(clippy::all, missing_docs)]
    tonic::include_proto!("kuorum.v1");
}
