//! A front-end's cache: what a list and an event cost, by the number of objects and of watchers.

use std::hint::black_box;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kuorum_cache::watch::{ChunkLimits, JsonLines, Scope, WatchStart, Watcher};
use kuorum_cache::{Resource, ResourceSpec, Store, Txn, value};
use tokio::runtime::Runtime;
use tokio::time::Instant;

const PREFIX: &str = "/registry/core/configmaps/";
const LONG: Duration = Duration::from_secs(60);

struct Bench {
    runtime: Runtime,
    store: Store,
    resource: Resource,
}

impl Bench {
    fn new(objects: usize) -> Bench {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let store = Store::memory();
        let resource = store.register(ResourceSpec { prefix: PREFIX.to_owned(), namespaced: true, fields: Vec::new() });
        store.start();
        let bench = Bench { runtime, store, resource };
        for n in 0..objects {
            bench.put(&format!("o{n:06}"));
        }
        bench
    }

    fn put(&self, name: &str) {
        let head = format!("{{\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\",");
        let json = format!("{head}\"namespace\":\"bench\"}},\"data\":{{\"v\":\"{}\"}}}}", "x".repeat(1024));
        let txn = Txn::new().put(self.resource.key("bench", name), value::pack(json.as_bytes(), head.len() as u32));
        self.runtime.block_on(self.store.commit(txn, Instant::now() + LONG)).expect("the in-process store commits");
    }
}

fn list(c: &mut Criterion) {
    let bench = Bench::new(5_000);
    let mut group = c.benchmark_group("list");
    group.throughput(Throughput::Elements(5_000));
    group.bench_function("walk 5,000 objects", |b| {
        b.iter(|| {
            let mut walk = bench.resource.snapshot().walk("bench", "");
            let mut bytes = 0;
            while let Some(object) = walk.next_object() {
                bytes += object.json().len();
            }
            black_box(bytes)
        })
    });
    group.finish();
}

fn get(c: &mut Criterion) {
    let bench = Bench::new(5_000);
    c.bench_function("get one of 5,000", |b| b.iter(|| bench.resource.get("bench", black_box("o002500"))));
}

fn drain(watchers: &mut [Watcher]) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut bytes = 0;
    for watcher in watchers {
        while let Poll::Ready(Ok(chunk)) = watcher.poll_chunk(&mut cx, &JsonLines, ChunkLimits::default()) {
            bytes += chunk.bytes.len();
        }
    }
    bytes
}

fn dispatch(c: &mut Criterion) {
    let mut group = c.benchmark_group("watch: one event");
    for watchers in [1, 100, 1_000] {
        let bench = Bench::new(10);
        let start = WatchStart::After(bench.store.revision());
        let mut all: Vec<Watcher> = (0..watchers)
            .map(|_| {
                let watch = bench.resource.watch(start, Scope::default(), None, Instant::now() + LONG);
                bench.runtime.block_on(watch).expect("a watch from now on")
            })
            .collect();
        group.throughput(Throughput::Elements(watchers));
        group.bench_with_input(BenchmarkId::new("matching watchers", watchers), &watchers, |b, _| {
            b.iter(|| {
                bench.put("o000001");
                drain(&mut all)
            })
        });
    }
    for watchers in [100, 10_000] {
        let bench = Bench::new(10);
        let start = WatchStart::After(bench.store.revision());
        let scope = Scope { namespace: Some("elsewhere".into()), ..Scope::default() };
        let idle: Vec<Watcher> = (0..watchers)
            .map(|_| {
                let watch = bench.resource.watch(start, scope.clone(), None, Instant::now() + LONG);
                bench.runtime.block_on(watch).expect("a watch from now on")
            })
            .collect();
        group.throughput(Throughput::Elements(1));
        group.bench_with_input(BenchmarkId::new("watchers of another namespace", watchers), &watchers, |b, _| {
            b.iter(|| bench.put("o000001"))
        });
        drop(idle);
    }
    group.finish();
}

criterion_group!(benches, list, get, dispatch);
criterion_main!(benches);
