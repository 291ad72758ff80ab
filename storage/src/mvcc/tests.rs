//! Apply against a model: a plain map for every revision, which is what MVCC promises to be.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kuorum_proto::v1::{self, Event, KeyValue, command, event, op, txn_result};
use proptest::prelude::*;

use super::*;
use crate::engine::{Engine, MemoryEngine, Read, RocksEngine};

/// A store without consensus: commands in, answers out.
struct Bench {
    engine: Box<dyn Engine>,
    state: State,
    cache: KeyCache,
    events: Vec<RevisionEvents>,
}

const CLIENT: Bytes = Bytes::from_static(b"0123456789abcdef");

impl Bench {
    fn new(engine: Box<dyn Engine>) -> Self {
        let state = State::load(engine.as_ref() as &dyn Read).unwrap();
        Self { engine, state, cache: KeyCache::default(), events: Vec::new() }
    }

    fn memory() -> Self {
        Self::new(Box::new(MemoryEngine::new()))
    }

    fn apply(&mut self, time_unix_ms: u64, bodies: Vec<command::Body>) -> Vec<Applied> {
        let mut applier = Applier::new(self.engine.as_ref(), &mut self.state, &mut self.cache);
        let command = |body| v1::Command { time_unix_ms, body: Some(body) };
        let applied = bodies.into_iter().map(|b| applier.apply(command(b)).unwrap()).collect();
        let (batch, events) = applier.finish(b"consensus");
        self.engine.write(batch).unwrap();
        self.events.extend(events);
        applied
    }

    fn txn(&mut self, txn: v1::Txn) -> txn_result::Outcome {
        let Applied::Txns(mut results) = self.apply(0, vec![batch(vec![txn])]).remove(0) else { panic!() };
        results.remove(0).outcome.unwrap()
    }

    fn range(&self, revision: u64) -> Result<Vec<KeyValue>> {
        let view = self.engine.view();
        let state = State::load_counters(view.as_ref()).unwrap();
        let bounds = Bounds::everything();
        let mut range = RangeReader::new(view.as_ref(), &bounds, revision, state.revision, state.compact_revision)?;
        let mut found = Vec::new();
        while let Some(kv) = range.next_key()? {
            found.push(kv);
        }
        Ok(found)
    }

    fn history(&self, after: u64, with_previous: bool) -> Result<Vec<RevisionEvents>> {
        let view = self.engine.view();
        let (newest, compacted) = (self.state.revision, self.state.compact_revision);
        let mut reader = HistoryReader::new(view.as_ref(), b"", (after, u64::MAX), newest, compacted, with_previous)?;
        let mut found = Vec::new();
        while let Some(revision) = reader.next_revision()? {
            found.push(revision);
        }
        Ok(found)
    }

    fn rows(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut cursor = self.engine.cursor(b"", &[0xff; 64]).unwrap();
        let mut rows = Vec::new();
        while let Some((key, value)) = cursor.current().unwrap() {
            rows.push((key.to_vec(), value.to_vec()));
            cursor.advance().unwrap();
        }
        rows
    }
}

fn batch(txns: Vec<v1::Txn>) -> command::Body {
    let client = |txn: v1::Txn| command::ClientTxn { client_id: CLIENT, acked_below: 0, txn: Some(txn) };
    command::Body::Batch(command::Batch { txns: txns.into_iter().map(client).collect() })
}

fn put(key: &str, value: &str, ttl_seconds: u64) -> v1::Op {
    let put = op::Put { key: key.to_string().into(), value: value.to_string().into(), ttl_seconds };
    v1::Op { op: Some(op::Op::Put(put)) }
}

fn delete(key: &str) -> v1::Op {
    v1::Op { op: Some(op::Op::Delete(key.to_string().into())) }
}

fn txn(seq: u64, compares: &[(&str, u64)], ops: Vec<v1::Op>) -> v1::Txn {
    let compare =
        |(key, mod_revision): &(&str, u64)| v1::Compare { key: key.to_string().into(), mod_revision: *mod_revision };
    v1::Txn { seq, compares: compares.iter().map(compare).collect(), ops }
}

fn committed(outcome: txn_result::Outcome) -> u64 {
    match outcome {
        txn_result::Outcome::Committed(revision) => revision,
        other => panic!("not committed: {other:?}"),
    }
}

#[test]
fn a_transaction_is_all_or_nothing_and_takes_one_revision() {
    let mut bench = Bench::memory();
    let first = committed(bench.txn(txn(1, &[("a", 0)], vec![put("a", "1", 0), put("b", "1", 0)])));
    assert_eq!(first, 2, "the empty store is at revision 1");
    match bench.txn(txn(2, &[("b", u64::MAX), ("a", 0)], vec![put("c", "1", 0)])) {
        txn_result::Outcome::Failed(failed) => {
            assert_eq!((failed.index, failed.revision), (1, 2));
            assert_eq!(failed.current.unwrap().mod_revision, 2);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(committed(bench.txn(txn(3, &[], vec![delete("nothing")]))), 2, "nothing changed, no revision");
    assert_eq!(committed(bench.txn(txn(4, &[("a", 2)], vec![put("a", "2", 0), delete("b")]))), 3);
    let now = bench.range(3).unwrap();
    assert_eq!(now.len(), 1);
    assert_eq!((now[0].create_revision, now[0].mod_revision, now[0].version), (2, 3, 2));
    assert_eq!(bench.range(2).unwrap().len(), 2);
    assert_eq!(bench.events.len(), 2);
    assert_eq!(bench.events[1].events.len(), 2);
}

#[test]
fn a_retry_gets_the_first_answer_and_has_no_second_effect() {
    let mut bench = Bench::memory();
    let create = txn(7, &[("a", 0)], vec![put("a", "1", 0)]);
    assert_eq!(committed(bench.txn(create.clone())), 2);
    assert_eq!(committed(bench.txn(create.clone())), 2);
    bench.txn(txn(8, &[], vec![delete("a")]));
    assert_eq!(committed(bench.txn(create)), 2, "even when it could be applied again");
    assert_eq!(bench.range(3).unwrap(), vec![]);
    let stale = command::ClientTxn { client_id: CLIENT, acked_below: 9, txn: Some(txn(8, &[], vec![])) };
    let body = command::Body::Batch(command::Batch { txns: vec![stale] });
    let Applied::Txns(results) = bench.apply(0, vec![body]).remove(0) else { panic!() };
    assert!(matches!(results[0].outcome, Some(txn_result::Outcome::Rejected(_))), "{results:?}");
}

#[test]
fn malformed_transactions_are_refused_and_change_nothing() {
    let mut bench = Bench::memory();
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    let bad = [
        vec![put("a", "1", 0), put("a", "2", 0)],
        vec![put("", "1", 0)],
        vec![put(&long, "1", 0)],
        vec![v1::Op { op: None }],
        (0..=TXN_OPS_MAX).map(|i| put(&i.to_string(), "", 0)).collect(),
    ];
    for (seq, ops) in bad.into_iter().enumerate() {
        let outcome = bench.txn(txn(seq as u64, &[], ops));
        assert!(matches!(outcome, txn_result::Outcome::Rejected(_)), "{outcome:?}");
    }
    assert_eq!(
        bench.apply(0, vec![command::Body::Batch(command::Batch { txns: vec![command::ClientTxn::default()] })]).len(),
        1
    );
    assert_eq!(bench.state.revision, 1);
}

#[test]
fn keys_expire_when_their_time_has_come_unless_they_were_written_since() {
    let mut bench = Bench::memory();
    let bodies = vec![batch(vec![txn(1, &[], vec![put("a", "1", 10)]), txn(2, &[], vec![put("b", "1", 10)])])];
    bench.apply(1_000, bodies);
    let expire = |revision| {
        let keys = ["a", "b"].iter().zip([2, revision]);
        let keys = keys.map(|(key, mod_revision)| command::ExpiredKey { key: Bytes::from(*key), mod_revision });
        command::Body::Expire(command::Expire { keys: keys.collect() })
    };
    bench.apply(10_999, vec![expire(3)]);
    assert_eq!(bench.range(bench.state.revision).unwrap().len(), 2, "not yet due");
    bench.apply(11_000, vec![batch(vec![txn(3, &[], vec![put("b", "2", 10)])]), expire(3)]);
    let left = bench.range(bench.state.revision).unwrap();
    assert_eq!(left.iter().map(|kv| kv.key.clone()).collect::<Vec<_>>(), ["b"]);
    let (start, end) = key::expiry_due(u64::MAX - 1);
    let row = bench.engine.first(&start, &end).unwrap().unwrap();
    assert_eq!(key::expiry_parts(&row.0), Some((21_000, b"b".as_slice())), "one index row, of the newest put");
}

#[test]
fn no_space_stops_puts_and_nothing_else() {
    let mut bench = Bench::memory();
    bench.txn(txn(1, &[], vec![put("a", "1", 0), put("b", "1", 0)]));
    let alarm = |active| command::SetAlarm { member_id: u64::from(active), kind: Alarm::NO_SPACE.into(), active };
    bench.apply(0, vec![command::Body::Alarm(alarm(true))]);
    let outcome = bench.txn(txn(2, &[], vec![put("c", "1", 0)]));
    assert!(matches!(outcome, txn_result::Outcome::Rejected(r) if r.code() == txn_result::rejected::Code::NoSpace));
    let used = bench.state.used_bytes();
    assert_eq!(committed(bench.txn(txn(3, &[], vec![delete("a")]))), 3);
    bench.apply(0, vec![command::Body::Compact(command::Compact { revision: 3 })]);
    assert!(bench.state.used_bytes() < used);
    assert_eq!(bench.state.used_bytes(), 2, "key and value of b");
    let reloaded = State::load(bench.engine.as_ref() as &dyn Read).unwrap();
    assert_eq!(reloaded.alarms, bench.state.alarms);
    bench.apply(0, vec![command::Body::Alarm(alarm(false))]);
    assert_eq!(committed(bench.txn(txn(2, &[], vec![put("c", "1", 0)]))), 4, "a rejected one may be tried again");
}

/// One step of a random history. Keys and times are few, so that they meet.
#[derive(Debug, Clone)]
enum Step {
    Txns(Vec<TxnStep>),
    Expire,
    Compact(u8),
}

/// Compares and changes of one transaction.
type TxnStep = (Vec<(u8, Guess)>, Vec<Change>);

#[derive(Debug, Clone)]
enum Guess {
    Absent,
    Exists,
    Right,
    Wrong,
}

#[derive(Debug, Clone)]
enum Change {
    Put(u8, u8, u8),
    Delete(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let guess = prop_oneof![
        1 => Just(Guess::Absent),
        1 => Just(Guess::Exists),
        3 => Just(Guess::Right),
        1 => Just(Guess::Wrong),
    ];
    let change = prop_oneof![
        3 => (0..8u8, any::<u8>(), 0..3u8).prop_map(|(k, v, ttl)| Change::Put(k, v, ttl)),
        1 => (0..8u8).prop_map(Change::Delete),
    ];
    let one = (prop::collection::vec((0..8u8, guess), 0..2), prop::collection::vec(change, 0..4));
    let step = prop_oneof![
        6 => prop::collection::vec(one, 1..5).prop_map(Step::Txns),
        1 => Just(Step::Expire),
        1 => (0..4u8).prop_map(Step::Compact),
    ];
    prop::collection::vec(step, 1..40)
}

/// Key to value, create revision, mod revision, version, expiry.
type Objects = BTreeMap<String, (String, u64, u64, u64, u64)>;

/// The state at every revision, each a whole map.
struct Model {
    at: Vec<Objects>,
    compacted: u64,
    time_ms: u64,
}

impl Model {
    fn now(&self) -> &Objects {
        self.at.last().unwrap()
    }

    fn revision(&self) -> u64 {
        self.at.len() as u64 - 1
    }
}

fn key_name(key: u8) -> String {
    format!("/k\0{}", key / 2).repeat(1 + usize::from(key % 2))
}

fn run(steps: &[Step], bench: &mut Bench) -> Model {
    let mut model = Model { at: vec![Objects::new(), Objects::new()], compacted: 0, time_ms: 0 };
    let mut seq = 0;
    for step in steps {
        model.time_ms += 700;
        match step {
            Step::Txns(txns) => {
                let mut requests = Vec::new();
                let mut expected = Vec::new();
                for (compares, changes) in txns {
                    seq += 1;
                    run_txn(seq, compares, changes, &mut model, &mut requests, &mut expected);
                }
                let Applied::Txns(results) = bench.apply(model.time_ms, vec![batch(requests)]).remove(0) else {
                    panic!()
                };
                let got: Vec<_> = results
                    .into_iter()
                    .map(|r| match r.outcome.unwrap() {
                        txn_result::Outcome::Committed(revision) => Some(revision),
                        txn_result::Outcome::Failed(_) => None,
                        other => panic!("{other:?}"),
                    })
                    .collect();
                assert_eq!(got, expected);
            }
            Step::Expire => {
                let due = |o: &(String, u64, u64, u64, u64)| o.4 != 0 && o.4 <= model.time_ms;
                let keys: Vec<_> = model.now().iter().filter(|(_, o)| due(o)).map(|(k, o)| (k.clone(), o.2)).collect();
                if !keys.is_empty() {
                    let mut next = model.now().clone();
                    next.retain(|_, o| !due(o));
                    model.at.push(next);
                }
                let keys =
                    keys.into_iter().map(|(key, mod_revision)| command::ExpiredKey { key: key.into(), mod_revision });
                bench.apply(model.time_ms, vec![command::Body::Expire(command::Expire { keys: keys.collect() })]);
            }
            Step::Compact(back) => {
                let revision = model.revision().saturating_sub(u64::from(*back));
                bench.apply(model.time_ms, vec![command::Body::Compact(command::Compact { revision })]);
                model.compacted = model.compacted.max(revision);
                while clean(bench.engine.as_ref(), bench.state.compact_revision).unwrap() {}
            }
        }
    }
    model
}

fn run_txn(
    seq: u64,
    compares: &[(u8, Guess)],
    changes: &[Change],
    model: &mut Model,
    requests: &mut Vec<v1::Txn>,
    expected: &mut Vec<Option<u64>>,
) {
    let mut request = v1::Txn { seq, ..Default::default() };
    let mut holds = true;
    for (key, guess) in compares {
        let found = model.now().get(&key_name(*key)).map_or(0, |o| o.2);
        let mod_revision = match guess {
            Guess::Absent => 0,
            Guess::Exists => u64::MAX,
            Guess::Right => found,
            Guess::Wrong => found + 1,
        };
        holds &= if mod_revision == u64::MAX { found != 0 } else { found == mod_revision };
        request.compares.push(v1::Compare { key: key_name(*key).into(), mod_revision });
    }
    let revision = model.revision() + 1;
    let mut next = model.now().clone();
    let mut changed = false;
    let mut seen = BTreeSet::new();
    for change in changes {
        let (Change::Put(key, ..) | Change::Delete(key)) = change;
        let name = key_name(*key);
        if !seen.insert(*key) {
            continue;
        }
        match change {
            Change::Put(_, value, ttl) => {
                request.ops.push(put(&name, &value.to_string(), u64::from(*ttl)));
                let (create, version) = next.get(&name).map_or((revision, 0), |o| (o.1, o.3));
                let expires = if *ttl == 0 { 0 } else { model.time_ms + u64::from(*ttl) * 1000 };
                next.insert(name, (value.to_string(), create, revision, version + 1, expires));
                changed = true;
            }
            Change::Delete(_) => {
                request.ops.push(delete(&name));
                changed |= next.remove(&name).is_some();
            }
        }
    }
    requests.push(request);
    expected.push(if !holds {
        None
    } else if changed {
        model.at.push(next);
        Some(revision)
    } else {
        Some(revision - 1)
    });
}

fn objects(kvs: Vec<KeyValue>) -> Vec<(String, String, u64, u64, u64)> {
    let text = |b: Bytes| String::from_utf8(b.to_vec()).unwrap();
    kvs.into_iter().map(|kv| (text(kv.key), text(kv.value), kv.create_revision, kv.mod_revision, kv.version)).collect()
}

/// What the model says happened from one revision to the next.
fn model_events(model: &Model, revision: u64) -> BTreeMap<String, Option<String>> {
    let (before, after) = (&model.at[revision as usize - 1], &model.at[revision as usize]);
    let mut events = BTreeMap::new();
    for (key, object) in after {
        if object.2 == revision {
            events.insert(key.clone(), Some(object.0.clone()));
        }
    }
    for key in before.keys().filter(|k| !after.contains_key(*k)) {
        events.insert(key.clone(), None);
    }
    events
}

fn check(model: &Model, bench: &Bench) {
    assert_eq!(bench.state.revision, model.revision());
    assert_eq!(bench.state.live_keys as usize, model.now().len());
    for revision in 1..=model.revision() {
        match bench.range(revision) {
            Err(Error::Compacted { .. }) => assert!(revision < model.compacted),
            found => {
                assert!(revision >= model.compacted);
                let expected: Vec<_> =
                    model.at[revision as usize].iter().map(|(k, o)| (k.clone(), o.0.clone(), o.1, o.2, o.3)).collect();
                assert_eq!(objects(found.unwrap()), expected, "at revision {revision}");
            }
        }
    }
    let text = |b: &Bytes| String::from_utf8(b.to_vec()).unwrap();
    let after = model.compacted.max(1);
    let history = bench.history(after, true).unwrap();
    assert_eq!(
        history.iter().map(|r| r.revision).collect::<Vec<_>>(),
        (after + 1..=model.revision()).collect::<Vec<_>>()
    );
    for found in &history {
        let of = |e: &Event| (text(&e.key), (e.kind() == event::Kind::Put).then(|| text(&e.value)));
        assert_eq!(found.events.iter().map(of).collect::<BTreeMap<_, _>>(), model_events(model, found.revision));
        for event in &found.events {
            let before = model.at[found.revision as usize - 1].get(&text(&event.key));
            assert_eq!(event.prev_revision, before.map_or(0, |o| o.2));
            assert_eq!(text(&event.prev_value), before.map_or(String::new(), |o| o.0.clone()));
        }
    }
    // What was published and what is read from disk are the same.
    let published: Vec<_> = bench.events.iter().filter(|r| r.revision > after).cloned().collect();
    assert_eq!(bench.history(after, false).unwrap(), published);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..Default::default() })]

    #[test]
    fn every_readable_revision_is_what_the_model_says(steps in steps()) {
        let mut bench = Bench::memory();
        let model = run(&steps, &mut bench);
        check(&model, &bench);
        // A restart finds the same counters.
        let reloaded = State::load(bench.engine.as_ref() as &dyn Read).unwrap();
        prop_assert_eq!(reloaded.encode(), bench.state.encode());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..Default::default() })]

    #[test]
    fn equal_logs_give_equal_bytes_on_different_engines(steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        let mut memory = Bench::memory();
        let mut rocks = Bench::new(Box::new(RocksEngine::open(directory.path()).unwrap()));
        run(&steps, &mut memory);
        let model = run(&steps, &mut rocks);
        check(&model, &rocks);
        prop_assert_eq!(memory.rows(), rocks.rows());
        let hash = |b: &Bench| hash_at(b.engine.view().as_ref(), b.state.revision, b.state.revision, b.state.compact_revision).unwrap();
        prop_assert_eq!(hash(&memory), hash(&rocks));
    }
}
