use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::catalog;
use crate::model::Schema;

const NOW: &str = "2026-01-02T03:04:05Z";
const LATER: &str = "2026-01-02T03:04:06Z";

fn tracker<'a>(schema: &'a Schema, api_version: &'a str, kind: &'a str, now: &'a str) -> Tracker<'a> {
    Tracker { schema, api_version, kind, subresource: "", reset: Reset::NONE, versions: &OneVersion, now }
}

fn deployment() -> Arc<Schema> {
    catalog().kind("apps", "v1", "Deployment").unwrap()
}

fn config_map() -> Arc<Schema> {
    catalog().kind("", "v1", "ConfigMap").unwrap()
}

fn printed(set: &Set) -> String {
    let mut out = Vec::new();
    set.print(&mut out);
    String::from_utf8(out).unwrap()
}

/// `manager operation[/subresource] fields`, a line for each owner.
fn owners(object: &Value) -> Vec<String> {
    let entries = managed_of(object).as_array().cloned().unwrap_or_default();
    let owner = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let subresource = text("subresource");
        let slash = if subresource.is_empty() { "" } else { "/" };
        let set = Set::parse(&entry["fieldsV1"]).unwrap();
        format!("{} {}{slash}{subresource} {}", text("manager"), text("operation"), printed(&set))
    };
    entries.iter().map(owner).collect()
}

#[test]
fn sets_print_as_they_were_written() {
    for text in [
        "{}",
        r#"{"f:data":{".":{},"f:a":{},"f:b":{}},"f:metadata":{"f:labels":{"f:x/y":{}}}}"#,
        // Numbers by their value, keys before values, fields first.
        r#"{"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}},"k:{\"containerPort\":443,\"protocol\":\"TCP\"}":{}}}"#,
        r#"{"f:finalizers":{".":{},"v:\"example.com/a\"":{},"v:\"example.com/b\"":{}}}"#,
        r#"{"f:x":{"i:2":{},"i:10":{}}}"#,
        r#"{"f:x":{"v:2":{},"v:10":{},"v:\"a\"":{},"v:true":{}}}"#,
    ] {
        let set = Set::parse(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(printed(&set), text);
    }
}

#[test]
fn sets_of_clients_become_canonical() {
    for (given, want) in [
        (r#"{"f:a":{".":{}}}"#, r#"{"f:a":{}}"#),
        (r#"{"f:a":null}"#, r#"{"f:a":{}}"#),
        (r#"{"x:new":{},"f:a":{}}"#, r#"{"f:a":{}}"#),
        (r#"{"f:l":{"k:{ \"b\": 1, \"a\": 2 }":{}}}"#, r#"{"f:l":{"k:{\"a\":2,\"b\":1}":{}}}"#),
        (r#"{".":{},"f:a":{}}"#, r#"{"f:a":{}}"#),
    ] {
        assert_eq!(printed(&Set::parse(&serde_json::from_str(given).unwrap()).unwrap()), want);
    }
    for wrong in [r#"{"nonsense":1}"#, r#"{"f":{}}"#, r#"{"f:a":1}"#, r#"{"k:[]":{}}"#, r#"{"i:x":{}}"#, "[]"] {
        assert!(Set::parse(&serde_json::from_str(wrong).unwrap()).is_err(), "{wrong}");
    }
}

#[test]
fn set_operations_keep_parents_and_children_apart() {
    let set = |text: &str| Set::parse(&serde_json::from_str(text).unwrap()).unwrap();
    let table = [
        // a, b, a - b, a ∩ b, a ∪ b, a without b and what is below it
        (
            r#"{"f:d":{".":{},"f:k":{}}}"#,
            r#"{"f:d":{"f:k":{}}}"#,
            r#"{"f:d":{}}"#,
            r#"{"f:d":{"f:k":{}}}"#,
            r#"{"f:d":{".":{},"f:k":{}}}"#,
            r#"{"f:d":{}}"#,
        ),
        (
            r#"{"f:d":{".":{},"f:k":{}}}"#,
            r#"{"f:d":{}}"#,
            r#"{"f:d":{"f:k":{}}}"#,
            r#"{"f:d":{}}"#,
            r#"{"f:d":{".":{},"f:k":{}}}"#,
            "{}",
        ),
        (r#"{"f:a":{}}"#, r#"{"f:b":{}}"#, r#"{"f:a":{}}"#, "{}", r#"{"f:a":{},"f:b":{}}"#, r#"{"f:a":{}}"#),
        (
            r#"{"f:a":{"f:b":{}}}"#,
            r#"{"f:a":{"f:c":{}}}"#,
            r#"{"f:a":{"f:b":{}}}"#,
            "{}",
            r#"{"f:a":{"f:b":{},"f:c":{}}}"#,
            r#"{"f:a":{"f:b":{}}}"#,
        ),
    ];
    for (a, b, difference, both, either, deep) in table {
        let (a, b) = (set(a), set(b));
        let mut left = a.clone();
        let changed = left.subtract(&b);
        assert_eq!((printed(&left).as_str(), changed), (difference, left != a));
        assert_eq!(printed(&a.intersection(&b)), both);
        let mut all = a.clone();
        all.unite(&b);
        assert_eq!(printed(&all), either);
        let mut kept = a.clone();
        kept.subtract_deep(&b);
        assert_eq!(printed(&kept), deep);
    }
    let mut kept = set(
        r#"{"f:metadata":{"f:labels":{}},"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{},"f:resources":{"f:limits":{}}}}}}"#,
    );
    kept.retain_below(&[&["spec", "containers", "*", "resources"]]);
    assert_eq!(
        printed(&kept),
        r#"{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:resources":{"f:limits":{}}}}}}"#
    );
}

#[test]
fn comparison_of_typed_objects() {
    let schema = deployment();
    let container = |extra: Value| {
        let mut container = json!({"name": "a", "image": "i:1"});
        container.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"spec": {"template": {"spec": {"containers": [container]}}}})
    };
    let at = |set: &str| {
        format!(r#"{{"f:spec":{{"f:template":{{"f:spec":{{"f:containers":{{"k:{{\"name\":\"a\"}}":{set}}}}}}}}}}}"#)
    };
    for (old, new, changed, removed) in [
        // What Go always prints is there in the empty object too.
        (json!({}), json!({"spec": {"replicas": 1}}), r#"{"f:spec":{"f:replicas":{}}}"#.to_owned(), "{}".to_owned()),
        (
            json!({}),
            json!({"metadata": {"name": "x", "uid": "u", "labels": {"a": "1"}}}),
            r#"{"f:metadata":{"f:labels":{".":{},"f:a":{}}}}"#.to_owned(),
            "{}".to_owned(),
        ),
        // Structs that Go prints even if they are empty count, maps and lists inside them do, too.
        (json!({}), container(json!({})), at(r#"{".":{},"f:image":{},"f:name":{},"f:resources":{}}"#), "{}".to_owned()),
        (
            container(json!({})),
            container(json!({"ports": [{"containerPort": 80}]})),
            at(r#"{"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}"#),
            "{}".to_owned(),
        ),
        (container(json!({"args": ["a"]})), container(json!({"args": ["b"]})), at(r#"{"f:args":{}}"#), "{}".to_owned()),
        (container(json!({"args": ["a"]})), container(json!({})), "{}".to_owned(), at(r#"{"f:args":{}}"#)),
        (
            json!({"spec": {"selector": {"matchLabels": {"a": "1"}}}}),
            json!({"spec": {"selector": {"matchLabels": {"a": "2"}}}}),
            r#"{"f:spec":{"f:selector":{}}}"#.to_owned(),
            "{}".to_owned(),
        ),
        (
            json!({"metadata": {"finalizers": ["a/b", "a/c"]}}),
            json!({"metadata": {"finalizers": ["a/c", "a/d"]}}),
            r#"{"f:metadata":{"f:finalizers":{"v:\"a/d\"":{}}}}"#.to_owned(),
            r#"{"f:metadata":{"f:finalizers":{"v:\"a/b\"":{}}}}"#.to_owned(),
        ),
        // An explicit zero of a field that is always printed is no change.
        (json!({"spec": {"template": {"spec": {"containers": null}}}}), json!({}), "{}".to_owned(), "{}".to_owned()),
    ] {
        let comparison = compare(&schema, &old, &new);
        assert_eq!(printed(&comparison.changed), changed, "{old} {new}");
        assert_eq!(printed(&comparison.removed), removed, "{old} {new}");
        assert!(compare(&schema, &new, &new).is_empty());
    }
}

#[test]
fn duplicate_items_are_owned_as_one() {
    let schema = catalog().kind("", "v1", "Pod").unwrap();
    let pod = |env: Value| json!({"spec": {"containers": [{"name": "a", "env": env}]}});
    let one = pod(json!([{"name": "X", "value": "1"}]));
    let two = pod(json!([{"name": "X", "value": "1"}, {"name": "X", "value": "2"}]));
    let at = |set: &str| {
        format!(
            r#"{{"f:spec":{{"f:containers":{{"k:{{\"name\":\"a\"}}":{{"f:env":{{"k:{{\"name\":\"X\"}}":{set}}}}}}}}}}}"#
        )
    };
    let diff = compare(&schema, &one, &two);
    assert_eq!(printed(&diff.changed), at("{}"));
    assert_eq!(printed(&diff.removed), at(r#"{".":{},"f:name":{},"f:value":{}}"#));
    let diff = compare(&schema, &two, &one);
    assert_eq!(printed(&diff.changed), at(r#"{".":{},"f:name":{},"f:value":{}}"#));
    assert_eq!(printed(&diff.removed), at("{}"));
    assert!(compare(&schema, &two, &two).is_empty());
}

fn cm(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "u"}, "data": data})
}

#[test]
fn updates_move_ownership() {
    let schema = config_map();
    let now = tracker(&schema, "v1", "ConfigMap", NOW);
    let mut first = cm(json!({"k": "v"}));
    now.update(None, &mut first, "first");
    assert_eq!(owners(&first), [r#"first Update {"f:data":{".":{},"f:k":{}}}"#]);
    assert_eq!(first["metadata"]["managedFields"][0]["time"], NOW);

    let mut second = cm(json!({"k": "w"}));
    now.update(Some(&first), &mut second, "second");
    assert_eq!(owners(&second), [r#"first Update {"f:data":{}}"#, r#"second Update {"f:data":{"f:k":{}}}"#]);

    // The same by the same manager is united, and nothing at all changes no time.
    let later = tracker(&schema, "v1", "ConfigMap", LATER);
    let mut third = cm(json!({"k": "w", "l": "1"}));
    later.update(Some(&second), &mut third, "second");
    assert_eq!(owners(&third)[1], r#"second Update {"f:data":{"f:k":{},"f:l":{}}}"#);
    assert_eq!(third["metadata"]["managedFields"][1]["time"], LATER);
    let mut same = cm(json!({"k": "w", "l": "1"}));
    later.update(Some(&third), &mut same, "other");
    assert_eq!(managed_of(&same), managed_of(&third));

    // What is gone has no owner.
    let mut none = cm(json!({"l": "1"}));
    none["metadata"]["managedFields"] = managed_of(&third).clone();
    later.update(Some(&third), &mut none, "");
    assert_eq!(owners(&none), [r#"first Update {"f:data":{}}"#, r#"second Update {"f:data":{"f:l":{}}}"#]);
}

#[test]
fn clients_may_write_owners() {
    let schema = config_map();
    let now = tracker(&schema, "v1", "ConfigMap", NOW);
    let mut live = cm(json!({"k": "v"}));
    now.update(None, &mut live, "first");
    let write = |managed: Value, subresource: &'static str| {
        let mut new = cm(json!({"k": "v"}));
        if !managed.is_null() {
            new["metadata"]["managedFields"] = managed;
        }
        Tracker { subresource, ..tracker(&schema, "v1", "ConfigMap", NOW) }.update(Some(&live), &mut new, "me");
        owners(&new)
    };
    let entry = |extra: Value| {
        let mut entry = json!({"manager": "mine", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:k": {}}}});
        entry.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!([entry])
    };
    let first = vec![r#"first Update {"f:data":{".":{},"f:k":{}}}"#.to_owned()];
    let mine = vec![r#"mine Update {"f:data":{"f:k":{}}}"#.to_owned()];
    assert_eq!(write(entry(json!({})), ""), mine);
    assert_eq!(write(entry(json!({})), "status"), first);
    for malformed in [
        json!({"operation": "Neither"}),
        json!({"fieldsType": "FieldsV9"}),
        json!({"apiVersion": ""}),
        json!({"fieldsV1": {"nonsense": 1}}),
    ] {
        assert_eq!(write(entry(malformed.clone()), ""), first, "{malformed}");
    }
    assert_eq!(write(Value::Null, ""), first);
    assert!(write(json!([]), "").is_empty());
    assert!(write(json!([{}]), "").is_empty());
    // An owner in a version that the kind does not have is forgotten.
    assert!(write(entry(json!({"apiVersion": "v9"})), "").is_empty());
}

#[test]
fn the_oldest_updaters_are_merged() {
    let schema = config_map();
    let mut live = cm(json!({}));
    let times: Vec<String> = (10..25).map(|second| format!("2026-01-02T03:04:{second}Z")).collect();
    for (at, time) in times.iter().enumerate() {
        let mut next = live.clone();
        next["data"][format!("k{at:02}")] = "1".into();
        let live_before = (at > 0).then_some(&live);
        tracker(&schema, "v1", "ConfigMap", time).update(live_before, &mut next, &format!("m{at:02}"));
        live = next;
    }
    let owners = owners(&live);
    assert_eq!(owners.len(), 10);
    assert_eq!(
        owners[0],
        r#"ancient-changes Update {"f:data":{".":{},"f:k00":{},"f:k01":{},"f:k02":{},"f:k03":{},"f:k04":{},"f:k05":{}}}"#
    );
    assert!(owners[1].starts_with("m06 "));
}

fn applied(live: Option<&Value>, config: &Value, manager: &str, force: bool) -> Result<Value, ApplyError> {
    let schema = deployment();
    tracker(&schema, "apps/v1", "Deployment", NOW).apply(live, config, manager, force)
}

fn web(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
}

fn conflict(result: Result<Value, ApplyError>) -> String {
    match result {
        Err(error @ ApplyError::Conflicts(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn applies_share_take_and_give_up() {
    let one = web(json!({"replicas": 2, "template": {"spec": {"containers": [{"name": "a", "image": "i:1"}]}}}));
    let live = applied(None, &one, "one", false).unwrap();
    assert_eq!(
        owners(&live),
        [
            r#"one Apply {"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{},"f:name":{}}}}}}}"#
        ]
    );
    // Applying the same again changes nothing, not even a time.
    let schema = deployment();
    let again = tracker(&schema, "apps/v1", "Deployment", LATER).apply(Some(&live), &one, "one", false).unwrap();
    assert_eq!(again, live);

    // The same value is shared; another one conflicts, unless it is forced.
    let shared = applied(Some(&live), &web(json!({"replicas": 2})), "two", false).unwrap();
    assert_eq!(owners(&shared)[0], r#"two Apply {"f:spec":{"f:replicas":{}}}"#);
    assert!(shared["metadata"]["managedFields"][0].get("time").is_none());
    assert_eq!(
        conflict(applied(Some(&shared), &web(json!({"replicas": 3})), "two", false)),
        r#"Apply failed with 1 conflict: conflict with "one": .spec.replicas"#
    );
    let forced = applied(Some(&shared), &web(json!({"replicas": 3})), "two", true).unwrap();
    assert_eq!(forced["spec"]["replicas"], 3);
    assert!(!owners(&forced)[0].contains("replicas"));

    // What an applier leaves out goes, unless another owns it too.
    let given_up = applied(Some(&shared), &web(json!({})), "two", false).unwrap();
    assert_eq!(given_up["spec"]["replicas"], 2);
    let gone = applied(Some(&forced), &web(json!({})), "two", false).unwrap();
    assert!(gone["spec"].get("replicas").is_none());
    assert_eq!(owners(&gone)[1], r#"two Apply {"f:spec":{}}"#);
}

#[test]
fn conflicts_name_their_owners() {
    let mut live = applied(None, &web(json!({"replicas": 2, "paused": true})), "one", false).unwrap();
    let schema = deployment();
    let mut patched = live.clone();
    patched["spec"]["minReadySeconds"] = 4.into();
    tracker(&schema, "apps/v1", "Deployment", NOW).update(Some(&live), &mut patched, "hand");
    live = patched;
    let other = web(json!({"replicas": 3, "paused": false, "minReadySeconds": 5,
        "template": {"spec": {"nodeSelector": {"a": "b"}}}}));
    assert_eq!(
        conflict(applied(Some(&live), &other, "two", false)),
        "Apply failed with 3 conflicts: conflicts with \"hand\" using apps/v1:\n- .spec.minReadySeconds\n\
         conflicts with \"one\":\n- .spec.paused\n- .spec.replicas"
    );
    let scaled = Entry {
        manager: "s".to_owned(),
        operation: Operation::Update,
        api_version: "apps/v1".to_owned(),
        subresource: "scale".to_owned(),
        time: None,
        set: Set::default(),
    };
    assert_eq!(scaled.shown(), r#""s" with subresource "scale" using apps/v1"#);
}

#[test]
fn what_was_there_before_the_first_apply_has_an_owner() {
    let live = web(json!({"replicas": 1}));
    assert_eq!(
        conflict(applied(Some(&live), &web(json!({"replicas": 2})), "one", false)),
        r#"Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas"#
    );
    let merged = applied(Some(&live), &web(json!({"replicas": 2})), "one", true).unwrap();
    assert_eq!(owners(&merged), [r#"one Apply {"f:spec":{"f:replicas":{}}}"#]);
}

#[test]
fn configurations_that_do_not_fit() {
    let containers = |containers: Value| web(json!({"template": {"spec": {"containers": containers}}}));
    let prefix = "failed to create typed patch object (/web; apps/v1, Kind=Deployment): ";
    for (config, want) in [
        (web(json!({"nothing": 1})), ".spec.nothing: field not declared in schema"),
        (web(json!({"replicas": "two"})), ".spec.replicas: expected numeric (int or float), got string"),
        (web(json!({"paused": 1})), ".spec.paused: expected boolean, got &{1}"),
        (containers(json!("a")), ".spec.template.spec.containers: expected list, got &{a}"),
        (
            containers(json!([1])),
            ".spec.template.spec.containers: element 0: associative list with keys may not have non-map elements",
        ),
        (
            containers(json!([{"name": "a", "image": {"b": [1, "c"]}}])),
            r#".spec.template.spec.containers[name="a"].image: expected string, got &value.valueUnstructured{Value:map[string]interface {}{"b":[]interface {}{1, "c"}}}"#,
        ),
        (
            containers(json!([{"name": "a"}, {"name": "a"}])),
            r#".spec.template.spec.containers: duplicate entries for key [name="a"]"#,
        ),
        (
            web(json!({"template": {"spec": {"tolerations": [{"key": 5}]}}})),
            ".spec.template.spec.tolerations[0].key: expected string, got &value.valueUnstructured{Value:5}",
        ),
        (
            web(json!({"paused": 1, "replicas": []})),
            "errors:\n  .spec.paused: expected boolean, got &{1}\n  .spec.replicas: expected numeric (int or float), got []interface {}",
        ),
    ] {
        let ApplyError::Internal(why) = applied(None, &config, "one", false).unwrap_err() else { panic!("{config}") };
        assert_eq!(why.strip_prefix(prefix), Some(want));
    }
    for (config, want) in [
        (json!({"apiVersion": "apps/v1", "metadata": {}}), "invalid object type: apps/v1, Kind="),
        (json!({"kind": "Deployment"}), "invalid object type: /, Kind=Deployment"),
        (json!({"apiVersion": "v1", "kind": "Secret"}), "invalid object type: /v1, Kind=Secret"),
        (json!({"apiVersion": "a/b/c", "kind": "Deployment"}), "invalid object type: /, Kind="),
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"managedFields": []}}),
            "metadata.managedFields must be nil",
        ),
    ] {
        assert_eq!(applied(None, &config, "one", false).unwrap_err(), ApplyError::BadRequest(want.to_owned()));
    }
}

#[test]
fn keyed_items_keep_their_order_and_take_a_new_one() {
    let live = web(json!({"template": {"spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}}}));
    let schema = deployment();
    for (config, want) in [
        (json!(["c"]), ["a", "b", "c"].as_slice()),
        (json!(["c", "a"]), &["b", "c", "a"]),
        (json!(["x", "a"]), &["x", "a", "b", "c"]),
        (json!(["a", "x"]), &["a", "b", "c", "x"]),
    ] {
        let items: Vec<Value> = config.as_array().unwrap().iter().map(|name| json!({"name": name})).collect();
        let merged = merge(&schema, &live, &web(json!({"template": {"spec": {"containers": items}}})));
        let names = merged["spec"]["template"]["spec"]["containers"].as_array().unwrap().clone();
        let names: Vec<&str> = names.iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(names, want);
    }
}

#[test]
fn kubectl_takes_over_what_it_applied_by_itself() {
    let schema = deployment();
    let by_client = |replicas: i64, said: i64| {
        let mut object = web(json!({"replicas": replicas}));
        let last = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": said}});
        object["metadata"]["annotations"] =
            json!({"kubectl.kubernetes.io/last-applied-configuration": last.to_string()});
        tracker(&schema, "apps/v1", "Deployment", NOW).update(None, &mut object, "kubectl-client-side-apply");
        object
    };
    let config = web(json!({"replicas": 5}));
    let merged = applied(Some(&by_client(2, 2)), &config, "kubectl", false).unwrap();
    assert_eq!(merged["spec"]["replicas"], 5);
    let annotation = &merged["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    let last: Value = serde_json::from_str(annotation.as_str().unwrap()).unwrap();
    assert_eq!(last, config);
    assert!(annotation.as_str().unwrap().ends_with('\n'));
    // Another manager, and a value that somebody has changed since, are conflicts as ever.
    conflict(applied(Some(&by_client(2, 2)), &config, "other", false));
    conflict(applied(Some(&by_client(3, 2)), &config, "kubectl", false));
}

/// A kind whose v2 has `spec.size` where v1 has `spec.replicas`.
struct TwoVersions(Arc<Schema>, Arc<Schema>);

fn two_versions() -> TwoVersions {
    let type_of = |version: &str, field: &str| {
        let field = json!({field: {"type": "integer"}, "name": {"type": "string"}});
        crate::custom::compile(
            "x.io",
            version,
            "Thing",
            &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": field}}}),
        )
    };
    TwoVersions(type_of("v1", "replicas"), type_of("v2", "size"))
}

impl Versions for TwoVersions {
    fn convert(&self, object: &Value, api_version: &str) -> Option<(Value, Arc<Schema>)> {
        let (schema, from, to) = match api_version {
            "x.io/v1" => (&self.0, "size", "replicas"),
            "x.io/v2" => (&self.1, "replicas", "size"),
            _ => return None,
        };
        let mut object = object.clone();
        object["apiVersion"] = api_version.into();
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
            && let Some(value) = spec.remove(from)
        {
            spec.insert(to.to_owned(), value);
        }
        Some((object, schema.clone()))
    }
}

#[test]
fn owners_in_other_versions_are_heard() {
    let versions = two_versions();
    let v1 = Tracker { versions: &versions, ..tracker(&versions.0, "x.io/v1", "Thing", NOW) };
    let v2 = Tracker { versions: &versions, ..tracker(&versions.1, "x.io/v2", "Thing", NOW) };
    let thing = |version: &str, spec: Value| json!({"apiVersion": version, "kind": "Thing", "metadata": {"name": "t"}, "spec": spec});
    let live = v1.apply(None, &thing("x.io/v1", json!({"replicas": 1, "name": "n"})), "one", false).unwrap();
    let (as_v2, _) = versions.convert(&live, "x.io/v2").unwrap();
    assert_eq!(
        conflict(v2.apply(Some(&as_v2), &thing("x.io/v2", json!({"size": 2})), "two", false)),
        r#"Apply failed with 1 conflict: conflict with "one": .spec.replicas"#
    );
    // The applier itself moves on to another version, and gives up a field on the way.
    let moved = v2.apply(Some(&as_v2), &thing("x.io/v2", json!({"size": 1})), "one", false).unwrap();
    assert_eq!(moved["spec"], json!({"size": 1}));
    assert_eq!(owners(&moved), [r#"one Apply {"f:spec":{"f:size":{}}}"#]);
    // A version that is not there any more has no owners.
    let mut changed = live.clone();
    changed["metadata"]["managedFields"][0]["apiVersion"] = "x.io/v0".into();
    let stale = changed.clone();
    changed["spec"]["name"] = "m".into();
    v1.update(Some(&stale), &mut changed, "hand");
    assert_eq!(owners(&changed), [r#"hand Update {"f:spec":{"f:name":{}}}"#]);
}

#[test]
fn resets_have_no_owner() {
    let schema = deployment();
    let reset = Reset::Fields(&[&["status"], &["metadata", "labels"]]);
    let tracker = Tracker { reset, ..tracker(&schema, "apps/v1", "Deployment", NOW) };
    let mut object = web(json!({"replicas": 1}));
    object["status"] = json!({"replicas": 3});
    object["metadata"]["labels"] = json!({"a": "1"});
    let config = object.clone();
    tracker.update(None, &mut object, "m");
    assert_eq!(owners(&object), [r#"m Update {"f:spec":{"f:replicas":{}}}"#]);
    let applied = tracker.apply(None, &config, "m", false).unwrap();
    assert_eq!(owners(&applied), [r#"m Apply {"f:spec":{"f:replicas":{}}}"#]);
}

#[test]
fn a_scale_has_the_owners_of_the_replicas() {
    let live = applied(None, &web(json!({"replicas": 2, "paused": true})), "one", false).unwrap();
    let replicas = |version: &str| (version == "apps/v1").then(|| vec!["spec".to_owned(), "replicas".to_owned()]);
    let scaled = Scaled { managed: managed_of(&live), api_version: "apps/v1", replicas: &replicas };
    let scale_type = catalog().kind("autoscaling", "v1", "Scale").unwrap();
    let scale = |replicas: i64| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": replicas}});
    let mut before = scale(2);
    put_managed(&mut before, scaled.to_scale());
    assert_eq!(owners(&before), [r#"one Apply {"f:spec":{"f:replicas":{}}}"#]);
    let mut after = scale(5);
    Tracker { subresource: "scale", ..tracker(&scale_type, "autoscaling/v1", "Scale", NOW) }.update(
        Some(&before),
        &mut after,
        "scaler",
    );
    let mut parent = live.clone();
    put_managed(&mut parent, scaled.from_scale(managed_of(&after)));
    assert_eq!(
        owners(&parent),
        [r#"one Apply {"f:spec":{"f:paused":{}}}"#, r#"scaler Update/scale {"f:spec":{"f:replicas":{}}}"#]
    );
    // A write that changes nothing leaves everything as it is.
    let mut same = scale(2);
    Tracker { subresource: "scale", ..tracker(&scale_type, "autoscaling/v1", "Scale", NOW) }.update(
        Some(&before),
        &mut same,
        "scaler",
    );
    assert_eq!(scaled.from_scale(managed_of(&same)).as_ref(), Some(managed_of(&live)));
}

#[test]
fn times_alone_are_told_apart() {
    let entry = |time: &str| json!([{"manager": "m", "time": time, "fieldsV1": {"f:a": {}}}]);
    assert!(equal_but_for_times(&entry(NOW), &entry(LATER)));
    assert!(equal_but_for_times(&entry(NOW), &json!([{"manager": "m", "fieldsV1": {"f:a": {}}}])));
    assert!(!equal_but_for_times(&entry(NOW), &json!([{"manager": "n", "time": NOW, "fieldsV1": {"f:a": {}}}])));
    assert!(!equal_but_for_times(&entry(NOW), &json!([])));
}
