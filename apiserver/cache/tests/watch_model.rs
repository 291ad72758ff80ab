//! The cache against a model: random transactions, watchers with random selections that begin at random moments.
//! Each watcher's stream is complete, in order, without repetition, and each snapshot is what the model says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kuorum_cache::watch::{ChunkLimits, Filter, JsonLines, Scope, WatchStart, Watcher};
use kuorum_cache::{CommitOutcome, Field, Object, Resource, ResourceSpec, Store, Txn, value};
use proptest::prelude::*;
use tokio::time::Instant;

/// What a test writes: an object's label and field are one character each.
#[derive(Clone, Debug, PartialEq)]
struct Thing {
    label: char,
    field: char,
}

#[derive(Clone, Debug)]
enum Step {
    /// One transaction of several puts (`Some`) and deletes.
    Write(Vec<(String, Option<Thing>)>),
    /// A new watcher: selection, and how many revisions back it begins (`None`: with the state).
    Watch(Selection, Option<u64>),
    /// One watcher reads a few events.
    Read(prop::sample::Index),
    /// A list is taken and compared, and retained for later.
    List,
}

#[derive(Clone, Debug, Default)]
struct Selection {
    namespace: Option<String>,
    name: Option<String>,
    field: Option<char>,
    label: Option<char>,
}

impl Selection {
    fn matches(&self, key: &str, thing: &Thing) -> bool {
        let (namespace, name) = key.split_once('/').unwrap();
        self.namespace.as_deref().is_none_or(|n| n == namespace)
            && self.name.as_deref().is_none_or(|n| n == name)
            && self.field.is_none_or(|f| f == thing.field)
            && self.label.is_none_or(|l| l == thing.label)
    }
}

fn letter() -> impl Strategy<Value = char> {
    prop::sample::select(vec!['x', 'y', 'z'])
}

fn step() -> impl Strategy<Value = Step> {
    let key = (0..3u8, 0..4u8).prop_map(|(ns, name)| format!("ns{ns}/o{name}"));
    let thing = prop::option::weighted(0.7, (letter(), letter()).prop_map(|(label, field)| Thing { label, field }));
    let writes = prop::collection::btree_map(key, thing, 1..4).prop_map(|ops| Step::Write(ops.into_iter().collect()));
    let selection = (
        prop::option::of((0..3u8).prop_map(|n| format!("ns{n}"))),
        prop::option::weighted(0.3, (0..4u8).prop_map(|n| format!("o{n}"))),
        prop::option::weighted(0.3, letter()),
        prop::option::weighted(0.3, letter()),
    )
        .prop_map(|(namespace, name, field, label)| Selection { namespace, name, field, label });
    prop_oneof![
        8 => writes,
        2 => (selection, prop::option::of(0..40u64)).prop_map(|(s, back)| Step::Watch(s, back)),
        4 => any::<prop::sample::Index>().prop_map(Step::Read),
        1 => Just(Step::List),
    ]
}

/// `(type, key, revision)`
type Seen = (String, String, u64);

struct Watching {
    selection: Selection,
    watcher: Watcher,
    seen: Vec<Seen>,
    /// What a complete stream is, up to now.
    expected: Vec<Seen>,
}

impl Watching {
    fn read(&mut self, events: usize) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match self.watcher.poll_chunk(&mut cx, &JsonLines, ChunkLimits { events, bytes: 400 }) {
            Poll::Pending => false,
            Poll::Ready(chunk) => {
                let chunk = chunk.expect("no watcher falls behind here");
                for line in chunk.bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                    let event: serde_json::Value = serde_json::from_slice(line).unwrap();
                    let meta = &event["object"]["metadata"];
                    let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
                    let key = format!("{}/{}", text(&meta["namespace"]), text(&meta["name"]));
                    self.seen.push((text(&event["type"]), key, text(&meta["resourceVersion"]).parse().unwrap()));
                }
                true
            }
        }
    }
}

#[derive(Default)]
struct Model {
    revision: u64,
    current: BTreeMap<String, (Thing, u64)>,
    /// `(revision, key, before, after)`
    log: Vec<(u64, String, Option<Thing>, Option<Thing>)>,
    lists: Vec<(u64, BTreeMap<String, u64>)>,
}

impl Model {
    fn versions(&self) -> BTreeMap<String, u64> {
        self.current.iter().map(|(key, (_, revision))| (key.clone(), *revision)).collect()
    }

    fn expected(&self, selection: &Selection, entry: &(u64, String, Option<Thing>, Option<Thing>)) -> Option<Seen> {
        let (revision, key, before, after) = entry;
        let hit = |thing: &Option<Thing>| thing.as_ref().is_some_and(|thing| selection.matches(key, thing));
        let kind = match (hit(before), hit(after)) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some((kind.to_owned(), key.clone(), *revision))
    }
}

fn packed(key: &str, thing: &Thing) -> bytes::Bytes {
    let (namespace, name) = key.split_once('/').unwrap();
    let Thing { label, field } = thing;
    let json = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","labels":{{"l":"{label}"}}}},"spec":{{"f":"{field}"}}}}"#
    );
    value::pack(json.as_bytes(), r#"{"metadata":{"#.len() as u32)
}

struct Bench {
    store: Store,
    resource: Resource,
    model: Model,
    watching: Vec<Watching>,
}

impl Bench {
    fn new() -> Self {
        let store = Store::memory();
        let field = Field::new("spec.f", |object| object["spec"]["f"].as_str().unwrap_or("").to_owned());
        let spec = ResourceSpec { prefix: "/registry/g/things/".into(), namespaced: true, fields: vec![field] };
        let resource = store.register(spec);
        store.start();
        Bench { store, resource, model: Model::default(), watching: Vec::new() }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Write(ops) => self.write(ops).await,
            Step::Watch(selection, back) => self.watch(selection, back).await,
            Step::Read(which) if !self.watching.is_empty() => {
                let which = which.index(self.watching.len());
                self.watching[which].read(2);
            }
            Step::Read(_) => {}
            Step::List => {
                let snapshot = self.resource.snapshot();
                assert_eq!(snapshot.revision(), self.model.revision);
                self.resource.retain(&snapshot);
                self.model.lists.push((self.model.revision, self.model.versions()));
            }
        }
    }

    async fn write(&mut self, ops: Vec<(String, Option<Thing>)>) {
        let mut txn = Txn::new();
        let mut entries = Vec::new();
        let revision = self.model.revision + 1;
        for (key, thing) in ops {
            let (namespace, name) = key.split_once('/').unwrap();
            let store_key = self.resource.key(namespace, name);
            let before = self.model.current.remove(&key).map(|(thing, _)| thing);
            match &thing {
                Some(thing) => {
                    txn = txn.put(store_key, packed(&key, thing));
                    self.model.current.insert(key.clone(), (thing.clone(), revision));
                }
                None => txn = txn.delete(store_key),
            }
            if before.is_some() || thing.is_some() {
                entries.push((revision, key, before, thing));
            }
        }
        if !entries.is_empty() {
            self.model.revision = revision;
        }
        let outcome = self.store.commit(txn, soon()).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed(at) if at == self.model.revision));
        for watching in &mut self.watching {
            let model = &self.model;
            watching.expected.extend(entries.iter().filter_map(|entry| model.expected(&watching.selection, entry)));
        }
        self.model.log.extend(entries);
    }

    async fn watch(&mut self, selection: Selection, back: Option<u64>) {
        let start = back.map(|back| self.model.revision.saturating_sub(back));
        let scope = Scope {
            namespace: selection.namespace.clone(),
            name: selection.name.clone(),
            field: selection.field.map(|field| (0, field.to_string())),
        };
        let filter = selection.label.map(|label| -> Filter {
            Arc::new(move |object: &Object| object.labels().get("l") == Some(label.to_string().as_str()))
        });
        let expected = match start {
            None => {
                let selected = self.model.current.iter().filter(|(key, (thing, _))| selection.matches(key, thing));
                selected.map(|(key, (_, revision))| ("ADDED".to_owned(), key.clone(), *revision)).collect()
            }
            Some(after) => {
                let later = self.model.log.iter().filter(|entry| entry.0 > after);
                later.filter_map(|entry| self.model.expected(&selection, entry)).collect()
            }
        };
        let start = start.map_or(WatchStart::State, WatchStart::After);
        let watcher = self.resource.watch(start, scope, filter, soon()).await.unwrap();
        self.watching.push(Watching { selection, watcher, seen: Vec::new(), expected });
    }

    async fn finish(mut self) {
        let snapshot = self.resource.snapshot();
        let listed: BTreeMap<_, _> = snapshot.iter().map(|o| (o.key().to_owned(), o.revision())).collect();
        assert_eq!(listed, self.model.versions());
        for (key, revision) in &listed {
            assert_eq!(self.resource.get_key(key).map(|o| o.revision()), Some(*revision));
        }
        for (revision, expected) in &self.model.lists {
            let snapshot = self.resource.snapshot_at(*revision, soon()).await.unwrap();
            let listed: BTreeMap<_, _> = snapshot.iter().map(|o| (o.key().to_owned(), o.revision())).collect();
            assert_eq!(&listed, expected);
        }
        for watching in &mut self.watching {
            while watching.read(3) {}
            assert_eq!(watching.seen, watching.expected, "{:?}", watching.selection);
            assert_eq!(watching.watcher.synced_revision(), Some(self.model.revision));
        }
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_stream_is_complete_and_ordered(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut bench = Bench::new();
            for step in steps {
                bench.step(step).await;
            }
            bench.finish().await;
        });
    }
}

#[tokio::test]
async fn a_slow_watcher_is_told_and_delays_no_other() {
    let mut bench = Bench::new();
    bench.watch(Selection::default(), None).await;
    let mut slow = bench.watching.pop().unwrap();
    slow.read(1);
    // More old versions than the ring may hold.
    let thing = Thing { label: 'x', field: 'y' };
    for _ in 0..20_000 {
        bench.write(vec![("ns0/o0".into(), Some(thing.clone()))]).await;
    }
    let mut cx = Context::from_waker(Waker::noop());
    let polled = slow.watcher.poll_chunk(&mut cx, &JsonLines, ChunkLimits::default());
    assert!(matches!(polled, Poll::Ready(Err(_))), "{polled:?}");
    // One that begins now, before the ring, gets it all from the store's history.
    bench.watch(Selection::default(), Some(20_000)).await;
    let mut patient = bench.watching.pop().unwrap();
    while patient.read(1000) {}
    assert_eq!(patient.seen.len(), 20_000);
}

#[tokio::test]
async fn what_was_compacted_is_refused() {
    let mut bench = Bench::new();
    let thing = Thing { label: 'x', field: 'y' };
    for _ in 0..20_000 {
        bench.write(vec![("ns0/o0".into(), Some(thing.clone()))]).await;
    }
    bench.store.memory_backend().unwrap().compact(100);
    let watch = |after| bench.resource.watch(WatchStart::After(after), Scope::default(), None, soon());
    assert!(watch(99).await.is_err());
    assert!(watch(100).await.is_ok());
    assert!(bench.resource.snapshot_at(99, soon()).await.is_err());
    assert!(bench.resource.snapshot_at(100, soon()).await.is_ok());
    assert!(bench.resource.snapshot_at(20_001, soon()).await.is_err());
}
