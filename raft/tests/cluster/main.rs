//! Three members in one process, over real gRPC on loopback: elections, replication, failover, membership, reads.

mod harness;

use std::{collections::BTreeMap, time::Duration};

use harness::{Cluster, eventually};
use kuorum_raft::{AdminError, ProposeError, Status, memory::Fault, ports::Member};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn elects_replicates_and_applies_in_the_same_order_everywhere() {
    let cluster = Cluster::start(3).await;
    let expected = cluster.propose_many("a", 200).await;
    cluster.converge().await;
    for member in cluster.running() {
        assert_eq!(member.machine.commands(), expected, "on {}", member.name);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pipelined_proposals_keep_their_order_and_share_fsyncs() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let before = leader.log.syncs();
    let mut proposals = Vec::new();
    for i in 0..1000 {
        proposals.push(leader.node().propose(format!("p{i}").into()).await.unwrap());
    }
    let mut last = 0;
    for proposal in proposals {
        let (index, _) = proposal.await.unwrap();
        assert!(index > last);
        last = index;
    }
    let syncs = leader.log.syncs() - before;
    assert!(syncs < 500, "{syncs} fsyncs for 1000 proposals");
    assert!(leader.machine.batches() < 900, "{} applies", leader.machine.batches());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_follower_refuses_proposals_and_names_the_leader() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.followers().await.remove(0);
    match follower.node().propose("x".into()).await.unwrap().await {
        Err(ProposeError::NotLeader(Some(named))) => {
            assert_eq!((named.id, named.member.name.as_str()), (leader.id, leader.name.as_str()));
        }
        other => panic!("{other:?}"),
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn survives_the_loss_of_its_leader_and_takes_it_back() {
    let mut cluster = Cluster::start(3).await;
    let mut expected = cluster.propose_many("before", 20).await;
    let dead = cluster.leader().await.index;
    cluster.kill(dead).await;
    expected.extend(cluster.propose_many("without", 20).await);
    cluster.restart(dead).await;
    expected.extend(cluster.propose_many("after", 20).await);
    cluster.converge().await;
    for member in cluster.running() {
        assert_eq!(member.machine.commands(), expected, "on {}", member.name);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_when_all_lose_power() {
    let mut cluster = Cluster::start(3).await;
    let expected = cluster.propose_many("kept", 50).await;
    for index in 0..3 {
        cluster.cut_power(index).await;
    }
    for index in 0..3 {
        cluster.restart(index).await;
    }
    cluster.propose_many("again", 1).await;
    cluster.converge().await;
    for member in cluster.running() {
        assert_eq!(member.machine.commands()[..50], expected, "on {}", member.name);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_member_that_lags_behind_the_log_catches_up_by_snapshot() {
    let mut cluster = Cluster::start(3).await;
    cluster.propose_many("first", 10).await;
    let lagging = cluster.followers().await[0].index;
    cluster.kill(lagging).await;
    let mut total = cluster.propose_many("more", 300).await.len() + 10;
    let leader = cluster.leader().await;
    leader.node().snapshot().await.unwrap();
    eventually("the log is purged", || leader.log.purged_index() > Some(200)).await;
    cluster.restart(lagging).await;
    cluster.converge().await;
    let caught_up = cluster.member(lagging);
    assert_eq!(caught_up.machine.commands(), cluster.leader().await.machine.commands());
    eventually("it purges what the snapshot covers", || caught_up.log.purged_index() > Some(200)).await;

    // It has a snapshot of its own from then on, also after a restart.
    cluster.kill(lagging).await;
    cluster.restart(lagging).await;
    total += cluster.propose_many("last", 10).await.len();
    cluster.converge().await;
    assert_eq!(cluster.member(lagging).machine.commands().len(), total);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leadership_moves_to_the_member_that_is_asked_for() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.followers().await.remove(0);
    assert!(matches!(follower.node().transfer_leader(None).await, Err(AdminError::NotLeader(Some(_)))));
    assert!(matches!(leader.node().transfer_leader(Some(77)).await, Err(AdminError::Refused(_))));
    leader.node().transfer_leader(Some(follower.id)).await.unwrap();
    eventually("the follower leads", || follower.node().leads()).await;
    cluster.propose_many("after", 5).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_graceful_shutdown_hands_leadership_over_first() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let followers = cluster.followers().await;
    let term = leader.node().status().borrow().term;
    leader.node().shutdown().await;
    let taken = followers.iter().any(|f| f.node().leads() || f.node().leader().is_some_and(|l| l.id != leader.id));
    assert!(taken, "another member leads when shutdown returns");
    eventually("one election was enough", || followers.iter().any(|f| f.node().status().borrow().term == term + 1))
        .await;
    assert!(matches!(leader.node().propose("x".into()).await, Err(ProposeError::Stopped)));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_join_as_learners_get_a_vote_and_leave() {
    let mut cluster = Cluster::start(3).await;
    cluster.propose_many("a", 10).await;
    let joining = cluster.add_member().await;
    let (id, member) = (cluster.member(joining).id, cluster.member(joining).as_member());
    let leader = cluster.leader().await;
    leader.node().add_learner(id, member.clone()).await.unwrap();
    assert!(matches!(leader.node().add_learner(id, member.clone()).await, Err(AdminError::Refused(_))));
    cluster.converge().await;
    assert_eq!(cluster.member(joining).machine.commands().len(), 10);

    leader.node().promote(id).await.unwrap();
    assert!(matches!(leader.node().promote(id).await, Err(AdminError::Refused(_))));
    let voters = |status: &Status| status.membership.membership.voters.clone();
    eventually("four vote", || voters(&leader.node().status().borrow())[0].len() == 4).await;

    let moved = Member { client_urls: vec!["https://elsewhere:1".into()], ..member };
    leader.node().update_member(id, moved.clone()).await.unwrap();
    let known = || leader.node().status().borrow().membership.membership.members.get(&id).cloned();
    eventually("its new address is known", || known() == Some(moved.clone())).await;

    leader.node().remove(id).await.unwrap();
    eventually("it is gone", || known().is_none()).await;
    assert!(matches!(leader.node().remove(id).await, Err(AdminError::Refused(_))));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_index_covers_what_was_acknowledged_before() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for i in 0..20 {
        let (index, _) = leader.node().propose(format!("r{i}").into()).await.unwrap().await.unwrap();
        for member in cluster.running() {
            let read = member.node().read_index().await.unwrap();
            assert!(read >= index, "{} reads at {read}, but {index} was acknowledged", member.name);
            member.node().wait_applied(read).await.unwrap();
            assert!(member.machine.commands().len() > i);
        }
    }
    let reads = (0..1000).map(|_| leader.node().read_index());
    assert!(futures_util::future::join_all(reads).await.iter().all(Result::is_ok));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_majority_nothing_is_read_or_written() {
    let mut cluster = Cluster::start(3).await;
    cluster.propose_many("a", 5).await;
    let leader = cluster.leader().await.index;
    for follower in (0..3).filter(|index| *index != leader) {
        cluster.kill(follower).await;
    }
    let alone = cluster.member(leader);
    assert!(alone.node().read_index().await.is_err());
    // It may take proposals for as long as its lease lasts, but must not acknowledge one.
    let proposal = alone.node().propose("x".into()).await.unwrap();
    assert!(!matches!(tokio::time::timeout(Duration::from_secs(2), proposal).await, Ok(Ok(_))));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failing_disk_takes_the_member_out_of_service_and_the_others_go_on() {
    let cluster = Cluster::start(3).await;
    let mut expected = cluster.propose_many("a", 5).await;
    let leader = cluster.leader().await;
    leader.log.fail_writes(true);
    // It is not acknowledged by this member; the followers may have it, and may commit it.
    let proposal = leader.node().propose("doomed".into()).await.unwrap();
    let mut fatal = leader.node().fatal();
    let reason = fatal.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert!(reason.contains("cannot write the raft log"), "{reason}");
    assert!(proposal.await.is_err());
    expected.extend(cluster.propose_many("b", 5).await);
    let followers = cluster.followers().await;
    for commands in [followers[0].machine.commands(), cluster.leader().await.machine.commands()] {
        let without: Vec<_> = commands.into_iter().filter(|command| command != "doomed").collect();
        assert!(expected.starts_with(&without) && without.len() >= 5);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failing_state_machine_takes_the_member_out_of_service() {
    for fault in [Fault::Error, Fault::Panic] {
        let cluster = Cluster::start(3).await;
        let leader = cluster.leader().await;
        leader.machine.fail_next_apply(fault);
        let proposal = leader.node().propose("unanswered".into()).await.unwrap();
        assert!(proposal.await.is_err(), "{fault:?}");
        let mut fatal = leader.node().fatal();
        let out = tokio::time::timeout(harness::PATIENCE, fatal.wait_for(Option::is_some));
        out.await.expect("it leaves service").unwrap();
        cluster.propose_many("b", 5).await;
        cluster.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_member_alone_serves_at_once() {
    let mut cluster = Cluster::start(1).await;
    let expected = cluster.propose_many("a", 5).await;
    cluster.cut_power(0).await;
    cluster.restart(0).await;
    cluster.converge().await;
    let member = cluster.member(0);
    let read = member.node().read_index().await.unwrap();
    member.node().wait_applied(read).await.unwrap();
    assert_eq!(member.machine.commands(), expected);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn initialising_again_changes_nothing() {
    let cluster = Cluster::start(1).await;
    let member = cluster.member(0);
    assert!(member.node().is_initialized().await.unwrap());
    member.node().initialize(BTreeMap::from([(member.id, member.as_member())])).await.unwrap();
    cluster.propose_many("a", 1).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_of_strangers_are_refused() {
    use kuorum_proto::v1::{ReadIndexRequest, raft_client::RaftClient};
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.followers().await.remove(0);
    let ask = |identity: Option<&str>, cluster_id: u64, from: u64, to: u64| {
        let mut request = tonic::Request::new(ReadIndexRequest {});
        let metadata = request.metadata_mut();
        metadata.insert("kuorum-cluster", cluster_id.into());
        metadata.insert("kuorum-from", from.into());
        metadata.insert("kuorum-to", to.into());
        metadata.insert(harness::TEST_IDENTITY, identity.unwrap_or_default().parse().unwrap());
        let url = leader.url.clone();
        async move {
            let mut client = RaftClient::connect(url).await.unwrap();
            client.read_index(request).await.map_err(|status| status.code())
        }
    };
    let (name, id) = (Some(follower.name.as_str()), cluster.id);
    assert!(ask(name, id, follower.id, leader.id).await.is_ok());
    use tonic::Code::{PermissionDenied, Unauthenticated};
    assert_eq!(ask(None, id, follower.id, leader.id).await.unwrap_err(), Unauthenticated);
    assert_eq!(ask(name, id + 1, follower.id, leader.id).await.unwrap_err(), PermissionDenied);
    assert_eq!(ask(name, id, follower.id, leader.id + 1).await.unwrap_err(), PermissionDenied);
    assert_eq!(ask(name, id, leader.id, leader.id).await.unwrap_err(), PermissionDenied);
    assert_eq!(ask(Some("stranger"), id, follower.id, leader.id).await.unwrap_err(), PermissionDenied);
    cluster.stop().await;
}
