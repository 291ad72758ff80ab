//! The state machine: what applying one batch of transactions costs, without consensus and without a disk.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kuorum_proto::v1;
use kuorum_storage::engine::{Engine, MemoryEngine, Read};
use kuorum_storage::mvcc::{Applier, KeyCache, State};

fn create(n: u64) -> v1::command::ClientTxn {
    let key = Bytes::from(format!("/registry/core/configmaps/bench/o{n}"));
    let put = v1::op::Put { key: key.clone(), value: Bytes::from(vec![b'v'; 1024]), ttl_seconds: 0 };
    v1::command::ClientTxn {
        client_id: Bytes::from_static(&[7; 16]),
        acked_below: n,
        txn: Some(v1::Txn {
            seq: n,
            compares: vec![v1::Compare { key, mod_revision: 0 }],
            ops: vec![v1::Op { op: Some(v1::op::Op::Put(put)) }],
        }),
    }
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("apply");
    for size in [1u64, 64] {
        let engine = MemoryEngine::new();
        let mut state = State::load(&engine as &dyn Read).expect("an empty engine");
        let mut cache = KeyCache::default();
        let mut n = 0;
        group.throughput(Throughput::Elements(size));
        group.bench_with_input(BenchmarkId::new("creates in one entry", size), &size, |b, size| {
            b.iter(|| {
                let txns = (n + 1..=n + size).map(create).collect();
                n += size;
                let mut applier = Applier::new(&engine, &mut state, &mut cache);
                let body = v1::command::Body::Batch(v1::command::Batch { txns });
                applier.apply(v1::Command { time_unix_ms: n, body: Some(body) }).expect("a valid command");
                let (batch, events) = applier.finish(b"bench");
                engine.write(batch).expect("the memory engine writes");
                events.len()
            })
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
