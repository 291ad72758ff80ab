//! A front-end through lost connections, changes of the leader, outages and compaction: nothing is written twice,
//! nothing acknowledged is missing, no watch loses or repeats an event.

mod fake;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fake::Cluster;
use kuorum_cache::watch::{ChunkLimits, JsonLines, Scope, WatchStart, Watcher};
use kuorum_cache::{CommitOutcome, Config, Resource, ResourceSpec, Store, StoreError, Txn, value};
use tokio::time::Instant;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn packed(name: &str) -> Bytes {
    let json = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
    value::pack(json.as_bytes(), r#"{"metadata":{"#.len() as u32)
}

fn front_end(cluster: &Cluster) -> (Store, Resource) {
    let members = (0..3).map(Cluster::url).collect();
    let connect = cluster.clone();
    let store = Store::connect(Config::new(members, move |url| connect.clone().connect(url)));
    let spec = ResourceSpec { prefix: "/registry/core/things/".into(), namespaced: false, fields: Vec::new() };
    let resource = store.register(spec);
    store.start();
    (store, resource)
}

async fn watch(resource: &Resource, start: WatchStart) -> Watcher {
    resource.watch(start, Scope::default(), None, soon()).await.unwrap()
}

/// Reads until `count` events have come; `(type, name, revision)`.
async fn read(watcher: &mut Watcher, count: usize) -> Vec<(String, String, u64)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let chunk = watcher.chunk(&JsonLines, ChunkLimits::default()).await.unwrap();
        for line in chunk.bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let event: serde_json::Value = serde_json::from_slice(line).unwrap();
            let meta = &event["object"]["metadata"];
            let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
            seen.push((text(&event["type"]), text(&meta["name"]), text(&meta["resourceVersion"]).parse().unwrap()));
        }
    }
    seen
}

#[tokio::test]
async fn loads_follows_and_reads_the_past() {
    let cluster = Cluster::new();
    for i in 0..10 {
        cluster.put(&format!("/registry/core/things/a{i}"), packed(&format!("a{i}")));
    }
    let (store, resource) = front_end(&cluster);
    store.wait_ready().await;
    assert_eq!(resource.snapshot().len(), 10);
    let revision = cluster.put("/registry/core/things/b", packed("b"));
    assert_eq!(store.fence(soon()).await, Ok(revision));
    assert_eq!(resource.get("", "b").unwrap().revision(), revision);
    // Older than anything in memory.
    let past = resource.snapshot_at(4, soon()).await.unwrap();
    assert_eq!(past.iter().map(|o| o.name().to_owned()).collect::<Vec<_>>(), ["a0", "a1", "a2", "a3"]);
    let mut watcher = watch(&resource, WatchStart::After(4)).await;
    let names: Vec<_> = read(&mut watcher, 7).await.into_iter().map(|(_, name, _)| name).collect();
    assert_eq!(names, ["a4", "a5", "a6", "a7", "a8", "a9", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_under_broken_connections() {
    let cluster = Cluster::new();
    let (store, resource) = front_end(&cluster);
    store.wait_ready().await;
    let mut watcher = watch(&resource, WatchStart::After(0)).await;
    let done = Arc::new(AtomicBool::new(false));
    let chaos = {
        let (cluster, done) = (cluster.clone(), done.clone());
        tokio::spawn(async move {
            for round in 0..60 {
                cluster.lose_answers(round % 4 == 0);
                cluster.set_leader(round / 3 % 3);
                cluster.hang_up(round % 3);
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
            cluster.lose_answers(false);
            done.store(true, Ordering::SeqCst);
        })
    };
    let mut tasks = Vec::new();
    for writer in 0..8 {
        let (store, resource, done) = (store.clone(), resource.clone(), done.clone());
        tasks.push(tokio::spawn(async move {
            let mut committed = BTreeMap::new();
            while !done.load(Ordering::SeqCst) {
                let name = format!("w{writer}-{}", committed.len());
                // Applied a second time, a create would be a conflict.
                match store.commit(Txn::create(resource.key("", &name), packed(&name)), soon()).await {
                    Ok(CommitOutcome::Committed(revision)) => drop(committed.insert(name.clone(), revision)),
                    other => panic!("{name}: {other:?}"),
                }
                assert!(store.fence(soon()).await.is_ok());
                assert!(resource.get("", &name).is_some());
            }
            committed
        }));
    }
    let mut committed = BTreeMap::new();
    for task in tasks {
        committed.extend(task.await.unwrap());
    }
    chaos.await.unwrap();
    let seen = read(&mut watcher, committed.len()).await;
    assert!(seen.is_sorted_by_key(|(_, _, revision)| *revision));
    assert!(seen.iter().all(|(kind, _, _)| kind == "ADDED"));
    let seen: BTreeMap<_, _> = seen.into_iter().map(|(_, name, revision)| (name, revision)).collect();
    assert_eq!(seen, committed);
}

#[tokio::test]
async fn without_a_quorum_it_is_said_so_and_then_it_works_again() {
    let cluster = Cluster::new();
    let (store, resource) = front_end(&cluster);
    store.wait_ready().await;
    cluster.set_down(&[0, 1, 2]);
    let short = || Instant::now() + Duration::from_millis(200);
    let create = |name: &str| Txn::create(resource.key("", name), packed(name));
    let refused = store.commit(create("a"), short()).await;
    // The stream may have been open when it broke.
    assert!(matches!(refused, Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))), "{refused:?}");
    assert!(matches!(store.commit(create("b"), short()).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.fence(short()).await, Err(StoreError::Unavailable(_))));
    // What was refused is not written later.
    cluster.set_down(&[]);
    assert!(matches!(store.commit(create("c"), soon()).await, Ok(CommitOutcome::Committed(_))));
    store.fence(soon()).await.unwrap();
    assert!(resource.get("", "b").is_none());
    assert!(resource.get("", "c").is_some());
}

#[tokio::test]
async fn a_lost_answer_is_unknown_or_asked_again() {
    let cluster = Cluster::new();
    let (store, resource) = front_end(&cluster);
    store.wait_ready().await;
    cluster.lose_answers(true);
    let create = |name: &str| Txn::create(resource.key("", name), packed(name));
    let lost = store.commit(create("a"), Instant::now() + Duration::from_millis(300)).await;
    assert!(matches!(lost, Err(StoreError::OutcomeUnknown(_))), "{lost:?}");
    let (patient, _) = tokio::join!(store.commit(create("b"), soon()), async {
        while cluster.repeated() == 0 {
            tokio::task::yield_now().await;
        }
        cluster.lose_answers(false);
    });
    assert!(matches!(patient, Ok(CommitOutcome::Committed(_))), "{patient:?}");
}

#[tokio::test]
async fn a_gap_in_the_history_is_a_new_beginning() {
    let cluster = Cluster::new();
    cluster.put("/registry/core/things/a", packed("a"));
    let (store, resource) = front_end(&cluster);
    store.wait_ready().await;
    let mut watcher = watch(&resource, WatchStart::State).await;
    assert_eq!(read(&mut watcher, 1).await.len(), 1);
    cluster.set_down(&[0, 1, 2]);
    let revisions = [0, 1, 2, 3, 4].map(|i| cluster.put(&format!("/registry/core/things/b{i}"), packed("b")));
    let last = revisions[4];
    cluster.compact();
    cluster.set_down(&[]);
    // The watcher has missed something, and is told.
    while watcher.chunk(&JsonLines, ChunkLimits::default()).await.is_ok() {}
    assert_eq!(store.fence(soon()).await, Ok(last));
    assert_eq!(resource.snapshot().len(), 6);
    let old = resource.watch(WatchStart::After(2), Scope::default(), None, soon()).await;
    assert!(old.is_err());
}

fn spec(prefix: &str) -> ResourceSpec {
    ResourceSpec { prefix: prefix.into(), namespaced: false, fields: Vec::new() }
}

/// Writes to a resource all the time while it is registered, on a store that has long begun.
async fn register_under_load(store: &Store) {
    const PREFIX: &str = "/registry/example.com/widgets/";
    let create = |i: u64| store.commit(Txn::create(format!("{PREFIX}w{i:04}"), packed(&format!("w{i:04}"))), soon());
    for i in 0..20 {
        create(i).await.unwrap();
    }
    let resource = store.register(spec(PREFIX));
    let writes = async {
        for i in 20..200 {
            create(i).await.unwrap();
        }
    };
    let load = async {
        resource.wait_loaded(soon()).await.unwrap();
        let snapshot = resource.snapshot();
        assert!(snapshot.len() >= 20, "{}", snapshot.len());
        // Whatever was written when it was loaded, nothing is missing behind it.
        watch(&resource, WatchStart::After(snapshot.revision())).await
    };
    let ((), mut watcher) = tokio::join!(writes, load);
    store.fence(soon()).await.unwrap();
    let all: Vec<_> = resource.snapshot().iter().map(|object| object.name().to_owned()).collect();
    assert_eq!(all, (0..200).map(|i| format!("w{i:04}")).collect::<Vec<_>>());
    let names: Vec<_> = all.iter().map(|name| resource.get("", name).map(|object| object.revision())).collect();
    assert!(names.is_sorted() && names.iter().all(Option::is_some));

    // Registered again it is the same; forgotten, its watches end and it may come back otherwise.
    assert_eq!(store.register(spec(PREFIX)).snapshot().len(), 200);
    store.unregister(PREFIX);
    while watcher.chunk(&JsonLines, ChunkLimits::default()).await.is_ok() {}
    let again = store.register(spec(PREFIX));
    again.wait_loaded(soon()).await.unwrap();
    assert_eq!(again.snapshot().len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_may_be_registered_late() {
    let cluster = Cluster::new();
    let (store, _) = front_end(&cluster);
    store.wait_ready().await;
    register_under_load(&store).await;
    let memory = Store::memory();
    memory.start();
    register_under_load(&memory).await;
}

#[tokio::test]
async fn a_lost_quorum_is_noticed_without_any_request() {
    let cluster = Cluster::new();
    let (store, _) = front_end(&cluster);
    store.wait_ready().await;
    assert!(store.available());
    cluster.set_down(&[0, 1, 2]);
    let gone = async {
        while store.available() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(soon() - Instant::now(), gone).await.unwrap();
    // Nobody waits for the deadline then.
    assert!(matches!(store.fence(soon()).await, Err(StoreError::Unavailable(_))));
    let refused = store.commit(Txn::create("/registry/core/things/a", packed("a")), soon()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    cluster.set_down(&[]);
    assert!(store.fence(soon()).await.is_ok());
    assert!(store.available());
}
