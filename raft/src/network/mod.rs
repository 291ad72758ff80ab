//! The wire between members: protobuf over gRPC, one pipelined append stream per follower.

pub(crate) mod client;
mod exchange;
pub mod server;
mod snapshot;

use std::time::Duration;

use kuorum_proto::v1;
use tonic::transport::Endpoint;

use crate::{
    ports,
    types::{Entry, LogId, Vote},
    wire::Incomplete,
};

/// The largest message between members: one read of the log, plus one entry that is as large as entries get.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Append requests on the way to one follower, sent but not answered.
const APPEND_WINDOW: usize = 64;

/// A connection that cannot be made in this time counts as failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// An idle connection is probed this often, and given up when there is no answer for [`KEEPALIVE_TIMEOUT`]: a peer
/// that was cut off the network leaves no other sign.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Flow-control window: what may be on the way to a follower that does not read, per stream and per connection.
const WINDOW_BYTES: u32 = 8 << 20;

/// Settings that every connection between members should have. A [`ports::Connector`] starts from this.
pub fn tune(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
}

/// Metadata of every request: the cluster, the sender, and the member that is meant.
mod header {
    pub(super) const CLUSTER: &str = "kuorum-cluster";
    pub(super) const FROM: &str = "kuorum-from";
    pub(super) const TO: &str = "kuorum-to";
}

fn id_to_wire(id: LogId) -> v1::LogId {
    ports::LogId::from(id).into()
}

fn id_from_wire(id: v1::LogId) -> LogId {
    ports::LogId::from(id).into()
}

fn vote_to_wire(vote: Vote) -> v1::VoteState {
    ports::Vote::from(vote).into()
}

fn vote_from_wire(vote: Option<v1::VoteState>) -> Result<Vote, Incomplete> {
    Ok(ports::Vote::from(vote.ok_or(Incomplete("vote"))?).into())
}

fn entry_to_wire(entry: Entry) -> v1::LogEntry {
    ports::LogEntry::from(entry).into()
}
