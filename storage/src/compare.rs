//! Members compare themselves: the leader hashes one revision on every member, and the alarm CORRUPT names those that
//! are wrong. A member that is named serves nobody and does not stay leader; the others go on.

use std::collections::BTreeMap;
use std::time::Duration;

use kuorum_proto::v1::cluster_client::ClusterClient;
use kuorum_proto::v1::{self, command};
use kuorum_raft::ports::{Connector, Member, NodeId};

use crate::housekeeping::{Housekeeping, ticks};
use crate::mvcc::Alarm;
use crate::propose::propose;

/// How long a member may take to hash its state.
const HASH_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a member that is named by the alarm sees whether it leads.
const STEP_ASIDE_INTERVAL: Duration = Duration::from_millis(500);

impl Housekeeping {
    /// While this member leads, compares all members now and then.
    pub(crate) async fn compare(self) {
        if self.corrupt_check.is_zero() {
            return;
        }
        let mut ticks = ticks(self.corrupt_check);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            if self.leads() {
                self.compare_once().await;
            }
        }
    }

    async fn compare_once(&self) {
        let store = self.store.clone();
        let Ok(Ok((own, revision, _))) = tokio::task::spawn_blocking(move || store.hash(0)).await else { return };
        let members = self.node.status().borrow().membership.membership.members.clone();
        let mut hashes = BTreeMap::from([(self.identity.member_id, own)]);
        for (id, member) in members.iter().filter(|(id, _)| **id != self.identity.member_id) {
            match self.hash_of(*id, member, revision).await {
                Some(hash) => drop(hashes.insert(*id, hash)),
                None => tracing::debug!(member = member.name, revision, "member was not compared"),
            }
        }
        metrics::counter!("kuorum_corrupt_checks_total").increment(1);
        for id in wrong(&hashes, members.len()) {
            if Alarm::is_corrupt(&self.store.alarms().borrow(), id) {
                continue;
            }
            let name = members.get(&id).map_or("", |member| member.name.as_str());
            tracing::error!(member = name, revision, hash = hashes.get(&id), "members disagree: alarm CORRUPT");
            let alarm = command::SetAlarm { member_id: id, kind: Alarm::CORRUPT.into(), active: true };
            if let Err(error) = propose(&self.node, command::Body::Alarm(alarm)).await {
                tracing::warn!(%error, "could not raise the CORRUPT alarm; the next comparison will");
            }
        }
    }

    /// `None` when the member cannot be asked, or answered for another revision.
    async fn hash_of(&self, id: NodeId, member: &Member, revision: u64) -> Option<u64> {
        let mut client = ClusterClient::new(self.connector.channel(id, member).ok()?);
        let asked = client.hash_kv(v1::HashKvRequest { revision });
        let answer = tokio::time::timeout(HASH_TIMEOUT, asked).await.ok()?.ok()?.into_inner();
        (answer.revision == revision).then_some(answer.hash)
    }

    /// Gives leadership away while the alarm names this member.
    pub(crate) async fn step_aside(self) {
        let mut alarms = self.store.alarms();
        let mut ticks = ticks(STEP_ASIDE_INTERVAL);
        let id = self.identity.member_id;
        while alarms.wait_for(|alarms| Alarm::is_corrupt(alarms, id)).await.is_ok() {
            ticks.tick().await;
            if self.leads()
                && let Err(error) = self.node.transfer_leader(None).await
            {
                tracing::warn!(%error, "a corrupt leader could not hand leadership over");
            }
        }
    }
}

/// The members whose data is wrong: those that differ from a majority of all `members`. Where there is no majority,
/// nobody knows who is right, and it is all that were compared.
fn wrong(hashes: &BTreeMap<NodeId, u64>, members: usize) -> Vec<NodeId> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for hash in hashes.values() {
        *counts.entry(*hash).or_default() += 1;
    }
    if counts.len() <= 1 {
        return Vec::new();
    }
    let right = counts.iter().find(|(_, count)| **count * 2 > members).map(|(hash, _)| *hash);
    hashes.iter().filter(|(_, hash)| Some(**hash) != right).map(|(id, _)| *id).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_majority_is_right_whoever_leads() {
        let cases: [(&[u64], usize, &[u64], &str); 9] = [
            (&[7, 7, 7], 3, &[], "all agree"),
            (&[7], 3, &[], "nobody to compare with"),
            (&[7, 7], 3, &[], "one is away, the others agree"),
            (&[7, 7, 8], 3, &[3], "a follower"),
            (&[8, 7, 7], 3, &[1], "the leader itself"),
            (&[7, 8], 3, &[1, 2], "one is away: no majority"),
            (&[7, 8, 9], 3, &[1, 2, 3], "no majority"),
            (&[7, 8, 7, 7, 9], 5, &[2, 5], "two of five"),
            (&[7, 7, 8, 8], 4, &[1, 2, 3, 4], "a tie"),
        ];
        for (hashes, members, expected, what) in cases {
            let hashes = hashes.iter().enumerate().map(|(at, hash)| (at as u64 + 1, *hash)).collect();
            assert_eq!(super::wrong(&hashes, members), expected, "{what}");
        }
    }
}
