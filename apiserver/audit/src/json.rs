//! JSON that is recorded: on one line, with or without `metadata.managedFields`.

use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

/// A document as it is recorded; `None` where it is not JSON.
pub fn document(json: &[u8], omit_managed_fields: bool) -> Option<Box<RawValue>> {
    serde_json::from_slice::<IgnoredAny>(json).ok()?;
    if omit_managed_fields && contains(json, b"\"managedFields\"") {
        let mut value: Value = serde_json::from_slice(json).ok()?;
        drop_managed_fields(&mut value);
        return serde_json::value::to_raw_value(&value).ok();
    }
    RawValue::from_string(String::from_utf8(compact(json)).ok()?).ok()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Without the blanks between tokens. `json` is valid.
fn compact(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_string = *byte == b'"';
        }
        out.push(*byte);
    }
    out
}

/// Of an object, of the items of a list, and of the objects of a table.
fn drop_managed_fields(value: &mut Value) {
    let drop_from = |object: &mut Value| {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    };
    drop_from(value);
    for (list, object) in [("items", None), ("rows", Some("object"))] {
        for item in value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            match object {
                None => drop_from(item),
                Some(name) => item.get_mut(name).into_iter().for_each(drop_from),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_one_line() {
        let pretty = b"{\n  \"a\": \"x y\\\" \\\\\",\n  \"b\": [1, 2]\n}\n";
        assert_eq!(document(pretty, false).unwrap().get(), r#"{"a":"x y\" \\","b":[1,2]}"#);
        assert!(document(b"not json", false).is_none());
        assert!(document(b"{\"a\":1} {", false).is_none());
    }

    #[test]
    fn managed_fields_are_dropped_where_they_are() {
        let table = [
            (r#"{"metadata":{"managedFields":[1],"name":"a"}}"#, r#"{"metadata":{"name":"a"}}"#),
            (r#"{"items":[{"metadata":{"managedFields":[1]}}]}"#, r#"{"items":[{"metadata":{}}]}"#),
            (r#"{"rows":[{"object":{"metadata":{"managedFields":[1]}}}]}"#, r#"{"rows":[{"object":{"metadata":{}}}]}"#),
            (r#"{"data":{"managedFields":"1"}}"#, r#"{"data":{"managedFields":"1"}}"#),
        ];
        for (given, want) in table {
            assert_eq!(document(given.as_bytes(), true).unwrap().get(), want);
            assert_eq!(document(given.as_bytes(), false).unwrap().get(), given);
        }
    }
}
