//! JSON as the Go API server reads and prints it, driven by a [`Schema`].
//!
//! Decoded objects are canonical: a field is present exactly if it is set in the sense of Go (an explicit zero of a
//! field that is not a pointer is not), so two objects are equal exactly if the server takes them as equal.

mod decode;
mod encode;
mod print;
mod reader;
mod scalar;
mod scan;
mod type_meta;
mod unset;

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;
use thiserror::Error;

use crate::model::Schema;
pub(crate) use encode::left_out;
pub use encode::{encode, encode_stored};
pub(crate) use print::print_string as print_text;
pub use print::{pretty, print};

/// The deepest nesting that is kept in an object. Deeper values are accepted only where they are dropped (down to
/// Go's limit of 10,000); the number stays below 128, at which `serde_json` refuses to read a text back.
pub const KEPT_DEPTH_MAX: usize = 120;

/// The most strict errors that are kept for one document, as in Go.
pub const STRICT_ERRORS_MAX: usize = 100;

/// Bytes of a body that [`summarize`] shows.
const SUMMARY_BYTES_MAX: usize = 30;

/// A decoded object.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Decoded {
    /// The object without what its type does not know; unset and `null` fields are absent.
    pub value: Value,
    /// `unknown field "spec.foo"`, `duplicate field "metadata.name"`, in Go's order; at most
    /// [`STRICT_ERRORS_MAX`], each once.
    pub strict_errors: Vec<String>,
}

/// Why a document cannot be decoded; the text is what the real server says.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// Not JSON (or YAML): `invalid character 'x' looking for beginning of value`.
    #[error("{0}")]
    Syntax(String),
    /// JSON of another shape: `json: cannot unmarshal string into Go struct field ObjectMeta.metadata.name of type …`.
    #[error("{0}")]
    Type(String),
}

/// The two fields that say what a document is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TypeMeta {
    /// `group/version`, or `version` for the core group; empty when absent.
    pub api_version: String,
    /// Empty when absent.
    pub kind: String,
}

/// Reads `apiVersion` and `kind` as the server does before it knows the type.
///
/// The error is the text after `couldn't get version/kind; json parse error: `.
pub fn type_meta(json: &[u8]) -> Result<TypeMeta, DecodeError> {
    let text = utf8(json);
    type_meta::read(&text, json)
}

/// Decodes a JSON document of type `schema`.
pub fn decode_json(json: &[u8], schema: &Schema) -> Result<Decoded, DecodeError> {
    let text = utf8(json);
    decode::decode(&text, json, schema)
}

/// Decodes the first document of a YAML stream. Duplicate keys are strict errors in YAML's words.
pub fn decode_yaml(yaml: &[u8], schema: &Schema) -> Result<Decoded, DecodeError> {
    let document = crate::yaml::to_json(yaml).map_err(|error| DecodeError::Syntax(error.to_string()))?;
    let mut decoded = decode_value(&document.value, schema)?;
    let duplicates = document.duplicates.into_iter().take(STRICT_ERRORS_MAX);
    decoded.strict_errors.splice(0..0, duplicates);
    Ok(decoded)
}

/// Runs an object that is in memory already (the result of a patch, say) through the decoder's rules.
pub fn decode_value(value: &Value, schema: &Schema) -> Result<Decoded, DecodeError> {
    let mut json = Vec::with_capacity(1024);
    print(value, &mut json);
    decode_json(&json, schema)
}

/// The excerpt of a body in "the object provided is unrecognized" errors: text of an object, else hex; 30 bytes.
pub fn summarize(body: &[u8]) -> String {
    if body.is_empty() {
        return "<empty>".to_owned();
    }
    let shown = &body[..body.len().min(SUMMARY_BYTES_MAX)];
    let mut summary = if body[0] == b'{' {
        go_lossy(shown)
    } else {
        let mut hex = String::with_capacity(2 * shown.len());
        for byte in shown {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    };
    if body.len() > SUMMARY_BYTES_MAX {
        summary.push_str(" ...");
    }
    summary
}

/// How many bytes at the start are surely plain, counted in whole blocks that the compiler compares at once.
#[inline]
fn plain_blocks(bytes: &[u8], special: impl Fn(u8) -> bool) -> usize {
    const BLOCK: usize = 16;
    let blocks = bytes.chunks_exact(BLOCK);
    BLOCK * blocks.take_while(|block| !block.iter().fold(false, |any, &byte| any | special(byte))).count()
}

fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| Cow::Owned(go_lossy(bytes)), Cow::Borrowed)
}

/// Replaces what is not UTF-8 as Go does: each byte by a replacement character.
fn go_lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

#[cfg(test)]
mod tests;
