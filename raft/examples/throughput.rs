//! Measures consensus alone: three members in one process over loopback gRPC, an fsync per batch and member, and a
//! state machine that does nothing. `cargo run --release -p kuorum-raft --example throughput [seconds] [directory]`.

#[path = "../tests/cluster/harness.rs"]
#[allow(dead_code)]
mod harness;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use harness::{Cluster, TestMember};

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let seconds = Duration::from_secs(args.next().map_or(3, |s| s.parse().expect("seconds")));
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let cluster = Cluster::start(3).await;
    for member in cluster.running() {
        let file = tempfile::tempfile_in(&dir).expect("a file in the directory");
        member.log.fsync_to(file);
    }
    println!(
        "{:>9} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "in flight", "bytes", "entries/s", "p50 µs", "p99 µs", "per sync"
    );
    for (in_flight, bytes) in [(1, 1 << 10), (8, 1 << 10), (64, 1 << 10), (256, 1 << 10), (16, 64 << 10)] {
        measure(cluster.leader().await, seconds, in_flight, bytes).await;
    }
    let mut reads = Vec::new();
    for follower in [cluster.leader().await, cluster.followers().await[0]] {
        let start = Instant::now();
        while start.elapsed() < seconds / 3 {
            let begun = Instant::now();
            follower.node().read_index().await.expect("a read index");
            reads.push(begun.elapsed());
        }
        reads.sort_unstable();
        println!("read index, one in flight: p50 {} µs", reads[reads.len() / 2].as_micros());
        reads.clear();
    }
    cluster.stop().await;
}

async fn measure(leader: &TestMember, duration: Duration, in_flight: usize, bytes: usize) {
    let command = Bytes::from(vec![7; bytes]);
    let propose = || async {
        let begun = Instant::now();
        let proposal = leader.node().propose(command.clone()).await.expect("the leader runs");
        proposal.await.map(|_| begun.elapsed()).expect("the leader stays")
    };
    let syncs = leader.log.syncs();
    let start = Instant::now();
    let mut latencies = Vec::new();
    let mut running: FuturesUnordered<_> = (0..in_flight).map(|_| propose()).collect();
    while let Some(latency) = running.next().await {
        latencies.push(latency);
        if start.elapsed() < duration {
            running.push(propose());
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    let rate = latencies.len() as f64 / elapsed;
    let per_sync = latencies.len() as f64 / (leader.log.syncs() - syncs) as f64;
    latencies.sort_unstable();
    let percentile = |p: usize| latencies[(latencies.len() - 1) * p / 100].as_micros();
    println!("{in_flight:>9} {bytes:>10} {rate:>10.0} {:>10} {:>10} {per_sync:>8.1}", percentile(50), percentile(99));
}
