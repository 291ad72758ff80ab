//! Reads what kind of object a document is, before its type is known.

use super::reader::{NotJson, Reader};
use super::{DecodeError, TypeMeta, scan};

/// How Go prints the type that it reads `apiVersion` and `kind` with.
const TYPE_META: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

/// Reads `apiVersion` and `kind`; their names match in any case, as in Go's own `encoding/json`.
pub(super) fn read(text: &str, original: &[u8]) -> Result<TypeMeta, DecodeError> {
    let mut meta = TypeMeta::default();
    match members(&mut Reader::new(text), &mut meta) {
        Ok(None) => Ok(meta),
        Ok(Some(message)) => {
            scan::check(original).map_err(DecodeError::Syntax)?;
            Err(DecodeError::Type(message))
        }
        Err(NotJson) => {
            scan::check(original).map_err(DecodeError::Syntax)?;
            Err(DecodeError::Syntax("invalid JSON".to_owned()))
        }
    }
}

fn members(reader: &mut Reader<'_>, meta: &mut TypeMeta) -> Result<Option<String>, NotJson> {
    let mut error = None;
    match reader.peek() {
        b'{' => {
            reader.advance();
            let mut first = true;
            while reader.next_in(b'}', first)? {
                first = false;
                let key = reader.key()?;
                let (name, target) = if key.eq_ignore_ascii_case("apiVersion") {
                    ("apiVersion", &mut meta.api_version)
                } else if key.eq_ignore_ascii_case("kind") {
                    ("kind", &mut meta.kind)
                } else {
                    reader.skip(1)?;
                    continue;
                };
                match reader.peek() {
                    b'"' => *target = reader.string()?.into_owned(),
                    other => {
                        reader.skip(1)?;
                        if let (None, Some(shape)) = (&error, shape_name(other)) {
                            let message =
                                format!("json: cannot unmarshal {shape} into Go struct field .{name} of type string");
                            error = Some(message);
                        }
                    }
                }
            }
        }
        other => {
            reader.skip(0)?;
            error = shape_name(other)
                .map(|shape| format!("json: cannot unmarshal {shape} into Go value of type {TYPE_META}"));
        }
    }
    reader.end()?;
    Ok(error)
}

/// The shape of a JSON value by its first byte, in Go's words; `None` for `null` and what starts no value.
pub(super) fn shape_name(first: u8) -> Option<&'static str> {
    match first {
        b'"' => Some("string"),
        b'{' => Some("object"),
        b'[' => Some("array"),
        b't' | b'f' => Some("bool"),
        b'-' | b'0'..=b'9' => Some("number"),
        _ => None,
    }
}
