//! Rows of the raft log and of the consensus state. Each row begins with a checksum of the rest; an entry's payload
//! is a slice of the row, not a copy.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes};
use kuorum_raft::ports::{Applied, LogEntry, LogId, Member, Membership, Payload, StoredMembership, Vote};

const BLANK: u8 = 0;
const COMMAND: u8 = 1;
const MEMBERSHIP: u8 = 2;

fn seal(out: &mut [u8]) {
    let checksum = crc32fast::hash(&out[4..]);
    out[..4].copy_from_slice(&checksum.to_le_bytes());
}

/// The bytes behind a right checksum.
fn open(row: &[u8]) -> Option<&[u8]> {
    let (checksum, rest) = row.split_first_chunk::<4>()?;
    (crc32fast::hash(rest).to_le_bytes() == *checksum).then_some(rest)
}

fn put_log_id(id: &LogId, out: &mut Vec<u8>) {
    out.put_u64_le(id.term);
    out.put_u64_le(id.node_id);
    out.put_u64_le(id.index);
}

fn take_u64(row: &mut &[u8]) -> Option<u64> {
    row.try_get_u64_le().ok()
}

fn take_log_id(row: &mut &[u8]) -> Option<LogId> {
    Some(LogId { term: take_u64(row)?, node_id: take_u64(row)?, index: take_u64(row)? })
}

pub(super) fn encode_log_id(id: &LogId) -> Vec<u8> {
    let mut out = vec![0; 4];
    put_log_id(id, &mut out);
    seal(&mut out);
    out
}

pub(super) fn decode_log_id(row: &[u8]) -> Option<LogId> {
    take_log_id(&mut open(row)?)
}

pub(super) fn encode_vote(vote: &Vote) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.put_u64_le(vote.term);
    out.put_u64_le(vote.node_id);
    out.put_u8(u8::from(vote.committed));
    seal(&mut out);
    out
}

pub(super) fn decode_vote(row: &[u8]) -> Option<Vote> {
    let mut row = open(row)?;
    Some(Vote { term: take_u64(&mut row)?, node_id: take_u64(&mut row)?, committed: row.try_get_u8().ok()? == 1 })
}

pub(super) fn encode_entry(entry: &LogEntry, out: &mut Vec<u8>) {
    out.clear();
    out.put_u32_le(0);
    put_log_id(&entry.id, out);
    match &entry.payload {
        Payload::Blank => out.put_u8(BLANK),
        Payload::Command(bytes) => {
            out.put_u8(COMMAND);
            out.extend_from_slice(bytes);
        }
        Payload::Membership(membership) => {
            out.put_u8(MEMBERSHIP);
            put_membership(membership, out);
        }
    }
    seal(out);
}

pub(super) fn decode_entry(row: &Bytes) -> Option<LogEntry> {
    let mut rest = open(row)?;
    let id = take_log_id(&mut rest)?;
    let payload = match rest.try_get_u8().ok()? {
        BLANK if rest.is_empty() => Payload::Blank,
        COMMAND => Payload::Command(row.slice(row.len() - rest.len()..)),
        MEMBERSHIP => Payload::Membership(take_membership(&mut rest)?),
        _ => return None,
    };
    Some(LogEntry { id, payload })
}

/// What the state machine has applied, for its own row.
pub(crate) fn encode_applied(applied: &Applied) -> Vec<u8> {
    let mut out = vec![0; 4];
    put_optional(applied.log_id.as_ref(), &mut out);
    put_optional(applied.membership.log_id.as_ref(), &mut out);
    put_membership(&applied.membership.membership, &mut out);
    seal(&mut out);
    out
}

pub(crate) fn decode_applied(row: &[u8]) -> Option<Applied> {
    let mut row = open(row)?;
    let log_id = take_optional(&mut row)?;
    let membership = StoredMembership { log_id: take_optional(&mut row)?, membership: take_membership(&mut row)? };
    Some(Applied { log_id, membership })
}

fn put_optional(id: Option<&LogId>, out: &mut Vec<u8>) {
    out.put_u8(u8::from(id.is_some()));
    if let Some(id) = id {
        put_log_id(id, out);
    }
}

fn take_optional(row: &mut &[u8]) -> Option<Option<LogId>> {
    match row.try_get_u8().ok()? {
        0 => Some(None),
        1 => Some(Some(take_log_id(row)?)),
        _ => None,
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.put_u32_le(text.len() as u32);
    out.extend_from_slice(text.as_bytes());
}

fn take_text(row: &mut &[u8]) -> Option<String> {
    let length = row.try_get_u32_le().ok()? as usize;
    let (text, rest) = row.split_at_checked(length)?;
    *row = rest;
    String::from_utf8(text.to_vec()).ok()
}

fn take_texts(row: &mut &[u8]) -> Option<Vec<String>> {
    let count = row.try_get_u32_le().ok()?;
    (0..count).map(|_| take_text(row)).collect()
}

fn put_membership(membership: &Membership, out: &mut Vec<u8>) {
    out.put_u32_le(membership.voters.len() as u32);
    for set in &membership.voters {
        out.put_u32_le(set.len() as u32);
        set.iter().for_each(|id| out.put_u64_le(*id));
    }
    out.put_u32_le(membership.members.len() as u32);
    for (id, member) in &membership.members {
        out.put_u64_le(*id);
        put_text(&member.name, out);
        for urls in [&member.peer_urls, &member.client_urls] {
            out.put_u32_le(urls.len() as u32);
            urls.iter().for_each(|url| put_text(url, out));
        }
    }
}

fn take_membership(row: &mut &[u8]) -> Option<Membership> {
    let mut voters = Vec::new();
    for _ in 0..row.try_get_u32_le().ok()? {
        let count = row.try_get_u32_le().ok()?;
        voters.push((0..count).map(|_| take_u64(row)).collect::<Option<BTreeSet<_>>>()?);
    }
    let mut members = BTreeMap::new();
    for _ in 0..row.try_get_u32_le().ok()? {
        let id = take_u64(row)?;
        let member = Member { name: take_text(row)?, peer_urls: take_texts(row)?, client_urls: take_texts(row)? };
        members.insert(id, member);
    }
    Some(Membership { voters, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        let member =
            |n: &str| Member { name: n.into(), peer_urls: vec![format!("https://{n}:2380")], client_urls: vec![] };
        Membership {
            voters: vec![BTreeSet::from([1, 2]), BTreeSet::from([2])],
            members: BTreeMap::from([(1, member("a")), (2, member("b"))]),
        }
    }

    #[test]
    fn every_bit_of_an_entry_is_checked() {
        let payloads =
            [Payload::Blank, Payload::Command(Bytes::from_static(b"command")), Payload::Membership(membership())];
        for payload in payloads {
            let entry = LogEntry { id: LogId { term: 3, node_id: 9, index: 77 }, payload };
            let mut row = Vec::new();
            encode_entry(&entry, &mut row);
            assert_eq!(decode_entry(&Bytes::copy_from_slice(&row)), Some(entry));
            for bit in 0..row.len() * 8 {
                let mut damaged = row.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode_entry(&damaged.into()), None, "bit {bit}");
            }
            for length in 0..row.len() {
                assert_eq!(decode_entry(&Bytes::copy_from_slice(&row[..length])), None);
            }
        }
    }

    #[test]
    fn applied_survives_encoding() {
        let id = LogId { term: 1, node_id: 2, index: 3 };
        let stored = StoredMembership { log_id: Some(id), membership: membership() };
        for applied in [Applied::default(), Applied { log_id: Some(id), membership: stored }] {
            assert_eq!(decode_applied(&encode_applied(&applied)), Some(applied));
        }
    }
}
