//! Sealed values: what reads, lists, watches and conflicts make of them, and of those that do not open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kuorum_cache::watch::{Scope, WatchError, WatchStart};
use kuorum_cache::{
    CommitOutcome, Expect, Resource, ResourceSpec, Seal, SnapshotError, Store, StoreError, Txn, ValueTransformer, value,
};
use tokio::time::Instant;

const SECRETS: &str = "/registry/core/secrets/";

/// "Seals" by adding the number of the key to every byte; knows one key for reading and writing.
#[derive(Default)]
struct Rotor {
    key: AtomicU8,
}

impl ValueTransformer for Rotor {
    fn seal(&self, prefix: &str, _key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let key = self.key.load(Ordering::SeqCst);
        if prefix != SECRETS || key == 0 {
            return Ok(None);
        }
        if key == u8::MAX {
            return Err("no key".to_owned());
        }
        let mut sealed = b"k8s:enc:rotor:".to_vec();
        sealed.push(key);
        sealed.extend(value.iter().map(|byte| byte.wrapping_add(key)));
        Ok(Some(sealed))
    }

    fn open(&self, _prefix: &str, _key: &[u8], stored: &Bytes) -> Result<(Option<Vec<u8>>, Seal), String> {
        let Some([key, sealed @ ..]) = stored.strip_prefix(b"k8s:enc:rotor:") else { return Ok((None, 0)) };
        if *key != self.key.load(Ordering::SeqCst) {
            return Err("no matching key was found".to_owned());
        }
        Ok((Some(sealed.iter().map(|byte| byte.wrapping_sub(*key)).collect()), *key))
    }

    fn is_stale(&self, _prefix: &str, seal: Seal) -> bool {
        seal != self.key.load(Ordering::SeqCst)
    }

    fn prepare<'a>(&'a self, _prefix: &'a str, _stored: &'a Bytes) -> Option<BoxFuture<'a, ()>> {
        None
    }
}

struct Fixture {
    store: Store,
    secrets: Resource,
    rotor: Arc<Rotor>,
}

fn fixture(key: u8) -> Fixture {
    let store = Store::memory();
    let rotor = Arc::new(Rotor { key: AtomicU8::new(key) });
    store.set_transformer(rotor.clone());
    let secrets = store.register(ResourceSpec { prefix: SECRETS.to_owned(), namespaced: true, fields: Vec::new() });
    store.start();
    Fixture { store, secrets, rotor }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn packed(name: &str) -> Bytes {
    let json = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
    value::pack(json.as_bytes(), 13)
}

impl Fixture {
    async fn create(&self, name: &str) -> u64 {
        self.commit(Txn::create(self.secrets.key("default", name), packed(name))).await
    }

    async fn commit(&self, txn: Txn) -> u64 {
        match self.store.commit(txn, soon()).await.unwrap() {
            CommitOutcome::Committed(revision) => revision,
            conflict => panic!("{conflict:?}"),
        }
    }
}

fn unreadable(outcome: Result<(), StoreError>) -> String {
    match outcome {
        Err(error @ StoreError::Unreadable { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

const REFUSAL: &str = "unable to transform key \"/registry/core/secrets/default/a\": no matching key was found";

#[tokio::test]
async fn sealed_values_read_as_if_they_were_not() {
    let f = fixture(7);
    let first = f.create("a").await;
    let object = f.secrets.get("default", "a").unwrap();
    assert_eq!(object.json(), format!(r#"{{"metadata":{{"resourceVersion":"{first}","name":"a"}}}}"#).as_bytes());
    assert_eq!(object.stored(), packed("a"), "compared with what would be written, in the clear");
    assert!(!f.secrets.is_stale(&object));
    f.secrets.check_readable("default", "a").unwrap();
    f.secrets.check_all_readable("").unwrap();

    // The past, from the store.
    let key = f.secrets.key("default", "a");
    f.commit(Txn::update(key.clone(), first, packed("a"))).await;
    f.commit(Txn::remove(key, f.secrets.get("default", "a").unwrap().revision())).await;
    let past = f.secrets.snapshot_at(first, soon()).await.unwrap();
    assert_eq!(past.get("default/a").unwrap().revision(), first);

    // A lost race tells what is there now.
    f.create("b").await;
    let lost = f.store.commit(Txn::update(f.secrets.key("default", "b"), 1, packed("b")), soon()).await.unwrap();
    let CommitOutcome::Conflict { current: Some(current), .. } = lost else { panic!("{lost:?}") };
    assert_eq!(current.stored(), packed("b"));
}

#[tokio::test]
async fn another_key_makes_objects_stale_and_a_missing_one_unreadable() {
    let f = fixture(7);
    let first = f.create("a").await;
    let object = f.secrets.get("default", "a").unwrap();
    f.rotor.key.store(8, Ordering::SeqCst);
    assert!(f.secrets.is_stale(&object));

    // What was loaded stays; what is loaded now does not open.
    let key = f.secrets.key("default", "a");
    assert!(f.secrets.get("default", "a").is_some());
    let fresh = fixture_on(&f);
    assert_eq!(unreadable(fresh.check_readable("default", "a")), REFUSAL);
    assert_eq!(unreadable(fresh.check_all_readable("")), REFUSAL);
    assert_eq!(unreadable(fresh.check_all_readable("default")), REFUSAL);
    fresh.check_all_readable("other").unwrap();
    fresh.check_readable("default", "b").unwrap();
    assert_eq!(fresh.unreadable("default", "a").unwrap().revision, first);
    assert!(fresh.get("default", "a").is_none());
    let watch = fresh.watch(WatchStart::State, Scope::default(), None, soon()).await;
    assert!(matches!(watch, Err(WatchError::Store(StoreError::Unreadable { .. }))));
    let past = f.secrets.snapshot_at(first - 1, soon()).await.err();
    assert!(past.is_none(), "nothing was there yet: {past:?}");

    // It is there: it cannot be created, and an update says why it cannot be done.
    let created = f.store.commit(Txn::create(key.clone(), packed("a")), soon()).await.unwrap();
    assert!(matches!(created, CommitOutcome::Conflict { index: 0, current: None, .. }), "{created:?}");
    let raced = f.store.commit(Txn::update(key.clone(), 999, packed("a")), soon()).await;
    assert!(matches!(raced, Err(StoreError::Unreadable { .. })), "{raced:?}");

    // The key comes back.
    f.rotor.key.store(7, Ordering::SeqCst);
    f.store.open_again();
    fresh.check_all_readable("").unwrap();
    assert_eq!(fresh.get("default", "a").unwrap().revision(), first);
}

/// The same resource, loaded anew.
fn fixture_on(f: &Fixture) -> Resource {
    f.store.unregister(SECRETS);
    f.store.register(f.secrets.spec().clone())
}

#[tokio::test]
async fn a_change_that_does_not_open_ends_watches_instead_of_inventing_a_deletion() {
    let f = fixture(7);
    let first = f.create("a").await;
    let mut watcher = f.secrets.watch(WatchStart::State, Scope::default(), None, soon()).await.unwrap();
    let limits = Default::default();
    let lines = kuorum_cache::watch::JsonLines;
    let next = std::future::poll_fn(|cx| watcher.poll_chunk(cx, &lines, limits)).await.unwrap();
    assert!(next.bytes.starts_with(b"{\"type\":\"ADDED\""));

    // Another front-end writes with a key that is not here: an already sealed value, written as it is.
    f.rotor.key.store(0, Ordering::SeqCst);
    let foreign = Bytes::from_static(b"k8s:enc:rotor:\x09xyz");
    let key = f.secrets.key("default", "a");
    let second = f.commit(Txn::new().expect(key.clone(), Expect::ModRevision(first)).put(key.clone(), foreign)).await;
    assert!(std::future::poll_fn(|cx| watcher.poll_chunk(cx, &lines, limits)).await.is_err());
    assert!(unreadable(f.secrets.check_readable("default", "a")).contains("no matching key"));
    assert!(f.secrets.get("default", "a").is_none());
    let past = f.secrets.snapshot_at(second, soon()).await;
    assert!(past.is_ok(), "the present, from memory");
    let after = f.secrets.watch(WatchStart::After(first - 1), Scope::default(), None, soon()).await;
    assert!(matches!(after, Err(WatchError::Store(StoreError::Unreadable { .. }))));

    // It can be deleted by its revision, and is gone then.
    f.commit(Txn::remove(key, second)).await;
    f.secrets.check_all_readable("").unwrap();
    let past = f.secrets.snapshot_at(second, soon()).await;
    assert!(matches!(past, Err(SnapshotError::Store(StoreError::Unreadable { .. }))), "{:?}", past.err());
}

#[tokio::test]
async fn nothing_is_written_in_the_clear_when_sealing_fails() {
    let f = fixture(u8::MAX);
    let refused = f.store.commit(Txn::create(f.secrets.key("default", "a"), packed("a")), soon()).await;
    assert!(matches!(refused, Err(StoreError::Unsealable(_))), "{refused:?}");
    assert!(f.store.memory_backend().unwrap().keys(SECRETS).is_empty());
}
