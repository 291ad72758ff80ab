//! What one request does to one object: decode, default and validate, patch, encode.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kuorum_benches::load::args::ObjectKind;
use kuorum_benches::load::objects::manifest;
use kuorum_kinds::hooks::Context;
use kuorum_kinds::registry::Registry;
use kuorum_schema::{codec, patch};
use std::hint::black_box;

const ONE_KIB: usize = 1024;

fn bench(c: &mut Criterion) {
    let registry = Registry::builtin().expect("the built-in kinds have schemas");
    for (label, object_kind, kind) in
        [("configmap", ObjectKind::Configmap, "ConfigMap"), ("pod", ObjectKind::Pod, "Pod")]
    {
        let kind = registry.kind("", "v1", kind).expect("a core kind");
        let json = manifest(object_kind, "bench", &"x".repeat(ONE_KIB));
        let mut group = c.benchmark_group(label);
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function("decode", |b| b.iter(|| codec::decode_json(black_box(&json), &kind.schema)));

        let decoded = codec::decode_json(&json, &kind.schema).expect("a valid manifest").value;
        let context = Context { now: "2026-01-01T00:00:00Z", ..Context::default() };
        group.bench_function("default, prepare, validate", |b| {
            b.iter_batched(
                || decoded.clone(),
                |mut object| {
                    kind.default(&mut object);
                    kind.prepare_create(&mut object, &context);
                    kind.validate_create(&object, &context)
                },
                criterion::BatchSize::SmallInput,
            )
        });

        let mut complete = decoded.clone();
        kind.default(&mut complete);
        kind.prepare_create(&mut complete, &context);
        let mut out = Vec::with_capacity(8 * ONE_KIB);
        group.bench_function("encode for the store", |b| {
            b.iter(|| {
                out.clear();
                codec::encode_stored(black_box(&complete), &kind.schema, &mut out)
            })
        });

        let merge = br#"{"metadata":{"labels":{"tier":"web","app":null}}}"#;
        group.bench_function("merge patch", |b| b.iter(|| patch::merge::apply(&complete, black_box(merge))));
        let json_patch = br#"[{"op":"add","path":"/metadata/labels/tier","value":"web"}]"#;
        group.bench_function("JSON patch", |b| b.iter(|| patch::json::apply(&complete, black_box(json_patch))));
        if object_kind == ObjectKind::Pod {
            let strategic = br#"{"spec":{"containers":[{"name":"web","image":"registry.example/web:2"}]}}"#;
            group.bench_function("strategic merge patch", |b| {
                b.iter(|| patch::strategic::apply(&complete, black_box(strategic), &kind.schema))
            });
        }
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
