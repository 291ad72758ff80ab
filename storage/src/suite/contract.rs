//! Each function is one promise. They need nothing but the wire, and leave nothing behind that another would see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kuorum_proto::v1::txn_result::Outcome;
use kuorum_proto::v1::{Event, HistoryRequest, RangeRequest, event};
use tokio::task::JoinSet;

use super::client::{Client, Found, PATIENCE, compare, delete, put, put_for};

type Checked = Result<(), String>;

fn ensure(holds: bool, what: impl Into<String>) -> Checked {
    if holds { Ok(()) } else { Err(what.into()) }
}

pub(super) async fn all(client: &Client) -> Checked {
    let named = |name: &'static str| move |e: String| format!("{name}: {e}");
    atomic(client).await.map_err(named("atomic"))?;
    at_most_once(client).await.map_err(named("at most once"))?;
    fences(client).await.map_err(named("fences"))?;
    resumable(client).await.map_err(named("resumable"))?;
    old_revisions(client).await.map_err(named("old revisions"))?;
    history(client).await.map_err(named("history"))?;
    pages(client).await.map_err(named("pages"))?;
    big_values(client).await.map_err(named("big values"))?;
    counters(client).await.map_err(named("counters"))?;
    expiry(client).await.map_err(named("expiry"))?;
    bad_requests(client).await.map_err(named("bad requests"))
}

fn under(prefix: &str, revision: u64) -> RangeRequest {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    RangeRequest {
        start: prefix.to_string().into(),
        end: end.into(),
        revision,
        linearizable: true,
        ..Default::default()
    }
}

/// A transaction happens as a whole, under one revision, or not at all.
async fn atomic(client: &Client) -> Checked {
    let first =
        client.commit(vec![compare("/atomic/a", 0)], vec![put("/atomic/a", "1"), put("/atomic/b", "1")]).await?;
    match client.write(vec![compare("/atomic/a", 0)], vec![put("/atomic/c", "1")]).await? {
        Outcome::Failed(failed) => {
            let current = failed.current.ok_or("the current object is missing")?;
            ensure(current.mod_revision == first && current.value == "1", format!("current is {current:?}"))?;
        }
        other => return Err(format!("a wrong compare gave {other:?}")),
    }
    let second = client
        .commit(
            vec![compare("/atomic/a", first), compare("/atomic/b", u64::MAX)],
            vec![put("/atomic/a", "2"), delete("/atomic/b")],
        )
        .await?;
    ensure(second > first, "revisions do not grow")?;
    let nothing = client.commit(vec![], vec![delete("/atomic/none")]).await?;
    ensure(nothing >= second, "a transaction without effect went back")?;
    for member in 0..client.members() {
        let (_, kvs, count, more) = client.range(member, under("/atomic/", 0)).await.map_err(|s| s.to_string())?;
        ensure(count == 1 && !more && kvs.len() == 1, format!("member {member} has {kvs:?}"))?;
        let kv = &kvs[0];
        let found = (kv.create_revision, kv.mod_revision, kv.version);
        ensure(found == (first, second, 2), format!("member {member}: revisions {found:?}"))?;
    }
    Ok(())
}

/// The same transaction sent twice has one effect and two equal answers.
async fn at_most_once(client: &Client) -> Checked {
    let txn = client.txn(vec![], vec![put("/once/a", "1")]);
    let first = client.write_txn(txn.clone()).await?;
    client.commit(vec![], vec![put("/once/a", "2")]).await?;
    let again = client.write_txn(txn).await?;
    ensure(first == again, format!("{first:?} is now {again:?}"))?;
    let (_, kvs, ..) = client.range(0, under("/once/", 0)).await.map_err(|s| s.to_string())?;
    ensure(kvs.len() == 1 && kvs[0].value == "2", format!("the retry was applied: {kvs:?}"))
}

/// When a fence is answered, everything acknowledged before it has been delivered; on every member.
async fn fences(client: &Client) -> Checked {
    let mut sessions = Vec::new();
    for member in 0..client.members() {
        sessions.push(client.session(member, "/fence/", 0).await);
    }
    for round in 0..20 {
        let revision = client.commit(vec![], vec![put("/fence/a", format!("{round}"))]).await?;
        for (member, session) in sessions.iter_mut().enumerate() {
            let session = session.as_mut().map_err(|e| e.clone())?;
            let acknowledged = session.fence().await?;
            ensure(
                acknowledged >= revision,
                format!("member {member} fenced at {acknowledged}, written was {revision}"),
            )?;
            let last = session.events.last().map_or(0, |e| e.revision);
            ensure(last == revision, format!("member {member} acknowledged before event {revision}, last is {last}"))?;
        }
    }
    Ok(())
}

fn ordered(events: &[Event], after: u64) -> Checked {
    let mut last = after;
    for event in events {
        ensure(event.revision >= last && event.revision > after, format!("{} behind {last}", event.revision))?;
        last = event.revision;
    }
    Ok(())
}

/// A session that starts anywhere sees exactly what came after.
async fn resumable(client: &Client) -> Checked {
    let start = client.commit(vec![], vec![put("/resume/start", "")]).await?;
    let mut expected = Vec::new();
    for round in 0..100 {
        let key = format!("/resume/{}", round % 7);
        let ops =
            if round % 5 == 4 { vec![delete(&key)] } else { vec![put(&key, format!("{round}")), put("/other", "")] };
        let before = expected.len();
        let revision = client.commit(vec![], ops).await?;
        let deleted = round % 5 == 4;
        let existed =
            expected.iter().rev().find(|(k, ..): &&(String, bool, u64)| *k == key).is_some_and(|(_, put, _)| *put);
        if !deleted || existed {
            expected.push((key, !deleted, revision));
        }
        debug_assert!(expected.len() >= before);
    }
    for skip in [0, 1, 50, expected.len()] {
        let after = if skip == 0 { start } else { expected[skip - 1].2 };
        for member in 0..client.members() {
            let mut session = client.session(member, "/resume/", after).await?;
            session.fence().await?;
            ordered(&session.events, after)?;
            let text = |e: &Event| String::from_utf8_lossy(&e.key).into_owned();
            let found: Vec<_> =
                session.events.iter().map(|e| (text(e), e.kind() == event::Kind::Put, e.revision)).collect();
            ensure(found == expected[skip..], format!("member {member} after {after}: {found:?}"))?;
        }
    }
    Ok(())
}

/// A range at a revision is that revision, whatever has happened since.
async fn old_revisions(client: &Client) -> Checked {
    let mut at: Vec<(u64, BTreeMap<String, String>)> = Vec::new();
    let mut now = BTreeMap::new();
    for round in 0..30 {
        let key = format!("/old/{}", round % 4);
        let revision = if round % 6 == 5 {
            now.remove(&key);
            client.commit(vec![], vec![delete(&key)]).await?
        } else {
            now.insert(key.clone(), round.to_string());
            client.commit(vec![], vec![put(&key, round.to_string())]).await?
        };
        at.push((revision, now.clone()));
    }
    for (revision, expected) in at {
        let member = revision as usize % client.members();
        let (read, kvs, ..) = client.range(member, under("/old/", revision)).await.map_err(|s| s.to_string())?;
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let found: BTreeMap<_, _> = kvs.iter().map(|kv| (text(&kv.key), text(&kv.value))).collect();
        ensure(read == revision && found == expected, format!("at {revision}: {found:?}, expected {expected:?}"))?;
    }
    Ok(())
}

/// History tells what was there before each event.
async fn history(client: &Client) -> Checked {
    let first = client.commit(vec![], vec![put("/history/a", "1")]).await?;
    let second = client.commit(vec![], vec![put("/history/a", "2")]).await?;
    let third = client.commit(vec![], vec![delete("/history/a")]).await?;
    let request =
        |after, up_to| HistoryRequest { prefix: "/history/".into(), after_revision: after, up_to_revision: up_to };
    for member in 0..client.members() {
        let events = client.history(member, request(first, third)).await.map_err(|s| s.to_string())?;
        let found: Vec<_> =
            events.iter().map(|e| (e.revision, e.prev_revision, e.value.clone(), e.prev_value.clone())).collect();
        let expected = vec![(second, first, "2".into(), "1".into()), (third, second, bytes::Bytes::new(), "2".into())];
        ensure(found == expected, format!("member {member}: {found:?}"))?;
        let events = client.history(member, request(first - 1, first)).await.map_err(|s| s.to_string())?;
        ensure(events.len() == 1 && events[0].prev_revision == 0, format!("the create: {events:?}"))?;
    }
    Ok(())
}

/// A limit cuts, says so, and counts the rest.
async fn pages(client: &Client) -> Checked {
    for i in 0..25 {
        client.commit(vec![], vec![put(&format!("/pages/{i:02}"), "")]).await?;
    }
    let mut request = RangeRequest { limit: 10, ..under("/pages/", 0) };
    let mut seen = 0;
    loop {
        let (revision, kvs, count, more) = client.range(0, request.clone()).await.map_err(|s| s.to_string())?;
        ensure(count == 25 - seen, format!("count {count} after {seen}"))?;
        seen += kvs.len() as u64;
        // The later pages read the first one's revision.
        client.commit(vec![], vec![put(&format!("/pages/{seen:02}-new"), "")]).await?;
        ensure(more == (seen < 25), format!("more {more} after {seen}"))?;
        let Some(last) = kvs.last().filter(|_| more) else { break };
        let mut start = last.key.to_vec();
        start.push(0);
        request = RangeRequest { start: start.into(), revision, ..request };
    }
    let counted = RangeRequest { count_only: true, ..under("/pages/", 0) };
    let (_, kvs, count, _) = client.range(0, counted).await.map_err(|s| s.to_string())?;
    ensure(seen == 25 && kvs.is_empty() && count == 28, format!("{seen} seen, {count} counted"))
}

/// Values of some megabytes pass, and many of them in one range.
async fn big_values(client: &Client) -> Checked {
    let value = vec![b'x'; 3 << 20];
    let mut session = client.session(0, "/big/", 0).await?;
    for i in 0..4 {
        client.commit(vec![], vec![put(&format!("/big/{i}"), value.clone())]).await?;
    }
    session.fence().await?;
    ensure(session.events.len() == 4 && session.events.iter().all(|e| e.value == value), "events")?;
    let (_, kvs, ..) = client.range(0, under("/big/", 0)).await.map_err(|s| s.to_string())?;
    ensure(kvs.len() == 4 && kvs.iter().all(|kv| kv.value == value), "range")?;
    match client.write(vec![], vec![put("/big/too", vec![0; 7 << 20])]).await? {
        Outcome::Rejected(_) => {}
        other => return Err(format!("7 MiB gave {other:?}")),
    }
    client.commit(vec![], (0..4).map(|i| delete(&format!("/big/{i}"))).collect()).await.map(|_| ())
}

/// Writers that race with compares lose no update, and a watcher sees every one in order.
async fn counters(client: &Client) -> Checked {
    const WRITERS: u64 = 8;
    const INCREMENTS: u64 = 25;
    let start = client.commit(vec![], vec![put("/counter/a", "0")]).await?;
    let mut session = client.session(client.members() - 1, "/counter/", start).await?;
    let shared = Arc::new(Client::new(client.channels()));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let client = shared.clone();
        writers.spawn(async move {
            let mut known: Option<(u64, u64)> = None;
            let mut done = 0;
            while done < INCREMENTS {
                let (value, revision) = match known {
                    Some(known) => known,
                    None => {
                        let (_, kvs, ..) = client.range(0, under("/counter/", 0)).await.map_err(|s| s.to_string())?;
                        let kv = kvs.first().ok_or("the counter is gone")?;
                        (number(&kv.value)?, kv.mod_revision)
                    }
                };
                let op = put("/counter/a", (value + 1).to_string());
                known = match client.write(vec![compare("/counter/a", revision)], vec![op]).await? {
                    Outcome::Committed(revision) => {
                        done += 1;
                        Some((value + 1, revision))
                    }
                    Outcome::Failed(failed) => match failed.current {
                        Some(kv) => Some((number(&kv.value)?, kv.mod_revision)),
                        None => None,
                    },
                    Outcome::Rejected(r) => return Err(format!("rejected: {r:?}")),
                };
            }
            Ok::<_, String>(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done.map_err(|e| e.to_string())??;
    }
    session.fence().await?;
    ordered(&session.events, start)?;
    let values: Vec<u64> = session.events.iter().map(|e| number(&e.value)).collect::<Result<_, _>>()?;
    ensure(values == (1..=WRITERS * INCREMENTS).collect::<Vec<_>>(), format!("seen: {values:?}"))
}

fn number(value: &[u8]) -> Result<u64, String> {
    String::from_utf8_lossy(value).parse().map_err(|_| format!("{value:?} is no number"))
}

/// A key with a time to live goes by itself, and its watchers see it go.
async fn expiry(client: &Client) -> Checked {
    let start = client.commit(vec![], vec![put_for("/expiry/a", "", 1), put("/expiry/b", "")]).await?;
    let mut session = client.session(0, "/expiry/", start).await?;
    let began = std::time::Instant::now();
    while session.events.is_empty() {
        ensure(began.elapsed() < PATIENCE, "the key did not expire")?;
        session.fence().await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let event = &session.events[0];
    ensure(event.key == "/expiry/a" && event.kind() == event::Kind::Delete, format!("{event:?}"))
}

/// Nonsense is answered, not obeyed, and harms nobody.
async fn bad_requests(client: &Client) -> Checked {
    let future = client.range(0, under("/bad/", 1 << 60)).await;
    ensure(future.is_err(), "a range in the future was answered")?;
    let empty = client.write(vec![], vec![put("", "")]).await?;
    ensure(matches!(empty, Outcome::Rejected(_)), format!("an empty key gave {empty:?}"))?;
    let twice = client.write(vec![], vec![put("/bad/a", "1"), put("/bad/a", "2")]).await?;
    ensure(matches!(twice, Outcome::Rejected(_)), format!("a key twice gave {twice:?}"))?;
    let session = client.session(0, "/bad/", 1 << 60).await;
    let refused = match session {
        Ok(mut session) => session.next().await.is_err(),
        Err(_) => true,
    };
    ensure(refused, "a session in the future was opened")
}

/// After a compaction to `revision`, what lies before is refused everywhere, and what is left is right. Separate from
/// [`all`], because only an operator can compact.
pub async fn compacted(client: &Client, revision: u64) -> Checked {
    for member in 0..client.members() {
        let mut session = client.session(member, "/", revision - 1).await?;
        let found = session.next().await?;
        ensure(found == Found::Compacted(revision), format!("member {member}: session gave {found:?}"))?;
        let range = client.range(member, under("/", revision - 1)).await;
        let code = range.as_ref().err().map(tonic::Status::code);
        ensure(code == Some(tonic::Code::OutOfRange), format!("member {member}: range gave {range:?}"))?;
        let request = HistoryRequest { prefix: "/".into(), after_revision: revision - 1, up_to_revision: revision };
        let code = client.history(member, request).await.err().map(|s| s.code());
        ensure(code == Some(tonic::Code::OutOfRange), format!("member {member}: history gave {code:?}"))?;
        client.range(member, under("/", revision)).await.map_err(|s| s.to_string())?;
        let mut session = client.session(member, "/", revision).await?;
        session.fence().await?;
        ordered(&session.events, revision)?;
    }
    Ok(())
}
