use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use serde_json::json;

use super::*;
use crate::{SECOND, dump, figures};

impl dump::Describe for &'static str {
    fn describe(&self) -> dump::Description {
        dump::Description { user: (*self).to_owned(), verb: "get".to_owned(), ..Default::default() }
    }
}

struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn bootstrap_levels() -> Vec<PriorityLevel> {
    bootstrap::priority_levels().iter().map(|level| PriorityLevel::from_json(&level.object).unwrap()).collect()
}

fn bootstrap_schemas() -> Vec<FlowSchema> {
    bootstrap::flow_schemas().iter().map(|schema| FlowSchema::from_json(&schema.object).unwrap()).collect()
}

fn of<'a>(user: &'a str, groups: &'a [String]) -> Attributes<'a> {
    Attributes { user, groups, verb: "get", is_resource: true, resource: "pods", namespace: "a", ..Default::default() }
}

fn names(fairness: &Fairness<&'static str>, user: &str, groups: &[String]) -> (String, String) {
    let flow = fairness.classify(&of(user, groups)).unwrap();
    (flow.schema.clone(), flow.level.name.clone())
}

#[test]
fn mandatory_objects_are_there_before_any_other() {
    let fairness = Fairness::new(10);
    let [masters, others] = [vec!["system:masters".to_owned()], vec!["system:authenticated".to_owned()]];
    assert_eq!(names(&fairness, "admin", &masters), ("exempt".to_owned(), "exempt".to_owned()));
    assert_eq!(names(&fairness, "alice", &others), ("catch-all".to_owned(), "catch-all".to_owned()));
    // Also without any group that a schema names.
    assert_eq!(names(&fairness, "nobody", &[]), ("catch-all".to_owned(), "catch-all".to_owned()));
    let flow = fairness.classify(&of("alice", &others)).unwrap();
    let tickets: Vec<_> = (0..10).map(|_| flow.arrive(0, Work::ONE, "", "alice").ok().unwrap()).collect();
    let refused = flow.arrive(0, Work::ONE, "", "alice").err().unwrap();
    assert_eq!(refused, Refusal { reason: Reason::ConcurrencyLimit, retry_after_seconds: 1 });
    for ticket in tickets {
        assert_eq!(ticket.leave(SECOND, Reason::Cancelled, false), Departure::Executed { release: None });
    }
}

#[test]
fn a_waiting_request_is_woken() {
    let fairness = Fairness::new(1);
    let level = json!({"metadata": {"name": "l", "uid": "lu"}, "spec": {"type": "Limited", "limited": {
        "nominalConcurrencyShares": 1000, "lendablePercent": 0,
        "limitResponse": {"type": "Queue", "queuing": {"queues": 4, "handSize": 1, "queueLengthLimit": 1}},
    }}});
    let schema = json!({"metadata": {"name": "s", "uid": "su"}, "spec": {
        "matchingPrecedence": 5, "priorityLevelConfiguration": {"name": "l"},
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{
            "subjects": [{"kind": "User", "user": {"name": "*"}}],
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
        }],
    }});
    let levels = vec![PriorityLevel::from_json(&level).unwrap()];
    fairness.configure(0, levels, vec![FlowSchema::from_json(&schema).unwrap()]);
    let flow = fairness.classify(&of("alice", &[])).unwrap();
    assert_eq!((&flow.schema_uid[..], &flow.level_uid[..]), (&b"su"[..], &b"lu"[..]));
    assert_eq!(flow.distinguisher("alice", "a"), "alice");
    let first = flow.arrive(0, Work::ONE, "alice", "alice").ok().unwrap();
    let mut second = flow.arrive(0, Work::ONE, "alice", "alice").ok().unwrap();
    assert!(first.is_executing() && !second.is_executing());
    assert_eq!(flow.arrive(0, Work::ONE, "alice", "alice").err().unwrap().reason, Reason::QueueFull);
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let waker = Waker::from(counter.clone());
    assert!(!second.poll(0, &waker));
    assert_eq!(counter.0.load(Ordering::Relaxed), 0);

    let text = dump::requests(&fairness, true, &|nanos| format!("t{nanos}"));
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert!(rows[1].contains(" 0,") && rows[1].contains("0001-01-01T00:00:00Z,"), "{text}");
    assert!(rows[2].contains(" -1,") && rows[2].contains("t0,"), "{text}");
    let text = dump::priority_levels(&fairness);
    assert!(
        text.lines().any(|row| row.split_whitespace().collect::<String>() == "l,1,false,false,1,1,1,1,0,0"),
        "{text}"
    );
    assert_eq!(dump::queues(&fairness).lines().count(), 1 + 4);

    first.leave(SECOND, Reason::Cancelled, false);
    assert_eq!(counter.0.load(Ordering::Relaxed), 1);
    assert!(second.poll(SECOND, &waker) && second.is_executing());
    assert_eq!(second.leave(2 * SECOND, Reason::Cancelled, false), Departure::Executed { release: None });

    let mut text = String::new();
    figures::write(&fairness, &mut text);
    let labels = "flow_schema=\"s\",priority_level=\"l\"";
    for line in [
        format!("apiserver_flowcontrol_dispatched_requests_total{{{labels}}} 2"),
        format!("apiserver_flowcontrol_rejected_requests_total{{{labels},reason=\"queue-full\"}} 1"),
        format!("apiserver_flowcontrol_current_executing_requests{{{labels}}} 0"),
        format!("apiserver_flowcontrol_request_wait_duration_seconds_bucket{{{labels},execute=\"true\",le=\"0\"}} 1"),
        format!("apiserver_flowcontrol_request_wait_duration_seconds_sum{{{labels},execute=\"true\"}} 1"),
        "apiserver_flowcontrol_nominal_limit_seats{priority_level=\"l\"} 1".to_owned(),
    ] {
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
    }
}

#[test]
fn a_level_that_is_not_wanted_any_more_serves_to_the_last() {
    let fairness = Fairness::new(100);
    fairness.configure(0, bootstrap_levels(), bootstrap_schemas());
    let everybody = ["system:authenticated".to_owned()];
    assert_eq!(names(&fairness, "alice", &everybody).1, "global-default");
    let flow = fairness.classify(&of("alice", &everybody)).unwrap();
    let ticket = flow.arrive(0, Work::ONE, "alice", "alice").ok().unwrap();
    let without: Vec<_> = bootstrap_levels().into_iter().filter(|l| l.metadata.name != "global-default").collect();
    fairness.configure(SECOND, without.clone(), bootstrap_schemas());
    assert_eq!(names(&fairness, "alice", &everybody).1, "catch-all", "its schema leads nowhere now");
    let has = || fairness.levels().iter().any(|level| level.name == "global-default");
    assert!(has() && dump::priority_levels(&fairness).contains("true"));
    fairness.adjust(2 * SECOND);
    assert!(has());
    ticket.leave(3 * SECOND, Reason::Cancelled, false);
    fairness.adjust(4 * SECOND);
    assert!(!has());
    // It comes back.
    fairness.configure(5 * SECOND, bootstrap_levels(), bootstrap_schemas());
    assert_eq!(names(&fairness, "alice", &everybody).1, "global-default");
}

#[test]
fn busy_levels_borrow_and_give_back() {
    let fairness = Fairness::new(600);
    fairness.configure(0, bootstrap_levels(), bootstrap_schemas());
    let everybody = ["system:authenticated".to_owned()];
    let flow = fairness.classify(&of("alice", &everybody)).unwrap();
    let limit = || flow.level.set.lock().seats_max();
    let idle = limit();
    let tickets: Vec<_> = (0..300).filter_map(|_| flow.arrive(0, Work::ONE, "alice", "alice").ok()).collect();
    fairness.adjust(10 * SECOND);
    assert!(limit() > 250, "{} of 600 seats, {idle} before", limit());
    for ticket in tickets {
        ticket.leave(11 * SECOND, Reason::Cancelled, false);
    }
    for round in 2..200 {
        fairness.adjust(round * 10 * SECOND);
    }
    assert!(limit() <= idle + 1, "{} seats, {idle} at first", limit());
}
