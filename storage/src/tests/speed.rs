//! Figures, not tests: run with `--run-ignored only --no-capture`. Three members, mTLS and fsync, in one process
//! with the clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kuorum_proto::v1::{WriteRequest, txn_result::Outcome};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::cluster::Cluster;
use crate::suite::{Client, PATIENCE, put};

/// Processor time of this process so far.
fn cpu() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let of = |t: nix::sys::time::TimeVal| Duration::new(t.tv_sec() as u64, t.tv_usec() as u32 * 1000);
    of(usage.user_time()) + of(usage.system_time())
}

/// Sends `total` creates with `in_flight` at a time on one stream; returns the time it took.
async fn creates(
    client: &Client,
    leader: usize,
    prefix: &str,
    total: usize,
    in_flight: usize,
) -> (Duration, Vec<Duration>) {
    let (requests, receiver) = mpsc::channel(in_flight.max(1));
    let mut answers = client.member(leader).write(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let value = bytes::Bytes::from(vec![b'v'; 1000]);
    let (mut sent, mut done, mut acked) = (0, 0, 0);
    let began = Instant::now();
    let mut times = std::collections::BTreeMap::new();
    let mut newest = 0;
    let mut latencies = Vec::with_capacity(total);
    while done < total {
        let mut txns = Vec::new();
        while sent < total && sent - done < in_flight {
            let txn = client.txn(
                vec![crate::suite::compare(&format!("/{prefix}/{sent}"), 0)],
                vec![put(&format!("/{prefix}/{sent}"), value.clone())],
            );
            newest = txn.seq;
            times.insert(txn.seq, Instant::now());
            txns.push(txn);
            sent += 1;
        }
        if !txns.is_empty() {
            let request = WriteRequest { client_id: client.id(), acked_below: acked, txns };
            requests.send(request).await.unwrap();
        }
        let answer = answers.message().await.unwrap().expect("an open stream");
        assert!(answer.not_leader.is_none(), "leadership moved");
        for result in answer.results {
            assert!(matches!(result.outcome, Some(Outcome::Committed(_))), "{result:?}");
            latencies.push(times.remove(&result.seq).unwrap().elapsed());
            done += 1;
        }
        acked = times.first_key_value().map_or(newest + 1, |(seq, _)| *seq);
    }
    (began.elapsed(), latencies)
}

fn percentile(latencies: &mut [Duration], percent: usize) -> Duration {
    latencies.sort();
    latencies[(latencies.len() - 1) * percent / 100]
}

/// Resident memory of this process: what it allocated, and pages of its program file.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let megabytes = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
    };
    format!("{} MB allocated and {} MB of files", megabytes("RssAnon:"), megabytes("RssFile:"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn memory() {
    println!("process before: {}", resident());
    let cluster = Cluster::start(1).await;
    cluster.leader().await;
    println!("one empty member: {}", resident());
    let client = Client::new(cluster.front_end());
    for part in 0..8 {
        creates(&client, 0, &format!("memory-{part}"), 2_000, 128).await;
    }
    println!("one member with 16,000 objects of 1 kB: {}", resident());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn figures() {
    for members in [1, 3] {
        let cluster = Cluster::start(members).await;
        let leader_name = cluster.leader().await;
        let leader = cluster.names().iter().position(|n| *n == leader_name).unwrap();
        let client = Arc::new(Client::new(cluster.front_end()));
        creates(&client, leader, "warm", 2_000, 64).await;
        for (in_flight, total) in [(1, 2_000), (16, 20_000), (128, 60_000), (512, 60_000)] {
            let before = cpu();
            let prefix = format!("{members}-{in_flight}");
            let (took, mut latencies) = creates(&client, leader, &prefix, total, in_flight).await;
            println!(
                "{members} members, {in_flight:>3} in flight: {:>7.0} creates/s, cpu {:>4} us each, p50 {:?} p99 {:?}",
                total as f64 / took.as_secs_f64(),
                (cpu() - before).as_micros() / total as u128,
                percentile(&mut latencies, 50),
                percentile(&mut latencies, 99),
            );
        }
        for member in 0..members {
            let mut session = client.session(member, "/none/", 0).await.unwrap();
            session.fence().await.unwrap();
            let (began, before) = (Instant::now(), cpu());
            for _ in 0..1_000 {
                session.fence().await.unwrap();
            }
            let each = began.elapsed() / 1_000;
            println!("fence on member {member}: {each:?} each, cpu {:?} each", (cpu() - before) / 1_000);
        }
        assert!(tokio::time::timeout(PATIENCE, cluster.shutdown()).await.is_ok());
    }
}
