//! What tracking who owns which fields adds to a write, and what an apply costs.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use kuorum_benches::load::args::ObjectKind;
use kuorum_benches::load::objects::manifest;
use kuorum_schema::fields::{OneVersion, Reset, Tracker};
use kuorum_schema::{Schema, catalog, codec};
use serde_json::{Value, json};

const ONE_KIB: usize = 1024;
const CONTAINERS: usize = 100;

fn tracker<'a>(schema: &'a Schema, kind: &'a str) -> Tracker<'a> {
    Tracker {
        schema,
        api_version: "v1",
        kind,
        subresource: "",
        reset: Reset::Fields(&[&["status"]]),
        versions: &OneVersion,
        now: "2026-01-01T00:00:00Z",
    }
}

fn schema(kind: &str) -> Arc<Schema> {
    catalog().kind("", "v1", kind).expect("a core kind")
}

/// A pod with many containers, each with what a real one has.
fn large_pod() -> Value {
    let container = |n: usize| {
        json!({
            "name": format!("c{n}"), "image": format!("registry.example/app:{n}"),
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "ports": [{"containerPort": 8000 + n, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "livenessProbe": {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "periodSeconds": 10},
            "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "d", "uid": "u"},
        "spec": {"containers": (0..CONTAINERS).map(container).collect::<Vec<_>>(),
                 "volumes": [{"name": "data", "emptyDir": {}}]},
    })
}

fn bench(c: &mut Criterion) {
    let map_type = schema("ConfigMap");
    let map = manifest(ObjectKind::Configmap, "bench", &"x".repeat(ONE_KIB));
    let map = codec::decode_json(&map, &map_type).expect("a valid manifest").value;
    objects(c, "configmap", &tracker(&map_type, "ConfigMap"), &map, |object| object["data"]["more"] = "1".into());
    let pod_type = schema("Pod");
    objects(c, "100-container pod", &tracker(&pod_type, "Pod"), &large_pod(), |object| {
        object["spec"]["containers"][CONTAINERS / 2]["image"] = "registry.example/app:new".into();
    });
}

fn objects(c: &mut Criterion, label: &str, tracker: &Tracker<'_>, object: &Value, change: fn(&mut Value)) {
    let mut group = c.benchmark_group(label);
    let run = |live: Option<&Value>, mut object: Value, manager: &str| {
        tracker.update(live, &mut object, manager);
        object
    };
    group.bench_function("create", |b| {
        b.iter_batched(|| object.clone(), |object| run(None, object, "first"), BatchSize::SmallInput)
    });
    let live = run(None, object.clone(), "first");
    let mut changed = live.clone();
    change(&mut changed);
    group.bench_function("update by another", |b| {
        b.iter_batched(|| changed.clone(), |object| run(Some(&live), object, "second"), BatchSize::SmallInput)
    });
    group.bench_function("update that changes nothing", |b| {
        b.iter_batched(|| live.clone(), |object| run(Some(&live), object, "second"), BatchSize::SmallInput)
    });
    let applied = tracker.apply(None, object, "applier", false).expect("a first apply");
    group.bench_function("apply again", |b| {
        b.iter(|| tracker.apply(Some(black_box(&applied)), object, "applier", false))
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
