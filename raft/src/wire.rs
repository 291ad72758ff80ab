//! The [`crate::ports`] as protobuf messages and back. Storage uses it for what it keeps on the disk.

use kuorum_proto::v1;

use crate::ports::{LogEntry, LogId, Member, Membership, Payload, StoredMembership, Vote};

/// A message that lacks a part that every sender writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a raft message has no {0}")]
pub struct Incomplete(pub &'static str);

impl From<LogId> for v1::LogId {
    fn from(id: LogId) -> Self {
        Self { term: id.term, node_id: id.node_id, index: id.index }
    }
}

impl From<v1::LogId> for LogId {
    fn from(id: v1::LogId) -> Self {
        Self { term: id.term, node_id: id.node_id, index: id.index }
    }
}

impl From<Vote> for v1::VoteState {
    fn from(vote: Vote) -> Self {
        Self { term: vote.term, node_id: vote.node_id, committed: vote.committed }
    }
}

impl From<v1::VoteState> for Vote {
    fn from(vote: v1::VoteState) -> Self {
        Self { term: vote.term, node_id: vote.node_id, committed: vote.committed }
    }
}

impl From<Membership> for v1::Membership {
    fn from(membership: Membership) -> Self {
        let set = |ids: std::collections::BTreeSet<u64>| v1::membership::VoterSet { ids: ids.into_iter().collect() };
        Self {
            voters: membership.voters.into_iter().map(set).collect(),
            members: membership
                .members
                .into_iter()
                .map(|(id, Member { name, peer_urls, client_urls })| v1::RaftMember {
                    id,
                    name,
                    peer_urls,
                    client_urls,
                })
                .collect(),
        }
    }
}

impl From<v1::Membership> for Membership {
    fn from(membership: v1::Membership) -> Self {
        let member =
            |m: v1::RaftMember| (m.id, Member { name: m.name, peer_urls: m.peer_urls, client_urls: m.client_urls });
        Self {
            voters: membership.voters.into_iter().map(|set| set.ids.into_iter().collect()).collect(),
            members: membership.members.into_iter().map(member).collect(),
        }
    }
}

impl From<StoredMembership> for v1::StoredMembership {
    fn from(stored: StoredMembership) -> Self {
        Self { log_id: stored.log_id.map(Into::into), membership: Some(stored.membership.into()) }
    }
}

impl From<v1::StoredMembership> for StoredMembership {
    fn from(stored: v1::StoredMembership) -> Self {
        Self {
            log_id: stored.log_id.map(Into::into),
            membership: stored.membership.map(Into::into).unwrap_or_default(),
        }
    }
}

impl From<LogEntry> for v1::LogEntry {
    fn from(entry: LogEntry) -> Self {
        use v1::log_entry::{Blank, Payload as Wire};
        let payload = match entry.payload {
            Payload::Blank => Wire::Blank(Blank {}),
            Payload::Command(bytes) => Wire::Command(bytes),
            Payload::Membership(membership) => Wire::Membership(membership.into()),
        };
        Self { id: Some(entry.id.into()), payload: Some(payload) }
    }
}

impl TryFrom<v1::LogEntry> for LogEntry {
    type Error = Incomplete;

    fn try_from(entry: v1::LogEntry) -> Result<Self, Incomplete> {
        use v1::log_entry::Payload as Wire;
        let payload = match entry.payload.ok_or(Incomplete("entry payload"))? {
            Wire::Blank(_) => Payload::Blank,
            Wire::Command(bytes) => Payload::Command(bytes),
            Wire::Membership(membership) => Payload::Membership(membership.into()),
        };
        Ok(Self { id: entry.id.ok_or(Incomplete("entry id"))?.into(), payload })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;

    use super::*;

    #[test]
    fn entries_survive_the_wire() {
        let member = Member {
            name: "a".into(),
            peer_urls: vec!["https://10.0.0.1:1".into()],
            client_urls: vec!["https://10.0.0.1:2".into()],
        };
        let membership = Membership {
            voters: vec![[1, 2, 3].into(), [1, 2].into()],
            members: [(1, member.clone()), (2, member.clone()), (3, member.clone()), (4, member)].into(),
        };
        let payloads =
            [Payload::Blank, Payload::Command(Bytes::from_static(b"\0\xff")), Payload::Membership(membership)];
        for (payload, index) in payloads.into_iter().zip(7..) {
            let entry = LogEntry { id: LogId { term: u64::MAX, node_id: 2, index }, payload };
            let bytes = v1::LogEntry::from(entry.clone()).encode_to_vec();
            assert_eq!(v1::LogEntry::decode(&bytes[..]).unwrap().try_into(), Ok(entry));
        }
    }

    #[test]
    fn incomplete_entries_are_refused() {
        assert_eq!(LogEntry::try_from(v1::LogEntry::default()), Err(Incomplete("entry payload")));
    }
}
