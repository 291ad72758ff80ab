//! Merging a configuration into an object, and taking fields out of one.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::element::field_key;
use super::relation::{Relation, Typed, deduced, item_key, member};
use super::set::{Set, Tree, is_member, set_member};
use crate::model::{Node, Schema};

/// Merges `config` into `live`: what the configuration says wins, nothing is removed. Both are objects of type
/// `schema`; the result may hold explicit nulls, and has the configuration's values as they were written.
pub fn merge(schema: &Schema, live: &Value, config: &Value) -> Value {
    merged(Typed::of(schema), live, config)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn merged(typed: Typed<'_>, live: &Value, config: &Value) -> Value {
    let relation = typed.relation();
    if is_empty(live) && is_empty(config) {
        return config.clone();
    }
    match (relation, live, config) {
        (Relation::Struct(object), Value::Object(_) | Value::Null, Value::Object(_) | Value::Null) => {
            maps(live, config, |name| member(object, name))
        }
        (Relation::Map(values), Value::Object(_) | Value::Null, Value::Object(_) | Value::Null) => {
            maps(live, config, |_| Typed::of(values))
        }
        (Relation::Deduced, Value::Object(_), Value::Object(_)) => maps(live, config, |_| deduced()),
        (Relation::Set | Relation::Keyed(_), Value::Array(_) | Value::Null, Value::Array(_) | Value::Null) => {
            lists(relation, live, config)
        }
        _ => config.clone(),
    }
}

fn maps<'s>(live: &Value, config: &Value, typed: impl Fn(&str) -> Typed<'s>) -> Value {
    let mut merged_members: Map<String, Value> = live.as_object().cloned().unwrap_or_default();
    for (name, value) in config.as_object().into_iter().flatten() {
        let value = match merged_members.get(name) {
            Some(live) => merged(typed(name), live, value),
            None => value.clone(),
        };
        merged_members.insert(name.clone(), value);
    }
    Value::Object(merged_members)
}

/// Items keep the live order; where the configuration reorders items that both have, its order wins.
fn lists(relation: Relation<'_>, live: &Value, config: &Value) -> Value {
    let typed = if let Relation::Keyed(list) = relation { Typed::of(list.items()) } else { deduced() };
    let keyed = |value: &Value| -> Vec<(String, Value)> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(|item| Some((item_key(relation, item).ok()?, item.clone()))).collect()
    };
    let (left, right) = (keyed(live), keyed(config));
    let by_key = |side: &[(String, Value)]| -> HashMap<String, Option<usize>> {
        let mut found = HashMap::new();
        for (at, (key, _)) in side.iter().enumerate() {
            // An item that is there several times is not merged into, it is replaced.
            found.entry(key.clone()).and_modify(|first| *first = None).or_insert(Some(at));
        }
        found
    };
    let (in_left, in_right) = (by_key(&left), by_key(&right));
    let mut shared = right.iter().map(|(key, _)| key).filter(|key| in_left.contains_key(*key));
    let mut next_shared = shared.next();
    let mut done: HashSet<&str> = HashSet::new();
    let mut out = Vec::with_capacity(left.len().max(right.len()));
    let join = |key: &str, config: &Value| match in_left.get(key).copied().flatten() {
        Some(at) => merged(typed, &left[at].1, config),
        None => config.clone(),
    };
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if let (Some((left_key, _)), Some((right_key, value))) = (left.get(l), right.get(r)) {
            if left_key == right_key {
                done.insert(right_key);
                out.push(join(right_key, value));
                (l, r) = (l + 1, r + 1);
                next_shared = shared.next();
                continue;
            }
            if in_right.contains_key(left_key) && next_shared.is_some_and(|next| next != left_key) {
                // Both have it, but it is not its turn.
                l += 1;
                continue;
            }
        }
        if let Some((key, value)) = left.get(l) {
            if !in_right.contains_key(key) {
                out.push(value.clone());
                l += 1;
                continue;
            }
            if done.contains(key.as_str()) {
                l += 1;
            }
        }
        if let Some((key, value)) = right.get(r) {
            done.insert(key);
            out.push(join(key, value));
            r += 1;
            if next_shared == Some(key) {
                next_shared = shared.next();
            }
        }
    }
    Value::Array(out)
}

/// Takes the members of `set` out of `value`. A map or list that becomes empty becomes null.
pub fn remove(schema: &Schema, value: Value, set: &Set) -> Value {
    if set.is_empty() {
        return value;
    }
    without(Typed::of(schema), value, set.as_tree())
}

fn without(typed: Typed<'_>, value: Value, set: &Tree) -> Value {
    let relation = typed.relation();
    match (relation, value) {
        (Relation::Struct(_) | Relation::Map(_) | Relation::Deduced, Value::Object(members)) => {
            let mut kept = Map::new();
            for (name, value) in members {
                let node = set.get(&field_key(&name));
                if node.is_some_and(is_member) {
                    continue;
                }
                let value = match node {
                    Some(Value::Object(below)) => {
                        let typed = match relation {
                            Relation::Struct(object) => member(object, &name),
                            Relation::Map(values) => Typed::of(values),
                            _ => deduced(),
                        };
                        without(typed, value, below)
                    }
                    _ => value,
                };
                kept.insert(name, value);
            }
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (Relation::Set | Relation::Keyed(_), Value::Array(items)) => {
            let typed = if let Relation::Keyed(list) = relation { Typed::of(list.items()) } else { deduced() };
            let mut kept = Vec::with_capacity(items.len());
            for item in items {
                let node = item_key(relation, &item).ok().and_then(|key| set.get(&key));
                match node {
                    Some(node) if is_member(node) => {}
                    Some(Value::Object(below)) => kept.push(without(typed, item, below)),
                    _ => kept.push(item),
                }
            }
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        // Below an atomic value nothing can be left.
        (_, Value::Array(_) | Value::Object(_)) => Value::Null,
        (_, value) => value,
    }
}

/// Makes every struct field with members below it a member: a field goes when all that is in it goes.
pub(super) fn with_named_fields(schema: &Schema, set: &Set) -> Set {
    let mut tree = set.as_tree().clone();
    name_fields(Some(schema), &mut tree);
    Set::of_tree(tree)
}

fn name_fields(schema: Option<&Schema>, tree: &mut Tree) {
    for (key, node) in tree.iter_mut() {
        let Value::Object(below) = node else { continue };
        if below.is_empty() {
            continue;
        }
        let name = key.strip_prefix("f:");
        let (next, declared) = match (schema.map(Schema::node), name) {
            (Some(Node::Object(object)), Some(name)) => {
                let field = object.field(name);
                (field.map(|field| &**field.schema()), field.is_some())
            }
            (Some(Node::Map(map)), Some(_)) => (Some(&**map.values()), false),
            (Some(Node::List(list)), None) => (Some(&**list.items()), false),
            _ => (None, false),
        };
        if declared {
            set_member(below, true);
        }
        name_fields(next, below);
    }
}
