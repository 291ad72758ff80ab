use std::sync::Arc;

use kuorum_kinds::registry::Registry;

use super::*;

const NOW: i64 = 1_700_000_000;

fn kind(group: &str, version: &str, plural: &str) -> Arc<Kind> {
    let registry = Registry::builtin().unwrap();
    registry.resource(group, version, plural).unwrap().clone()
}

fn pod(node: &str, grace: i64) -> Value {
    json!({"metadata": {"name": "p", "generation": 1}, "spec": {"nodeName": node, "terminationGracePeriodSeconds": grace}})
}

#[test]
fn a_scheduled_pod_gets_its_time_and_never_more() {
    let pods = kind("", "v1", "pods");
    let Decision::Mark(marked) = decide(&pods, &pod("n", 30), &DeleteOptions::default(), NOW) else { panic!() };
    assert_eq!(json::int(&marked, "metadata.deletionGracePeriodSeconds"), Some(30));
    assert_eq!(json::int(&marked, "metadata.generation"), Some(2));
    let ask = |seconds| DeleteOptions { grace_period_seconds: Some(seconds), ..Default::default() };
    assert_eq!(decide(&pods, &marked, &ask(60), NOW), Decision::Pending);
    assert_eq!(decide(&pods, &marked, &DeleteOptions::default(), NOW), Decision::Pending);
    let Decision::Mark(shorter) = decide(&pods, &marked, &ask(5), NOW) else { panic!() };
    assert_eq!(json::text(&shorter, "metadata.deletionTimestamp"), timestamp(NOW + 5));
    assert_eq!(json::int(&shorter, "metadata.generation"), Some(2));
    assert!(matches!(decide(&pods, &shorter, &ask(0), NOW), Decision::Remove(Some(_))));
}

#[test]
fn an_unscheduled_pod_goes_at_once_unless_something_waits() {
    let pods = kind("", "v1", "pods");
    assert!(matches!(decide(&pods, &pod("", 30), &DeleteOptions::default(), NOW), Decision::Remove(Some(_))));
    let mut held = pod("", 30);
    held["metadata"]["finalizers"] = json!(["example.com/f"]);
    assert!(matches!(decide(&pods, &held, &DeleteOptions::default(), NOW), Decision::Mark(_)));
}

#[test]
fn policies_become_finalizers() {
    let deployments = kind("apps", "v1", "deployments");
    let object = json!({"metadata": {"name": "d", "generation": 1}});
    let finalizers = |object: &Value, policy| {
        let options = DeleteOptions { propagation_policy: policy, ..Default::default() };
        match decide(&deployments, object, &options, NOW) {
            Decision::Mark(marked) => marked["metadata"]["finalizers"].clone(),
            other => {
                assert_eq!(other, Decision::Remove(None));
                Value::Null
            }
        }
    };
    assert_eq!(finalizers(&object, Some(Policy::Foreground)), json!(["foregroundDeletion"]));
    assert_eq!(finalizers(&object, Some(Policy::Orphan)), json!(["orphan"]));
    assert_eq!(finalizers(&object, Some(Policy::Background)), Value::Null);
    assert_eq!(finalizers(&object, None), Value::Null);
    // A second deletion may change its mind.
    let waiting = json!({"metadata": {"name": "d", "finalizers": ["foregroundDeletion"]}});
    assert_eq!(finalizers(&waiting, None), json!(["foregroundDeletion"]));
    assert_eq!(finalizers(&waiting, Some(Policy::Background)), Value::Null);
    let jobs = kind("batch", "v1", "jobs");
    assert!(matches!(decide(&jobs, &object, &DeleteOptions::default(), NOW), Decision::Mark(_)));
}

#[test]
fn a_namespace_is_marked_first() {
    let namespaces = kind("", "v1", "namespaces");
    let object =
        json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
    let Decision::Mark(marked) = decide(&namespaces, &object, &DeleteOptions::default(), NOW) else { panic!() };
    assert_eq!(json::text(&marked, "status.phase"), "Terminating");
    assert_eq!(decide(&namespaces, &marked, &DeleteOptions::default(), NOW), Decision::Pending);
}
