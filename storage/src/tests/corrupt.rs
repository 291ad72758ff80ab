//! A member whose data has changed behind its back: it is found out, and nobody is served from it.

use kuorum_proto::v1;
use kuorum_proto::v1::store_client::StoreClient;
use std::time::Duration;
use tonic::Code;

use super::cluster::Cluster;
use crate::engine::Home;
use crate::mvcc::{Alarm, key};
use crate::suite::{Client, PATIENCE, put};

/// Changes a byte of a value on a stopped member's disk, where no checksum of blocks can see it.
fn damage(cluster: &Cluster, name: &str, user_key: &str) {
    let engine = Home::Disk(cluster.configs[name].data_dir.join("state")).open().unwrap();
    let row_key = key::current(user_key.as_bytes());
    let mut row = engine.get(&row_key).unwrap().expect("the key is there");
    *row.last_mut().unwrap() ^= 1;
    let mut batch = engine.batch();
    batch.put(&row_key, &row);
    engine.write(batch).unwrap();
    engine.flush().unwrap();
}

async fn alarms(cluster: &Cluster, name: &str) -> Vec<v1::ActiveAlarm> {
    let asked = cluster.operator(name).alarm(v1::AlarmRequest::default()).await;
    asked.map(|answer| answer.into_inner().alarms).unwrap_or_default()
}

async fn raised(cluster: &Cluster, name: &str) -> Vec<v1::ActiveAlarm> {
    let raised = async {
        loop {
            let alarms = alarms(cluster, name).await;
            if !alarms.is_empty() {
                return alarms;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, raised).await.expect("the alarm is raised")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_other_data_is_found_and_serves_nobody() {
    let check = |config: &mut crate::Config| config.corrupt_check_time = Duration::from_millis(300);
    let mut cluster = Cluster::start_with(3, check).await;
    let leader = cluster.leader().await;
    let client = Client::new(cluster.front_end());
    for i in 0..20 {
        client.commit(vec![], vec![put(&format!("/corrupt/{i}"), "right")]).await.unwrap();
    }
    cluster.same_hash().await;
    assert_eq!(alarms(&cluster, &leader).await, []);

    let (bad, position) = match leader.as_str() {
        "m3" => ("m2", 1),
        _ => ("m3", 2),
    };
    cluster.stop(bad).await;
    damage(&cluster, bad, "/corrupt/7");
    cluster.launch(bad).await;
    let found = raised(&cluster, &leader).await;
    let members = cluster.operator(&leader).member_list(v1::MemberListRequest {}).await.unwrap().into_inner().members;
    let id = members.iter().find(|member| member.name == bad).unwrap().id;
    assert_eq!(found, [v1::ActiveAlarm { member_id: id, kind: Alarm::CORRUPT.into() }]);

    // It refuses clients, old and new, but still tells operators how it is.
    let channels = cluster.front_end();
    let mut refusing = StoreClient::new(channels[position].clone());
    let range = || v1::RangeRequest { start: "/corrupt/7".into(), ..Default::default() };
    let refused = async {
        loop {
            match refusing.range(range()).await {
                Err(status) if status.code() == Code::DataLoss => return,
                // It has yet to hear of the alarm.
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("reads are refused");
    let open = v1::SessionRequest { request: None };
    assert_eq!(refusing.session(tokio_stream::iter([open])).await.unwrap_err().code(), Code::DataLoss);
    let write = v1::WriteRequest::default();
    assert_eq!(refusing.write(tokio_stream::iter([write])).await.unwrap_err().code(), Code::DataLoss);
    let history = v1::HistoryRequest::default();
    assert_eq!(refusing.history(history).await.unwrap_err().code(), Code::DataLoss);
    let snapshot = cluster.operator(bad).snapshot(v1::SnapshotRequest {}).await;
    assert_eq!(snapshot.unwrap_err().code(), Code::DataLoss);
    let status = cluster.operator(bad).status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.alarms, [format!("{id}:CORRUPT")]);

    // The others go on, also with writes.
    let right: Vec<_> = (0..3).filter(|at| *at != position).map(|at| channels[at].clone()).collect();
    let client = Client::new(right);
    client.commit(vec![], vec![put("/corrupt/other", "right")]).await.unwrap();
    client.commit(vec![], vec![put("/corrupt/new", "")]).await.unwrap();

    // As a leader it steps aside.
    let _ = cluster.operator(&leader).move_leader(v1::MemberIdRequest { id }).await;
    let aside = async {
        while cluster.leader().await == bad {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, aside).await.expect("another member leads");
    client.commit(vec![], vec![put("/corrupt/after", "")]).await.unwrap();

    // Disarmed without a cure, it is raised again; with one (the key is written anew), the member serves again.
    let disarm = || v1::AlarmRequest { disarm: true, member_id: id, kind: Alarm::CORRUPT.into() };
    assert_eq!(cluster.operator(&leader).alarm(disarm()).await.unwrap().into_inner().alarms, []);
    assert_eq!(raised(&cluster, &leader).await, found);
    client.commit(vec![], vec![put("/corrupt/7", "right again")]).await.unwrap();
    cluster.operator(&leader).alarm(disarm()).await.unwrap();
    let served = async {
        while refusing.range(range()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("it serves again");
    cluster.same_hash().await;
    assert_eq!(alarms(&cluster, &leader).await, []);
    cluster.shutdown().await;
}
