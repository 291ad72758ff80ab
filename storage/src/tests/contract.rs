//! The contract suite on memory, on RocksDB and on three members; the consensus library's suite on our log and
//! state machine.

use std::time::Duration;

use kuorum_proto::v1;
use kuorum_raft::memory::MemoryLog;
use kuorum_raft::suite::Fixture;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::cluster::Cluster;
use crate::config::Config;
use crate::embedded::Embedded;
use crate::engine::{Home, LogTuning, RaftLogDb};
use crate::listen::Connection;
use crate::machine::Machine;
use crate::member::Member;
use crate::suite::{self, Client, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_memory() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { data_dir: directory.path().join("data"), ..Config::defaults() };
    let ground = |_: &crate::data_dir::DataDir| Ok((MemoryLog::default(), Home::Memory));
    let member = Member::open_on(&config, None, ground).await.unwrap();
    let (connections, waiting) = tokio::sync::mpsc::channel(16);
    let incoming = ReceiverStream::new(waiting).map(|io| Ok::<_, std::io::Error>(Connection::pipe(io)));
    let server = tokio::spawn(member.client_router().serve_with_incoming(incoming));
    let connector = crate::embedded::Connector::from_queue(connections);
    suite::run(vec![connector.channel()]).await.unwrap();
    member.shutdown().await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_rocksdb_before_and_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::start(directory.path()).await.unwrap();
    suite::run(vec![store.channel()]).await.unwrap();
    let client = Client::new(vec![store.channel()]);
    let last = client.commit(vec![], vec![put("/restart", "kept")]).await.unwrap();
    store.shutdown().await;
    let store = Embedded::start(directory.path()).await.unwrap();
    let client = Client::new(vec![store.channel()]);
    let request = v1::RangeRequest { start: "/restart".into(), linearizable: true, ..Default::default() };
    let (revision, kvs, ..) = client.range(0, request).await.unwrap();
    assert_eq!((revision, kvs.len()), (last, 1));
    assert!(client.commit(vec![], vec![put("/restart", "")]).await.unwrap() > last);
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_three_members() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    suite::run(cluster.front_end()).await.unwrap();
    cluster.same_hash().await;

    // Compaction, asked of a member that has to pass it on.
    let follower = cluster.names().into_iter().find(|n| *n != leader).unwrap();
    let client = Client::new(cluster.front_end());
    let revision = client.commit(vec![], vec![put("/compact", "")]).await.unwrap();
    let answer = cluster.operator(&follower).compact(v1::CompactRequest { revision }).await.unwrap().into_inner();
    assert_eq!(answer.compact_revision, revision);
    for member in 0..3 {
        client.session(member, "/", revision).await.unwrap().fence().await.unwrap();
    }
    suite::compacted(&client, revision).await.unwrap();
    let beyond = cluster.operator(&follower).compact(v1::CompactRequest { revision: revision + 1000 }).await;
    assert_eq!(beyond.unwrap_err().code(), tonic::Code::OutOfRange);
    cluster.same_hash().await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_compacted_by_time() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        data_dir: directory.path().into(),
        auto_compaction_retention: Duration::from_secs(1),
        ..Config::defaults()
    };
    let store = Embedded::with(config).await.unwrap();
    let client = Client::new(vec![store.channel()]);
    let revision = client.commit(vec![], vec![put("/a", "1")]).await.unwrap();
    let mut session = client.session(0, "/", revision - 1).await.unwrap();
    let wait = async {
        loop {
            client.commit(vec![], vec![put("/a", "2")]).await.unwrap();
            let request = v1::RangeRequest { start: "/a".into(), revision, ..Default::default() };
            if client.range(0, request).await.is_err_and(|s| s.code() == tonic::Code::OutOfRange) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(suite::PATIENCE, wait).await.unwrap();
    session.fence().await.expect("a session that follows is not disturbed");
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_quota_only_puts_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { data_dir: directory.path().into(), quota_backend_bytes: 1 << 20, ..Config::defaults() };
    let store = Embedded::with(config).await.unwrap();
    let client = Client::new(vec![store.channel()]);
    let mut operator = v1::cluster_client::ClusterClient::new(store.channel());
    let mut written = 0;
    let refused = loop {
        let op = put(&format!("/quota/{written}"), vec![0; 100_000]);
        match client.write(vec![], vec![op]).await.unwrap() {
            v1::txn_result::Outcome::Committed(_) => written += 1,
            other => break other,
        }
    };
    assert!((8..=11).contains(&written), "{written} puts of 100 kB fit in 1 MiB");
    let v1::txn_result::Outcome::Rejected(rejected) = refused else { panic!("{refused:?}") };
    assert_eq!(rejected.code(), v1::txn_result::rejected::Code::NoSpace);
    let wait = async {
        while operator.status(v1::StatusRequest {}).await.unwrap().into_inner().alarms.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(suite::PATIENCE, wait).await.expect("the alarm is raised");

    let small = client.write(vec![], vec![put("/quota/small", "")]).await.unwrap();
    assert!(matches!(small, v1::txn_result::Outcome::Rejected(_)), "{small:?}");
    let request =
        v1::RangeRequest { start: "/quota/".into(), end: "/quota0".into(), linearizable: true, ..Default::default() };
    assert_eq!(client.range(0, request).await.unwrap().1.len(), written);
    let deletes = (0..written).map(|i| suite::delete(&format!("/quota/{i}"))).collect();
    let revision = client.commit(vec![], deletes).await.unwrap();
    operator.compact(v1::CompactRequest { revision }).await.unwrap();
    let disarm = v1::AlarmRequest { disarm: true, ..Default::default() };
    assert_eq!(operator.alarm(disarm).await.unwrap().into_inner().alarms, vec![]);
    client.commit(vec![], vec![put("/quota/small", "")]).await.expect("space again");
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consensus_librarys_own_suite() {
    let make = || {
        let guard = tempfile::tempdir().unwrap();
        let path = |name: &str| {
            let path = guard.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let disk = RaftLogDb::open(&path("log"), LogTuning::default()).unwrap();
        let (machine, _) = Machine::open(Home::Disk(path("state"))).unwrap();
        let snapshot_dir = path("snapshots");
        Fixture { guard, disk, machine, snapshot_dir }
    };
    kuorum_raft::suite::run(make).await.unwrap();
}
