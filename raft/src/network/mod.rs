//! The wire between members: protobuf over gRPC.

pub mod server;
