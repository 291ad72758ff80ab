//! The laws of sets and of merging, on random sets and configurations.

use std::sync::{Arc, LazyLock};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::model::Schema;

/// A type with every way of owning.
static TYPE: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let item = json!({"type": "object", "required": ["key"], "properties": {
        "key": {"type": "string"}, "size": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}}});
    crate::custom::compile(
        "x.io",
        "v1",
        "Thing",
        &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "name": {"type": "string"},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
        "list": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"},
        "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "items": {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"]},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}),
    )
});

/// The rules at a second of the day.
fn tracker(second: &str) -> Tracker<'static> {
    let now = match second {
        "1" => "2026-01-01T00:00:01Z",
        "2" => "2026-01-01T00:00:02Z",
        _ => "2026-01-01T00:00:03Z",
    };
    Tracker {
        schema: &TYPE,
        api_version: "x.io/v1",
        kind: "Thing",
        subresource: "",
        reset: Reset::NONE,
        versions: &OneVersion,
        now,
    }
}

fn thing(spec: Value) -> Value {
    json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec})
}

fn word() -> impl Strategy<Value = String> {
    "[abc]"
}

fn words() -> impl Strategy<Value = Value> {
    btree_set(word(), 0..3).prop_map(|words| json!(words))
}

fn text_map() -> impl Strategy<Value = Value> {
    btree_map(word(), word(), 0..3).prop_map(|map| json!(map))
}

fn fields(fields: Vec<(&str, Option<Value>)>) -> Value {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}

fn items() -> impl Strategy<Value = Value> {
    btree_map(word(), (option::of(0..3_i64), option::of(words())), 0..3).prop_map(|items| {
        let item = |(key, (size, tags)): (String, (Option<i64>, Option<Value>))| {
            fields(vec![("key", Some(key.into())), ("size", size.map(Value::from)), ("tags", tags)])
        };
        items.into_iter().map(item).collect()
    })
}

/// A `spec` of the type, any part of which may be absent.
fn spec() -> impl Strategy<Value = Value> {
    let parts = (
        option::of(word()),
        option::of(text_map()),
        option::of(text_map()),
        option::of(words()),
        option::of(words()),
        option::of(items()),
        option::of(text_map()),
    );
    parts.prop_map(|(name, map, whole, list, set, items, free)| {
        fields(vec![
            ("name", name.map(Value::from)),
            ("map", map),
            ("whole", whole),
            ("list", list),
            ("set", set),
            ("items", items),
            ("free", free),
        ])
    })
}

fn set() -> impl Strategy<Value = Set> {
    let path = vec("[ab]", 1..4);
    vec(path, 0..6).prop_map(|paths| {
        let mut set = Set::default();
        for path in &paths {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            set.unite(&Set::of_fields(&[&path]));
        }
        set
    })
}

fn united(a: &Set, b: &Set) -> Set {
    let mut set = a.clone();
    set.unite(b);
    set
}

fn without(a: &Set, b: &Set) -> Set {
    let mut set = a.clone();
    set.subtract(b);
    set
}

fn has_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty() || members.values().any(has_empty),
        Value::Array(items) => items.is_empty() || items.iter().any(has_empty),
        _ => false,
    }
}

/// The owners without their times.
fn owners(object: &Value) -> Value {
    let mut managed = managed_of(object).clone();
    for entry in managed.as_array_mut().into_iter().flatten() {
        entry.as_object_mut().unwrap().remove("time");
    }
    managed
}

proptest! {
    #[test]
    fn set_algebra(a in set(), b in set(), c in set()) {
        prop_assert_eq!(united(&a, &b), united(&b, &a));
        prop_assert_eq!(united(&united(&a, &b), &c), united(&a, &united(&b, &c)));
        prop_assert_eq!(united(&a, &a), a.clone());
        prop_assert_eq!(united(&without(&a, &b), &a.intersection(&b)), a.clone());
        prop_assert!(without(&a, &b).intersection(&b).is_empty());
        prop_assert!(without(&a, &a).is_empty());
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        let members = |set: &Set| set.members().len();
        prop_assert_eq!(members(&united(&a, &b)), members(&a) + members(&b) - members(&a.intersection(&b)));
    }

    #[test]
    fn sets_survive_printing(a in set()) {
        let mut text = Vec::new();
        a.print(&mut text);
        let read: Value = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(Set::parse(&read).unwrap(), a);
    }

    #[test]
    fn equal_objects_do_not_differ_and_different_ones_do(a in spec(), b in spec()) {
        let (a, b) = (thing(a), thing(b));
        prop_assert!(compare(&TYPE, &a, &a).is_empty());
        let (there, back) = (compare(&TYPE, &a, &b), compare(&TYPE, &b, &a));
        prop_assert_eq!(there.is_empty(), back.is_empty());
        prop_assert!(there.changed.intersection(&there.removed).is_empty());
    }

    #[test]
    fn applying_twice_changes_nothing(before in spec(), config in spec()) {
        let live = tracker("1").apply(None, &thing(before), "other", false).unwrap();
        let once = tracker("2").apply(Some(&live), &thing(config.clone()), "me", true).unwrap();
        let twice = tracker("3").apply(Some(&once), &thing(config), "me", false).unwrap();
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn what_is_applied_is_in_the_result(before in spec(), config in spec()) {
        let live = tracker("1").apply(None, &thing(before), "other", false).unwrap();
        let config = thing(config);
        let merged = tracker("2").apply(Some(&live), &config, "me", true).unwrap();
        // Merging it again finds nothing to do.
        prop_assert!(compare(&TYPE, &merged, &merge(&TYPE, &merged, &config)).is_empty());
    }

    #[test]
    fn an_apply_without_force_takes_nothing_from_others(before in spec(), config in spec()) {
        let live = tracker("1").apply(None, &thing(before.clone()), "other", false).unwrap();
        if let Ok(merged) = tracker("2").apply(Some(&live), &thing(config), "me", false) {
            let again = tracker("3").apply(Some(&merged), &thing(before), "other", false);
            prop_assert_eq!(owners(&again.unwrap()), owners(&merged));
        }
    }

    #[test]
    fn disjoint_appliers_never_conflict(a in btree_map("[ab]", word(), 0..3), b in btree_map("[cd]", word(), 0..3)) {
        let live = tracker("1").apply(None, &thing(json!({"map": a})), "a", false).unwrap();
        let both = tracker("2").apply(Some(&live), &thing(json!({"map": b})), "b", false).unwrap();
        let again = tracker("3").apply(Some(&both), &thing(json!({"map": a})), "a", false).unwrap();
        prop_assert_eq!(owners(&again), owners(&both));
    }

    #[test]
    fn giving_everything_up_leaves_what_others_have(before in spec(), config in spec()) {
        let live = tracker("1").apply(None, &thing(before.clone()), "other", false).unwrap();
        // Empty lists have no owner, and an object without any is taken for one that nobody has tracked. What was empty
        // and is empty again is left out.
        prop_assume!(!managed_of(&live).is_null() && !has_empty(&before));
        let Ok(merged) = tracker("2").apply(Some(&live), &thing(config), "me", false) else { return Ok(()) };
        let empty = json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "t"}});
        let left = tracker("3").apply(Some(&merged), &empty, "me", false).unwrap();
        prop_assert_eq!(owners(&left), owners(&live));
        prop_assert!(compare(&TYPE, &left, &merge(&TYPE, &left, &thing(before))).is_empty());
    }

    #[test]
    fn an_update_gives_what_changed_to_its_manager(before in spec(), after in spec()) {
        let mut live = thing(before);
        tracker("1").update(None, &mut live, "first");
        let mut new = thing(after);
        tracker("2").update(Some(&live), &mut new, "second");
        let comparison = compare(&TYPE, &live, &new);
        let entries = managed_of(&new).as_array().cloned().unwrap_or_default();
        let second = entries.iter().find(|entry| entry["manager"] == "second");
        let owned = second.map(|entry| Set::parse(&entry["fieldsV1"]).unwrap()).unwrap_or_default();
        // Nobody was tracked where nothing had been set.
        if !managed_of(&live).is_null() {
            prop_assert_eq!(owned, comparison.changed);
        }
    }
}
