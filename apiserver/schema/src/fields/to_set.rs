//! The fields that a configuration mentions: what an applier owns.

use std::collections::BTreeSet;

use serde_json::Value;

use super::element::field_key;
use super::relation::{Place, Relation, Typed, deduced, item_key, member};
use super::set::{Branch, Set};
use crate::model::Schema;

/// Every leaf and every item that `value`, an object of type `schema`, mentions. Unlike a comparison, this does not
/// count a struct's fields, maps and lists themselves, only what is in them.
pub fn to_set(schema: &Schema, value: &Value) -> Set {
    Set::of_tree(mentioned(Typed::of(schema), Place::Root, value).children)
}

fn mentioned(typed: Typed<'_>, place: Place, value: &Value) -> Branch {
    let mut branch = Branch::default();
    match (typed.relation(), value) {
        (Relation::Struct(object), Value::Object(members)) => {
            for (name, value) in members {
                if place.owns(name) {
                    let mut below = mentioned(member(object, name), place.below(name), value);
                    below.own |= is_empty_map(value) || object.field(name).is_none();
                    below.own &= place.below(name) != Place::Metadata;
                    below.put(&mut branch.children, || field_key(name));
                }
            }
        }
        (relation @ (Relation::Map(_) | Relation::Deduced), Value::Object(members)) => {
            let values = if let Relation::Map(values) = relation { Typed::of(values) } else { deduced() };
            for (name, value) in members {
                let mut below = mentioned(values, Place::Elsewhere, value);
                below.own = true;
                below.put(&mut branch.children, || field_key(name));
            }
        }
        (relation @ (Relation::Set | Relation::Keyed(_)), Value::Array(items)) => {
            let typed = if let Relation::Keyed(list) = relation { Typed::of(list.items()) } else { deduced() };
            let mut seen = BTreeSet::new();
            for item in items {
                let Ok(key) = item_key(relation, item) else { continue };
                // Several items of one key are owned as one.
                let mut below =
                    if seen.insert(key.clone()) { mentioned(typed, Place::Elsewhere, item) } else { Branch::leaf() };
                below.own = true;
                below.put(&mut branch.children, || key);
            }
        }
        (Relation::Struct(_) | Relation::Map(_) | Relation::Set | Relation::Keyed(_), _) => {}
        (Relation::Leaf | Relation::Deduced, _) => branch.own = true,
    }
    branch
}

fn is_empty_map(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}
