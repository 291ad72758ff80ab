//! What a change has done to the fields of an object.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::element::field_key;
use super::relation::{Place, Relation, Typed, always_printed, deduced, item_key, member, printed, zero};
use super::set::{Branch, Set, Tree};
use crate::model::{Object, Schema};

/// The difference between two versions of an object. Fields without owners (identity, system metadata) are in none.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Comparison {
    /// Fields that were added or have another value.
    pub changed: Set,
    /// Fields that are gone.
    pub removed: Set,
}

impl Comparison {
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Compares two objects of a type. Absent fields that Go always prints count as present, with their zero values.
/// Items of keyed lists and sets that have no key count as absent.
pub fn compare(schema: &Schema, old: &Value, new: &Value) -> Comparison {
    compare_lists(schema, old, new).0
}

/// As [`compare`]; also whether every item that was looked at has a key.
pub(super) fn compare_lists(schema: &Schema, old: &Value, new: &Value) -> (Comparison, bool) {
    let walk = Walk { every_item_has_a_key: Cell::new(true) };
    let diff = walk.both(Typed::of(schema), Place::Root, old, new);
    let changed = Set::of_tree(diff.changed.children);
    let comparison = Comparison { changed, removed: Set::of_tree(diff.removed.children) };
    (comparison, walk.every_item_has_a_key.get())
}

struct Walk {
    every_item_has_a_key: Cell<bool>,
}

#[derive(Default)]
struct Diff {
    changed: Branch,
    removed: Branch,
}

impl Diff {
    fn leaf(changed: bool) -> Diff {
        Diff { changed: if changed { Branch::leaf() } else { Branch::default() }, removed: Branch::default() }
    }

    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    fn put(&mut self, below: Diff, key: impl Fn() -> String) {
        below.changed.put(&mut self.changed.children, &key);
        below.removed.put(&mut self.removed.children, &key);
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Equality in which 1 and 1.0 are the same.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64() && (x.is_f64() || y.is_f64()),
        _ => a == b,
    }
}

static NO_MEMBERS: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

fn members(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or(&NO_MEMBERS)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// One side of a merge of two sorted maps.
fn zip<'a>(
    old: &'a Map<String, Value>,
    new: &'a Map<String, Value>,
    mut visit: impl FnMut(&'a str, Option<&'a Value>, Option<&'a Value>),
) {
    let (mut a, mut b) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some((x, _)), Some((y, _))) => x.cmp(y),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        match order {
            Ordering::Less => {
                if let Some((key, value)) = a.next() {
                    visit(key, Some(value), None);
                }
            }
            Ordering::Greater => {
                if let Some((key, value)) = b.next() {
                    visit(key, None, Some(value));
                }
            }
            Ordering::Equal => {
                if let (Some((key, old)), Some((_, new))) = (a.next(), b.next()) {
                    visit(key, Some(old), Some(new));
                }
            }
        }
    }
}

fn item_type(relation: Relation<'_>) -> Typed<'_> {
    match relation {
        Relation::Keyed(list) => Typed::of(list.items()),
        _ => deduced(),
    }
}

impl Walk {
    /// Both versions have the value, though it may be null.
    fn both(&self, typed: Typed<'_>, place: Place, old: &Value, new: &Value) -> Diff {
        let container = |value: &Value| matches!(value, Value::Null | Value::Object(_) | Value::Array(_));
        match typed.relation() {
            // A struct is never told apart from null: Go prints one even if it is empty.
            Relation::Struct(object) if (old.is_object() || new.is_object()) && container(old) && container(new) => {
                if old.is_object() != new.is_object() && members(old).is_empty() && members(new).is_empty() {
                    return Diff::leaf(true);
                }
                self.structs(object, place, old, new)
            }
            Relation::Map(_) | Relation::Set | Relation::Keyed(_) if is_empty(old) && is_empty(new) => {
                Diff::leaf(old != new)
            }
            Relation::Map(values) if container(old) && container(new) => {
                self.entries(Typed::of(values), members(old), members(new))
            }
            relation @ (Relation::Set | Relation::Keyed(_)) if container(old) && container(new) => {
                self.lists(relation, items(old), items(new))
            }
            Relation::Deduced if old.is_object() && new.is_object() => {
                if is_empty(old) && is_empty(new) {
                    return Diff::default();
                }
                self.entries(deduced(), members(old), members(new))
            }
            Relation::Deduced if old.is_object() != new.is_object() => {
                // The value has changed its shape: what was or is a map counts entry by entry as well.
                let mut diff = Diff::leaf(true);
                diff.removed.children = self.present(typed, Place::Elsewhere, old).children;
                diff.changed.children = self.present(typed, Place::Elsewhere, new).children;
                diff
            }
            _ => Diff::leaf(!equal(old, new)),
        }
    }

    fn structs(&self, object: &Object, place: Place, old: &Value, new: &Value) -> Diff {
        let mut diff = Diff::default();
        let (old, new) = (members(old), members(new));
        // A field that is absent in both is the same in both.
        zip(old, new, |name, before, after| {
            if !place.owns(name) {
                return;
            }
            let typed = member(object, name);
            let before = before.or_else(|| printed(object, &NO_MEMBERS, name));
            let after = after.or_else(|| printed(object, &NO_MEMBERS, name));
            let below = self.either(typed, place.below(name), before, after);
            diff.put(below, || field_key(name));
        });
        diff
    }

    fn entries(&self, values: Typed<'_>, old: &Map<String, Value>, new: &Map<String, Value>) -> Diff {
        let mut diff = Diff::default();
        zip(old, new, |name, before, after| {
            let below = self.either(values, Place::Elsewhere, before, after);
            diff.put(below, || field_key(name));
        });
        diff
    }

    fn either(&self, typed: Typed<'_>, place: Place, old: Option<&Value>, new: Option<&Value>) -> Diff {
        match (old, new) {
            (Some(old), Some(new)) => self.both(typed, place, old, new),
            (None, Some(new)) => Diff { changed: self.present(typed, place, new), removed: Branch::default() },
            (Some(old), None) => Diff { changed: Branch::default(), removed: self.present(typed, place, old) },
            (None, None) => Diff::default(),
        }
    }

    /// The items of a list under each path element, in the order of their first appearance.
    fn by_element<'v>(&self, relation: Relation<'_>, items: &'v [Value]) -> BTreeMap<String, Vec<&'v Value>> {
        let mut found: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        for item in items {
            match item_key(relation, item) {
                Ok(key) => found.entry(key).or_default().push(item),
                Err(_) => self.every_item_has_a_key.set(false),
            }
        }
        found
    }

    fn lists(&self, relation: Relation<'_>, old: &[Value], new: &[Value]) -> Diff {
        if old == new {
            return Diff::default();
        }
        let typed = item_type(relation);
        let before = self.by_element(relation, old);
        let mut after = self.by_element(relation, new);
        let mut diff = Diff::default();
        for (key, old) in before {
            let new = after.remove(&key).unwrap_or_default();
            diff.put(self.same_element(typed, &old, &new), || key.clone());
        }
        for (key, new) in after {
            diff.put(self.same_element(typed, &[], &new), || key.clone());
        }
        diff
    }

    /// The items of one key before and after. Several of them are owned as one, by the list's element alone.
    fn same_element(&self, typed: Typed<'_>, old: &[&Value], new: &[&Value]) -> Diff {
        match (old, new) {
            ([], []) => Diff::default(),
            ([_] | [], [_] | []) => self.either(typed, Place::Elsewhere, old.first().copied(), new.first().copied()),
            ([_, _, ..], [_, _, ..]) => {
                let same = |(old, new): (&&Value, &&Value)| self.both(typed, Place::Elsewhere, old, new).is_empty();
                Diff::leaf(old.len() != new.len() || !old.iter().zip(new).all(same))
            }
            ([_, _, ..], _) => {
                let mut diff = self.either(typed, Place::Elsewhere, None, new.first().copied());
                diff.removed.own = true;
                diff
            }
            (_, _) => {
                let mut diff = self.either(typed, Place::Elsewhere, old.first().copied(), None);
                diff.changed.own = true;
                diff
            }
        }
    }

    /// Every field of a value that one version does not have at all.
    fn present(&self, typed: Typed<'_>, place: Place, value: &Value) -> Branch {
        let mut branch = Branch { own: place != Place::Metadata, children: Tree::new() };
        match (typed.relation(), value) {
            (Relation::Struct(object), Value::Object(members)) => {
                for (name, value) in members {
                    if place.owns(name) {
                        let below = self.present(member(object, name), place.below(name), value);
                        below.put(&mut branch.children, || field_key(name));
                    }
                }
                for field in always_printed(object) {
                    if place.owns(field.name()) && !members.contains_key(field.name()) {
                        let below = self.present(Typed::of_field(field), place.below(field.name()), zero(field));
                        below.put(&mut branch.children, || field_key(field.name()));
                    }
                }
            }
            (Relation::Map(values), Value::Object(members)) => {
                for (name, value) in members {
                    self.present(Typed::of(values), Place::Elsewhere, value)
                        .put(&mut branch.children, || field_key(name));
                }
            }
            (Relation::Deduced, Value::Object(members)) => {
                for (name, value) in members {
                    self.present(deduced(), Place::Elsewhere, value).put(&mut branch.children, || field_key(name));
                }
            }
            (relation @ (Relation::Set | Relation::Keyed(_)), Value::Array(items)) => {
                let typed = item_type(relation);
                for (key, items) in self.by_element(relation, items) {
                    let below = match items.as_slice() {
                        [item] => self.present(typed, Place::Elsewhere, item),
                        _ => Branch::leaf(),
                    };
                    below.put(&mut branch.children, || key);
                }
            }
            _ => {}
        }
        branch
    }
}
