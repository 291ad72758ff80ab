//! Strategic merge patch: a merge patch that knows the type of the object, so that lists merge by key.
//!
//! Directives in the patch say what the type cannot: `$patch` (replace, delete), `$deleteFromPrimitiveList/x`,
//! `$setElementOrder/x` and `$retainKeys`. The rules, with their odd corners, are those of apimachinery's
//! `strategicpatch`; where Go walks a map in random order, this walks it in the order of keys. Custom resources have
//! no such types: for them the server answers 415, which is the caller's part.

mod lists;
mod lookup;
mod restore;

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::document::{self, json_kind};
use super::{PatchError, gofmt};
use crate::model::Schema;
use lookup::ListField;
pub use restore::check_types;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// A decoded strategic merge patch.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategicPatch {
    fields: Map<String, Value>,
    /// What strict field validation refuses and the default level warns of: `duplicate field "data.k"`.
    pub strict_errors: Vec<String>,
}

/// Decodes `patch` and applies it to `doc`, an object of type `schema`.
pub fn apply(doc: &Value, patch: &[u8], schema: &Schema) -> Result<Value, PatchError> {
    StrategicPatch::decode(patch)?.apply(doc.clone(), schema)
}

impl StrategicPatch {
    /// Decodes a patch, which must be an object; `null` does nothing.
    pub fn decode(patch: &[u8]) -> Result<Self, PatchError> {
        let document = document::parse(patch).map_err(PatchError::BadRequest)?;
        let fields = match document.value {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            other => {
                let kind = json_kind(&other);
                return Err(PatchError::BadRequest(format!(
                    "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
                )));
            }
        };
        let strict_errors = document.duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
        Ok(StrategicPatch { fields, strict_errors })
    }

    /// Whether the patch does nothing.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Merges the patch into `doc`, an object of type `schema`. The result may not fit the type: see [`check_types`].
    pub fn apply(&self, doc: Value, schema: &Schema) -> Result<Value, PatchError> {
        let mut fields = match doc {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        merge_map(&mut fields, &self.fields, schema)?;
        Ok(Value::Object(fields))
    }

    /// The patch as the server prints it in "patch: Invalid value" errors: `map[spec:map[replicas:three]]`.
    pub fn shown(&self) -> String {
        gofmt::map(&self.fields)
    }
}

/// Merges `patch` into `original`, an object of type `schema`.
///
/// Recursion follows the patch, whose depth the parser has bounded.
fn merge_map(original: &mut Map<String, Value>, patch: &Map<String, Value>, schema: &Schema) -> Result<(), PatchError> {
    match patch.get(PATCH) {
        None => {}
        Some(directive) if directive == "replace" => {
            *original = patch.iter().filter(|(k, _)| *k != PATCH).map(|(k, v)| (k.clone(), v.clone())).collect();
            return Ok(());
        }
        Some(directive) if directive == "delete" => {
            original.clear();
            return Ok(());
        }
        Some(directive) => return Err(unknown_directive(directive, patch)),
    }
    if let Some(keys) = patch.get(RETAIN_KEYS) {
        retain_keys(original, patch, keys)?;
    }
    let mut ordered = Vec::new();
    for (key, order) in patch.iter().filter(|(key, _)| key.starts_with(SET_ORDER)) {
        ordered.extend(set_order(original, patch, key, order, schema)?);
    }
    for (key, change) in patch {
        if key == RETAIN_KEYS || key.starts_with(SET_ORDER) || ordered.contains(&key.as_str()) {
            continue;
        }
        let deleting = key.starts_with(DELETE_FROM_LIST);
        let name = match deleting {
            true => directive_field(key, DELETE_FROM_LIST)
                .ok_or_else(|| PatchError::BadRequest("invalid patch format of primitive list".to_owned()))?,
            false => key,
        };
        if change.is_null() {
            original.remove(name);
            continue;
        }
        merge_field(original, name, change, deleting, schema)?;
    }
    Ok(())
}

/// Merges one field that is not `null`. `deleting`: the change lists what to delete from a list of scalars.
fn merge_field(
    original: &mut Map<String, Value>,
    name: &str,
    change: &Value,
    deleting: bool,
    schema: &Schema,
) -> Result<(), PatchError> {
    match (original.get_mut(name), change) {
        (Some(Value::Object(current)), Value::Object(change)) => {
            let field = lookup::field(schema, name)?;
            if field.patch_strategy().replace {
                *current = change.clone();
                return Ok(());
            }
            merge_map(current, change, field.schema())
        }
        (Some(Value::Array(current)), Value::Array(change)) => {
            let field = lookup::list_field(schema, name)?;
            *current = merge_list(std::mem::take(current), change, &field, deleting)?;
            Ok(())
        }
        // There is nothing to delete from.
        (None, _) if deleting => Ok(()),
        (Some(current), _) if deleting && gofmt::type_name(current) != gofmt::type_name(change) => Ok(()),
        _ => {
            match without_directives(change) {
                Some(value) => original.insert(name.to_owned(), value),
                None => original.remove(name),
            };
            Ok(())
        }
    }
}

/// What becomes of the list `original` of the given field.
fn merge_list(
    original: Vec<Value>,
    change: &[Value],
    field: &ListField<'_>,
    deleting: bool,
) -> Result<Vec<Value>, PatchError> {
    if field.merge || deleting { lists::merge(original, change, field, deleting) } else { Ok(change.to_vec()) }
}

/// `$retainKeys`: all other fields of the original go. The patch must not set a field that it does not retain.
fn retain_keys(original: &mut Map<String, Value>, patch: &Map<String, Value>, keys: &Value) -> Result<(), PatchError> {
    let malformed = || PatchError::BadRequest("invalid patch format of retainKeys".to_owned());
    let keys: HashSet<&str> = keys.as_array().ok_or_else(malformed)?.iter().filter_map(Value::as_str).collect();
    for (key, value) in patch {
        let is_directive = key == RETAIN_KEYS || key.starts_with(DELETE_FROM_LIST) || key.starts_with(SET_ORDER);
        if !is_directive && !value.is_null() && !keys.contains(key.as_str()) {
            return Err(malformed());
        }
    }
    original.retain(|key, _| keys.contains(key.as_str()));
    Ok(())
}

/// `$setElementOrder/x`: merges the list `x` of the patch, if there is one, and puts the result in order. Returns the
/// name of the field, which then needs no more merging.
fn set_order<'p>(
    original: &mut Map<String, Value>,
    patch: &'p Map<String, Value>,
    key: &'p str,
    order: &Value,
    schema: &Schema,
) -> Result<Option<&'p str>, PatchError> {
    let order = as_list(order)?;
    let name = directive_field(key, SET_ORDER)
        .ok_or_else(|| PatchError::BadRequest("invalid patch format of setElementOrder list".to_owned()))?;
    let current = original.get(name).map(as_list).transpose()?;
    let change = patch.get(name).map(as_list).transpose()?;
    let field = lookup::list_field(schema, name)?;
    lists::check_order(change.unwrap_or_default(), order, field.merge_key)?;
    let merged = match (current, change) {
        (None, None) => return Ok(None),
        (Some(current), None) => current.to_vec(),
        (None, Some(change)) => change.iter().filter_map(keep_without_directives).collect(),
        (Some(current), Some(change)) => merge_list(current.to_vec(), change, &field, false)?,
    };
    let merged =
        lists::arrange(merged, order, current.unwrap_or_default(), change.unwrap_or_default(), field.merge_key)?;
    original.insert(name.to_owned(), Value::Array(merged));
    Ok(Some(name))
}

/// The `x` of `$prefix/x`.
fn directive_field<'k>(key: &'k str, prefix: &str) -> Option<&'k str> {
    key.strip_prefix(prefix)?.strip_prefix('/')
}

/// A copy as it enters the object where nothing was: without `null` members and without directives. `None` if it is a
/// directive itself.
fn without_directives(value: &Value) -> Option<Value> {
    clean(value, true)
}

fn keep_without_directives(value: &Value) -> Option<Value> {
    clean(value, false)
}

fn clean(value: &Value, drop_nulls: bool) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(PATCH) => None,
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, field)| !(drop_nulls && field.is_null()));
            Some(Value::Object(kept.filter_map(|(k, v)| Some((k.clone(), clean(v, drop_nulls)?))).collect()))
        }
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(|item| clean(item, drop_nulls)).collect())),
        _ => Some(value.clone()),
    }
}

fn as_list(value: &Value) -> Result<&[Value], PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(PatchError::Internal(format!(
            "expected a []interface {{}}, but received a {}",
            gofmt::type_name(other)
        ))),
    }
}

fn unknown_directive(directive: &Value, patch: &Map<String, Value>) -> PatchError {
    PatchError::Internal(format!("unknown patch type: {} in map: {}", gofmt::value(directive), gofmt::map(patch)))
}

#[cfg(test)]
mod tests;
