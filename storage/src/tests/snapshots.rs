//! Members that come and go, and clusters made from a snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use kuorum_proto::v1;

use super::cluster::Cluster;
use crate::snapshot::{self, REVISION_BUMP, Restore};
use crate::suite::{Client, PATIENCE, put};

async fn write(client: &Client, prefix: &str, keys: usize) -> u64 {
    let mut last = 0;
    for i in 0..keys {
        last = client.commit(vec![], vec![put(&format!("/{prefix}/{i}"), vec![0; 500])]).await.unwrap();
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_member_gets_a_snapshot_and_a_removed_one_is_gone() {
    // So few entries stay in the log that a new member cannot be served from it.
    let mut cluster = Cluster::start_with(3, |config| config.snapshot_count = 50).await;
    cluster.leader().await;
    let client = Client::new(cluster.front_end());
    let last = write(&client, "before", 300).await;
    cluster.configure("m4").await;
    let peer_urls = cluster.configs["m4"].listen_peer_urls.clone();
    let mut initial = cluster.configs["m1"].initial_cluster.clone();
    initial.push_str(&format!(",m4={}", peer_urls[0]));
    let config = cluster.configs.get_mut("m4").unwrap();
    (config.initial_cluster, config.initial_cluster_state) = (initial, "existing".into());
    let add = v1::MemberAddRequest { name: "m4".into(), peer_urls, client_urls: vec![], learner: false };
    let members = cluster.operator("m2").member_add(add).await.unwrap().into_inner().members;
    assert_eq!(members.len(), 4);
    cluster.launch("m4").await;
    let promoted = async {
        loop {
            let list = cluster.operator("m1").member_list(v1::MemberListRequest {}).await;
            let members = list.map(|l| l.into_inner().members).unwrap_or_default();
            if members.iter().any(|m| m.name == "m4" && !m.learner) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, promoted).await.expect("the new member has a vote");
    cluster.same_hash().await;
    let client = Client::new(cluster.front_end());
    assert!(write(&client, "after", 10).await > last);
    let mut session = client.session(3, "/after/", last).await.unwrap();
    session.fence().await.unwrap();
    assert_eq!(session.events.len(), 10);

    let id = cluster.operator("m1").member_list(v1::MemberListRequest {}).await.unwrap().into_inner().members;
    let id = id.iter().find(|m| m.name == "m4").unwrap().id;
    cluster.stop("m4").await;
    let left = cluster.operator("m1").member_remove(v1::MemberIdRequest { id }).await.unwrap().into_inner().members;
    assert_eq!(left.len(), 3);
    write(&client, "last", 3).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_moves_on_request_and_at_shutdown() {
    let mut cluster = Cluster::start(3).await;
    let first = cluster.leader().await;
    let client = Client::new(cluster.front_end());
    write(&client, "move", 3).await;
    let members = cluster.operator(&first).member_list(v1::MemberListRequest {}).await.unwrap().into_inner().members;
    let other = members.iter().find(|m| m.name != first).unwrap();
    cluster.operator(&first).move_leader(v1::MemberIdRequest { id: other.id }).await.unwrap();
    let now = cluster.leader().await;
    assert_eq!(now, other.name);
    write(&client, "move", 3).await;
    cluster.stop(&now).await;
    assert_ne!(cluster.leader().await, now);
    write(&client, "move", 3).await;
    cluster.launch(&now).await;
    cluster.same_hash().await;
    cluster.shutdown().await;
}

async fn save(cluster: &Cluster, name: &str, file: &std::path::Path) {
    let mut chunks = cluster.operator(name).snapshot(v1::SnapshotRequest {}).await.unwrap().into_inner();
    let (mut bytes, mut digest) = (Vec::new(), None);
    while let Some(chunk) = chunks.message().await.unwrap() {
        assert_eq!(chunk.offset, bytes.len() as u64);
        assert_eq!(chunk.crc32, crc32fast::hash(&chunk.data));
        bytes.extend_from_slice(&chunk.data);
        digest = (!chunk.sha256.is_empty()).then_some(chunk.sha256);
    }
    let expected = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
    assert_eq!(digest.expect("the last chunk has the checksum"), expected.as_slice());
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_becomes_a_new_cluster() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let client = Client::new(cluster.front_end());
    let last = write(&client, "saved", 50).await;
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("snapshot");
    save(&cluster, &leader, &file).await;
    let info = snapshot::status(&file).unwrap();
    assert_eq!((info.revision, info.keys), (last, 50));
    let hash = cluster.operator(&leader).hash_kv(v1::HashKvRequest { revision: last }).await.unwrap().into_inner();
    assert_eq!(info.hash, hash.hash);
    cluster.shutdown().await;

    // Every byte is checked.
    let bytes = std::fs::read(&file).unwrap();
    let damaged = file.with_extension("damaged");
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut copy = bytes.clone();
        copy[at] ^= 0x20;
        std::fs::write(&damaged, &copy).unwrap();
        snapshot::status(&damaged).expect_err("a changed byte is noticed");
    }
    std::fs::write(&damaged, &bytes[..bytes.len() - 1]).unwrap();
    snapshot::status(&damaged).expect_err("a missing byte is noticed");

    let mut restored = Cluster::start(0).await;
    for name in ["m1", "m2", "m3"] {
        restored.configure(name).await;
    }
    let peers: BTreeMap<_, _> =
        restored.configs.values().map(|c| (c.name.clone(), c.listen_peer_urls.clone())).collect();
    let initial: Vec<_> = peers.iter().map(|(n, u)| format!("{n}={}", u[0])).collect();
    for config in restored.configs.values_mut() {
        config.initial_cluster = initial.join(",");
        let options = Restore {
            data_dir: config.data_dir.clone(),
            name: config.name.clone(),
            initial_cluster: peers.clone(),
            initial_cluster_token: config.initial_cluster_token.clone(),
        };
        snapshot::restore(&file, &options).unwrap();
        snapshot::restore(&file, &options).expect_err("the directory holds data now");
    }
    for name in restored.names() {
        restored.launch(&name).await;
    }
    restored.leader().await;
    restored.same_hash().await;
    let client = Client::new(restored.front_end());
    let request =
        v1::RangeRequest { start: "/saved/".into(), end: "/saved0".into(), linearizable: true, ..Default::default() };
    let (revision, kvs, ..) = client.range(1, request).await.unwrap();
    assert_eq!((revision, kvs.len()), (last + REVISION_BUMP, 50));
    let mut session = client.session(0, "/", last).await.unwrap();
    assert_eq!(session.next().await.unwrap(), crate::suite::Found::Compacted(last + REVISION_BUMP));
    assert_eq!(client.commit(vec![], vec![put("/new", "")]).await.unwrap(), last + REVISION_BUMP + 1);
    restored.shutdown().await;
}
