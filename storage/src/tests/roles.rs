//! A certificate does what its role may, and nothing else.

use kuorum_proto::v1;
use kuorum_proto::v1::cluster_client::ClusterClient;
use kuorum_proto::v1::raft_client::RaftClient;
use kuorum_proto::v1::store_client::StoreClient;
use tonic::Code;

use super::cluster::{Cluster, Pki};
use crate::suite::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_are_kept_apart() {
    let cluster = Cluster::start(1).await;
    cluster.leader().await;
    let config = &cluster.configs["m1"];
    let (peer_url, client_url) = (&config.listen_peer_urls[0], &config.listen_client_urls[0]);
    let vote = |from: u64| {
        let mut request = tonic::Request::new(v1::VoteRequest::default());
        let cluster_id = kuorum_raft::cluster_id(&config.initial_cluster_token);
        let own = kuorum_raft::member_id(cluster_id, "m1", 0);
        for (key, id) in [("kuorum-cluster", cluster_id), ("kuorum-from", from), ("kuorum-to", own)] {
            request.metadata_mut().insert(key, id.to_string().parse().unwrap());
        }
        request
    };

    // The raft service: peers only, and each as itself.
    for organization in ["kuorum:front-end", "kuorum:operator", "somebody else"] {
        let mut raft = RaftClient::new(cluster.pki.channel(peer_url, "x", organization));
        assert_eq!(raft.vote(vote(7)).await.unwrap_err().code(), Code::PermissionDenied, "{organization}");
    }
    let own = kuorum_raft::member_id(kuorum_raft::cluster_id(&config.initial_cluster_token), "m1", 0);
    let mut raft = RaftClient::new(cluster.pki.channel(peer_url, "impostor", "kuorum:peer"));
    assert_eq!(raft.vote(vote(own)).await.unwrap_err().code(), Code::PermissionDenied);

    // The client listener has no raft service at all.
    let mut raft = RaftClient::new(cluster.pki.channel(client_url, "m1", "kuorum:peer"));
    assert_eq!(raft.vote(vote(7)).await.unwrap_err().code(), Code::Unimplemented);

    // Front-ends do not administrate, operators do not write.
    let mut admin = ClusterClient::new(cluster.pki.channel(client_url, "f", "kuorum:front-end"));
    assert_eq!(admin.compact(v1::CompactRequest { revision: 1 }).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(admin.snapshot(v1::SnapshotRequest {}).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(admin.member_remove(v1::MemberIdRequest { id: own }).await.unwrap_err().code(), Code::PermissionDenied);
    admin.status(v1::StatusRequest {}).await.expect("status is for everybody");
    for organization in ["kuorum:operator", "kuorum:peer", ""] {
        let mut store = StoreClient::new(cluster.pki.channel(client_url, "o", organization));
        let refused = store.write(tokio_stream::empty()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{organization}");
    }

    // Another authority's certificates, or none, do not even connect.
    let other = Pki::new(&cluster.root.path().join("other"));
    std::fs::copy(cluster.pki.authority(), other.authority()).unwrap();
    let mut store = ClusterClient::new(other.channel(client_url, "f", "kuorum:front-end"));
    assert!(store.status(v1::StatusRequest {}).await.is_err());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_used_without_a_restart() {
    let cluster = Cluster::start(1).await;
    cluster.leader().await;
    // A second authority: both are trusted, then the certificate is replaced.
    let next = Pki::new(&cluster.root.path().join("next"));
    let (crt, key) = next.issue("m1", "kuorum:peer");
    let both = [cluster.pki.authority(), next.authority()].map(|p| std::fs::read_to_string(p).unwrap()).concat();
    std::fs::write(cluster.pki.authority(), &both).unwrap();
    std::fs::copy(&crt, cluster.configs["m1"].cert_file.as_ref().unwrap()).unwrap();
    std::fs::copy(&key, cluster.configs["m1"].key_file.as_ref().unwrap()).unwrap();
    let url = &cluster.configs["m1"].listen_client_urls[0];
    let wait = async {
        loop {
            let client = Client::new(vec![next.channel(url, "f", "kuorum:front-end")]);
            let range = client.range(0, v1::RangeRequest { start: "/".into(), ..Default::default() });
            if range.await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::suite::PATIENCE, wait).await.expect("the new authority's clients get in");
    cluster.shutdown().await;
}
