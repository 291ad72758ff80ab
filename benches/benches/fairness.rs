//! What priority and fairness costs a request: classification, and the way through a queue set.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use kuorum_fairness::spec::{FlowSchema, PriorityLevel};
use kuorum_fairness::{Attributes, Fairness, Reason, Ticket, Work, bootstrap};
use serde_json::json;

fn levels() -> Vec<PriorityLevel> {
    let levels = bootstrap::priority_levels();
    levels.iter().map(|level| PriorityLevel::from_json(&level.object).expect("a bootstrap object")).collect()
}

/// The bootstrap schemas, and `more` that are about other users.
fn schemas(more: usize) -> Vec<FlowSchema> {
    let of_tenant = |i: usize| {
        json!({"metadata": {"name": format!("tenant-{i}")}, "spec": {
            "matchingPrecedence": 1000 + i, "priorityLevelConfiguration": {"name": "workload-low"},
            "rules": [{
                "subjects": [{"kind": "User", "user": {"name": format!("tenant-{i}")}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
            }],
        }})
    };
    let own = bootstrap::flow_schemas();
    let objects = own.iter().map(|schema| schema.object.clone()).chain((0..more).map(of_tenant));
    objects.map(|object| FlowSchema::from_json(&object).expect("a valid object")).collect()
}

fn fairness(more: usize) -> Fairness<()> {
    let fairness = Fairness::new(600);
    fairness.configure(0, levels(), schemas(more));
    fairness
}

/// A user whom only the last schemas match.
fn request<'a>(groups: &'a [String]) -> Attributes<'a> {
    Attributes {
        user: "jane@example.com",
        groups,
        verb: "get",
        is_resource: true,
        path: "/api/v1/namespaces/default/configmaps/a",
        resource: "configmaps",
        namespace: "default",
        ..Default::default()
    }
}

fn bench(c: &mut Criterion) {
    let groups: Vec<String> =
        ["dev", "ops", "team-blue", "system:authenticated"].iter().map(|group| group.to_string()).collect();
    for more in [0, 1000] {
        let fairness = fairness(more);
        c.bench_function(&format!("classify among {} schemas", 11 + more), |b| {
            b.iter(|| fairness.classify(black_box(&request(&groups))))
        });
    }

    let fairness = fairness(0);
    let mut now = 0;
    for (label, groups) in [("seat free", groups.clone()), ("exempt", vec!["system:masters".to_owned()])] {
        c.bench_function(&format!("classify, arrive, leave: {label}"), |b| {
            b.iter(|| {
                now += 1000;
                let flow = fairness.classify(&request(&groups)).expect("a flow");
                let ticket = flow.arrive(now, Work::ONE, "jane@example.com", ()).expect("a seat");
                ticket.leave(now, Reason::Cancelled, false)
            })
        });
    }

    // A level that is full, with a hundred flows waiting: one leaves, the next one is chosen, another one arrives.
    let flow = fairness.classify(&request(&groups)).expect("a flow");
    let user = |n: u64| format!("user-{}", n % 100);
    let mut arrived = 0;
    let mut tickets: Vec<Ticket<()>> = Vec::new();
    while arrived < 2000 {
        tickets.extend(flow.arrive(now, Work::ONE, &user(arrived), ()).ok());
        arrived += 1;
    }
    let waker = std::task::Waker::noop();
    c.bench_function("leave, dispatch and arrive among 100 waiting flows", |b| {
        b.iter(|| {
            now += 1000;
            arrived += 1;
            let at = tickets.iter_mut().position(|ticket| ticket.poll(now, waker)).expect("somebody executes");
            tickets.swap_remove(at).leave(now, Reason::Cancelled, false);
            tickets.extend(flow.arrive(now, Work::ONE, &user(arrived), ()).ok());
        })
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
