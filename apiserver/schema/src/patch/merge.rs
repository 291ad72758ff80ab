//! JSON merge patch (RFC 7386) as the server's library does it.
//!
//! One difference from the RFC is kept: a list in a patch that replaces an object keeps `null` members of its items.

use serde_json::{Map, Value};

use super::document::{self, json_kind};
use super::{Opened, PATCH_DEPTH_MAX, PatchError};

/// A decoded merge patch.
#[derive(Clone, Debug, PartialEq)]
pub struct MergePatch {
    fields: Map<String, Value>,
    /// What strict field validation refuses and the default level warns of: `duplicate field "data.k"`.
    pub strict_errors: Vec<String>,
}

/// Decodes `patch` and applies it to `doc`.
pub fn apply(doc: &Value, patch: &[u8]) -> Result<Value, PatchError> {
    MergePatch::decode(patch)?.apply(doc.clone())
}

impl MergePatch {
    /// Decodes a patch, which must be an object.
    pub fn decode(patch: &[u8]) -> Result<Self, PatchError> {
        let refuse = |message: String| PatchError::BadRequest(format!("error decoding patch: {message}"));
        let document = document::parse(patch).map_err(refuse)?;
        let fields = match document.value {
            Value::Object(fields) => fields,
            Value::Null => return Err(PatchError::BadRequest("Invalid JSON Patch".to_owned())),
            other => {
                let kind = json_kind(&other);
                return Err(refuse(format!(
                    "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
                )));
            }
        };
        let strict_errors = document.duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
        Ok(MergePatch { fields, strict_errors })
    }

    /// Whether the patch does nothing.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The objects that the patch reaches into.
    pub fn opened(&self) -> Opened {
        fn open(opened: &mut Opened, fields: &Map<String, Value>) {
            for (name, value) in fields {
                if let Value::Object(fields) = value {
                    open(opened.member(name), fields);
                }
            }
        }
        let mut opened = Opened::default();
        open(&mut opened, &self.fields);
        opened
    }

    /// Merges the patch into `doc`. Anything but an object is replaced.
    pub fn apply(&self, doc: Value) -> Result<Value, PatchError> {
        let mut fields = match doc {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        merge(&mut fields, &self.fields, PATCH_DEPTH_MAX)?;
        Ok(Value::Object(fields))
    }
}

/// Merges `patch` into `doc`; `levels` more of them may be entered.
fn merge(doc: &mut Map<String, Value>, patch: &Map<String, Value>, levels: usize) -> Result<(), PatchError> {
    let levels = levels.checked_sub(1).ok_or_else(too_deep)?;
    for (name, value) in patch {
        if value.is_null() {
            doc.remove(name);
            continue;
        }
        match (doc.get_mut(name), value) {
            (Some(Value::Object(current)), Value::Object(change)) => merge(current, change, levels)?,
            (Some(current @ Value::Object(_)), _) => *current = value.clone(),
            (Some(current), _) => *current = without_nulls(value),
            (None, _) => {
                doc.insert(name.clone(), without_nulls(value));
            }
        }
    }
    Ok(())
}

fn too_deep() -> PatchError {
    PatchError::BadRequest("error decoding patch: invalid character '{' exceeded max depth".to_owned())
}

/// A copy without the `null` members of objects; `null` items of lists stay.
///
/// Recursion is bounded by the depth of the patch, which the parser checked.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(doc: Value, patch: &str) -> Value {
        apply(&doc, patch.as_bytes()).unwrap()
    }

    #[test]
    fn the_examples_of_the_rfc() {
        for (doc, patch, result) in [
            (json!({"a":"b"}), r#"{"a":"c"}"#, json!({"a":"c"})),
            (json!({"a":"b"}), r#"{"b":"c"}"#, json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), r#"{"a":null}"#, json!({})),
            (json!({"a":"b","b":"c"}), r#"{"a":null}"#, json!({"b":"c"})),
            (json!({"a":["b"]}), r#"{"a":"c"}"#, json!({"a":"c"})),
            (json!({"a":"c"}), r#"{"a":["b"]}"#, json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), r#"{"a":{"b":"d","c":null}}"#, json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), r#"{"a":[1]}"#, json!({"a":[1]})),
            (json!(["a", "b"]), r#"{"a":1}"#, json!({"a":1})),
            (json!({"e":null}), r#"{"a":1}"#, json!({"e":null,"a":1})),
            (json!([1, 2]), r#"{"a":"b","c":null}"#, json!({"a":"b"})),
            (json!({}), r#"{"a":{"bb":{"ccc":null}}}"#, json!({"a":{"bb":{}}})),
        ] {
            assert_eq!(check(doc.clone(), patch), result, "{doc} {patch}");
        }
    }

    #[test]
    fn nulls_in_lists() {
        assert_eq!(check(json!({}), r#"{"a":[null,{"b":null,"c":1}]}"#), json!({"a":[null,{"c":1}]}));
        assert_eq!(check(json!({"a":{}}), r#"{"a":[{"b":null}]}"#), json!({"a":[{"b":null}]}));
    }

    #[test]
    fn errors() {
        let error = |patch: &str| MergePatch::decode(patch.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("null"), "Invalid JSON Patch");
        assert_eq!(error(""), "error decoding patch: unexpected end of JSON input");
        assert_eq!(
            error("[]"),
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        );
        assert!(MergePatch::decode(("{\"a\":".repeat(5000) + "1" + &"}".repeat(5000)).as_bytes()).is_err());
    }

    #[test]
    fn duplicate_fields_are_noted_and_the_last_one_counts() {
        let patch = MergePatch::decode(br#"{"data":{"k":"1","k":"2"},"l":[{"a":1,"a":2}]}"#).unwrap();
        assert_eq!(patch.strict_errors, [r#"duplicate field "data.k""#, r#"duplicate field "l[0].a""#]);
        assert_eq!(patch.apply(json!({})).unwrap(), json!({"data":{"k":"2"},"l":[{"a":2}]}));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i8>().prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = MergePatch::decode(&bytes);
        }

        #[test]
        fn applying_twice_changes_nothing_more(doc in any_json(), patch in any_json()) {
            if let Ok(patch) = MergePatch::decode(patch.to_string().as_bytes()) {
                let once = patch.apply(doc).unwrap();
                prop_assert_eq!(patch.apply(once.clone()).unwrap(), once);
            }
        }
    }
}
