//! Merging lists by key, and the order of what comes out.
//!
//! Items of the patch come in the patch's order (or that of `$setElementOrder`), items that only the object has keep
//! their order among themselves, and the two are interleaved by where they stood in the object.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::super::{PatchError, gofmt};
use super::lookup::ListField;
use super::{PATCH, SET_ORDER, merge_map, unknown_directive};

/// Merges `change` into `original`, or, if `deleting`, takes its scalars out.
pub(super) fn merge(
    original: Vec<Value>,
    change: &[Value],
    field: &ListField<'_>,
    deleting: bool,
) -> Result<Vec<Value>, PatchError> {
    if original.is_empty() && change.is_empty() {
        return Ok(original);
    }
    if !of_objects(&original, change)? {
        if deleting {
            let gone: HashSet<&Value> = change.iter().collect();
            return Ok(original.into_iter().filter(|item| !gone.contains(item)).collect());
        }
        let mut seen = HashSet::new();
        let merged = original.iter().chain(change).filter(|item| seen.insert(*item)).cloned().collect();
        return interleave(merged, change, &original, field.merge_key, false);
    }
    let key = field.merge_key;
    if key.is_empty() {
        return Err(PatchError::Internal("cannot merge lists without merge key for struct".to_owned()));
    }
    let (original, change) = apply_directives(original, change, key)?;
    let mut merged = original.clone();
    let mut places = places(&merged, key);
    for item in &change {
        let fields = object(item)?;
        let value = key_value(fields, key)?;
        match places.get(value) {
            Some(&at) => {
                if let Value::Object(current) = &mut merged[at] {
                    merge_map(current, fields, field.items)?;
                }
            }
            None => {
                places.insert(value.clone(), merged.len());
                merged.push((*item).clone());
            }
        }
    }
    let change: Vec<Value> = change.into_iter().cloned().collect();
    interleave(merged, &change, &original, key, true)
}

/// Puts a merged list in the order that `$setElementOrder` asks for.
pub(super) fn arrange(
    merged: Vec<Value>,
    order: &[Value],
    original: &[Value],
    change: &[Value],
    key: &str,
) -> Result<Vec<Value>, PatchError> {
    if original.is_empty() && change.is_empty() {
        return Err(PatchError::Internal("no elements in any of the given slices".to_owned()));
    }
    let objects = of_objects(original, change)?;
    if !key.is_empty()
        && let Some(at) = order.iter().position(|item| !item.is_object())
    {
        return Err(PatchError::Internal(format!("value for key {at} is not a map")));
    }
    interleave(merged, order, original, key, objects)
}

/// Refuses a patch whose items are not all in the `$setElementOrder` list, in the same order.
pub(super) fn check_order(change: &[Value], order: &[Value], key: &str) -> Result<(), PatchError> {
    if change.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut places = order.iter();
    for item in change {
        if !key.is_empty() {
            let fields = object(item)?;
            if fields.contains_key(PATCH) {
                continue;
            }
        }
        let mut found = false;
        for place in places.by_ref() {
            found = match key {
                "" => item == place,
                _ => key_value(object(item)?, key)? == key_value(object(place)?, key)?,
            };
            if found {
                break;
            }
        }
        if !found {
            return Err(PatchError::Internal(format!(
                "The order in patch list:\n{}\n doesn't match {SET_ORDER} list:\n{}\n",
                gofmt::list(change),
                gofmt::list(order)
            )));
        }
    }
    Ok(())
}

/// Carries out the items of `change` that are directives; returns the list they leave and the other items.
fn apply_directives<'c>(
    original: Vec<Value>,
    change: &'c [Value],
    key: &str,
) -> Result<(Vec<Value>, Vec<&'c Value>), PatchError> {
    let mut plain = Vec::with_capacity(change.len());
    let mut deleted = HashSet::new();
    let mut replace = false;
    for item in change {
        let fields = object(item)?;
        match fields.get(PATCH) {
            None => plain.push(item),
            Some(directive) if directive == "delete" => {
                deleted.insert(key_value(fields, key)?);
            }
            Some(directive) if directive == "replace" => replace = true,
            Some(directive) if directive == "merge" => {
                return Err(PatchError::Internal("merging lists cannot yet be specified in the patch".to_owned()));
            }
            Some(directive) => return Err(unknown_directive(directive, fields)),
        }
    }
    if replace {
        return Ok((plain.into_iter().cloned().collect(), Vec::new()));
    }
    let mut kept = original;
    if !deleted.is_empty() {
        kept.retain(|item| !item.get(key).is_some_and(|value| deleted.contains(value)));
    }
    Ok((kept, plain))
}

/// Splits `merged` into items that `order` has and others, sorts the first like `order`, the others like `original`,
/// and merges the two by their places in `original`.
fn interleave(
    merged: Vec<Value>,
    order: &[Value],
    original: &[Value],
    key: &str,
    objects: bool,
) -> Result<Vec<Value>, PatchError> {
    if objects {
        for item in merged.iter().chain(order).chain(original) {
            key_value(object(item)?, key)?;
        }
    }
    // Scalars stand for themselves; so do objects when there is no key, as in Go.
    let key = if objects { key } else { "" };
    let in_order = places(order, key);
    let in_original = places(original, key);
    let place = |map: &HashMap<Value, usize>, item: &Value| identity(item, key).and_then(|id| map.get(id)).copied();
    let (mut ours, mut theirs): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(&in_order, item).is_some());
    ours.sort_by_cached_key(|item| place(&in_order, item));
    if theirs.iter().all(|item| place(&in_original, item).is_some()) {
        theirs.sort_by_cached_key(|item| place(&in_original, item));
    } else {
        // Items that neither list knows. Go's comparison calls each of them smaller than what stands before it, and
        // its sort then moves each to the front of the run.
        let (mut known, mut unknown): (Vec<Value>, Vec<Value>) =
            theirs.into_iter().partition(|item| place(&in_original, item).is_some());
        known.sort_by_cached_key(|item| place(&in_original, item));
        unknown.reverse();
        unknown.append(&mut known);
        theirs = unknown;
    }
    let mut all = Vec::with_capacity(ours.len() + theirs.len());
    let mut ours = ours.into_iter().peekable();
    let mut theirs = theirs.into_iter().peekable();
    while let (Some(left), Some(right)) = (theirs.peek(), ours.peek()) {
        let before = match (place(&in_original, left), place(&in_original, right)) {
            (Some(left), Some(right)) => left < right,
            _ => false,
        };
        all.extend(if before { theirs.next() } else { ours.next() });
    }
    all.extend(theirs);
    all.extend(ours);
    Ok(all)
}

/// Where each item stands first, by its identity.
fn places(items: &[Value], key: &str) -> HashMap<Value, usize> {
    let mut places = HashMap::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        if let Some(id) = identity(item, key) {
            places.entry(id.clone()).or_insert(at);
        }
    }
    places
}

/// What tells an item from others: the value of its key, or the item.
fn identity<'v>(item: &'v Value, key: &str) -> Option<&'v Value> {
    if key.is_empty() { Some(item) } else { item.get(key) }
}

/// Whether the items of two lists are objects; all must be of one type, and that is not a list.
fn of_objects(left: &[Value], right: &[Value]) -> Result<bool, PatchError> {
    let mut items = left.iter().chain(right);
    let Some(first) = items.next() else { return Ok(false) };
    if first.is_array() {
        return Err(PatchError::Unprocessable("lists of lists are not supported".to_owned()));
    }
    let kind = gofmt::type_name(first);
    if first.is_null() || items.any(|item| gofmt::type_name(item) != kind) {
        return Err(PatchError::Internal(format!(
            "list element types are not identical: [{} {}]",
            gofmt::list(left),
            gofmt::list(right)
        )));
    }
    Ok(first.is_object())
}

fn object(item: &Value) -> Result<&Map<String, Value>, PatchError> {
    item.as_object().ok_or_else(|| {
        PatchError::Internal(format!("expected a map[string]interface {{}}, but received a {}", gofmt::type_name(item)))
    })
}

fn key_value<'v>(fields: &'v Map<String, Value>, key: &str) -> Result<&'v Value, PatchError> {
    fields.get(key).ok_or_else(|| {
        PatchError::Internal(format!("map: {} does not contain declared merge key: {key}", gofmt::map(fields)))
    })
}
