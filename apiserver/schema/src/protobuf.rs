//! Protobuf bodies: `k8s\0`, a `runtime.Unknown` envelope, and in it a message whose fields the catalog numbers.
//!
//! Decoding gives what the JSON decoder would give for the same object, so everything behind it is one path. Rules
//! from apimachinery's `go-to-protobuf`: TypeMeta is not in the message (the envelope has it), maps are repeated
//! pairs, non-pointer scalars are always written (so a zero of one means unset), a few types have messages of their
//! own (Time, Quantity, IntOrString, raw JSON, a list as a map's value).

mod encode;

pub use encode::{ENVELOPE_END, bytes, encode, envelope, nested, seal, text, varint};

use base64::Engine as _;
use prost::encoding::{WireType, decode_key, decode_varint};
use serde_json::{Map as Fields, Value};

use crate::codec::{DecodeError, KEPT_DEPTH_MAX, TypeMeta};
use crate::model::{AnyKind, Field, Node, Object, ScalarKind, Schema};
use crate::time::Timestamp;

/// What every protobuf body of Kubernetes begins with.
pub const MAGIC: &[u8] = b"k8s\0";

/// 0001-01-01T00:00:00Z, Go's zero time, in Unix seconds.
const ZERO_TIME_SECONDS: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can write.
const MAX_TIME_SECONDS: i64 = 253_402_300_799;

/// The envelope: which type the message has, and the message.
#[derive(Debug)]
pub struct Envelope<'a> {
    pub type_meta: TypeMeta,
    pub raw: &'a [u8],
}

/// Opens the envelope.
pub fn open(body: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    let Some(message) = body.strip_prefix(MAGIC) else {
        return Err(syntax("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"));
    };
    let mut envelope = Envelope { type_meta: TypeMeta::default(), raw: &[] };
    for field in Reader(message) {
        match field? {
            (1, Wire::Bytes(meta)) => {
                for field in Reader(meta) {
                    match field? {
                        (1, Wire::Bytes(text)) => envelope.type_meta.api_version = utf8(text)?,
                        (2, Wire::Bytes(text)) => envelope.type_meta.kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(raw)) => envelope.raw = raw,
            _ => {}
        }
    }
    Ok(envelope)
}

/// Decodes a message (without its envelope) of type `schema`. Fields that the type does not know are skipped.
pub fn decode(message: &[u8], schema: &Schema) -> Result<Value, DecodeError> {
    value(message, schema, 0)
}

/// One field's content, as the wire tells it apart.
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

/// The fields of one message, in the order in which they were written. Ends behind the first error.
struct Reader<'a>(&'a [u8]);

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u32, Wire<'a>), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(u32, Wire<'a>), DecodeError> {
        let (number, wire_type) = decode_key(&mut self.0).map_err(malformed)?;
        let content = match wire_type {
            WireType::Varint => Wire::Varint(decode_varint(&mut self.0).map_err(malformed)?),
            WireType::SixtyFourBit => {
                let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or_else(truncated)?;
                self.0 = rest;
                Wire::Fixed64(u64::from_le_bytes(*bytes))
            }
            WireType::ThirtyTwoBit => {
                let (_, rest) = self.0.split_first_chunk::<4>().ok_or_else(truncated)?;
                self.0 = rest;
                Wire::Fixed32
            }
            WireType::LengthDelimited => {
                let len = decode_varint(&mut self.0).map_err(malformed)?;
                let len = usize::try_from(len).map_err(|_| truncated())?;
                let (bytes, rest) = self.0.split_at_checked(len).ok_or_else(truncated)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            WireType::StartGroup | WireType::EndGroup => return Err(syntax("proto: wrong wireType")),
        };
        Ok((number, content))
    }
}

/// The value of a message-typed (or string-typed, or raw) field.
fn value(bytes: &[u8], schema: &Schema, depth: usize) -> Result<Value, DecodeError> {
    if depth > KEPT_DEPTH_MAX {
        return Err(syntax("proto: message is nested too deeply"));
    }
    match schema.node() {
        Node::Object(object) => message(bytes, object, depth),
        Node::List(list) => wrapped(bytes, list.items(), depth),
        Node::Map(_) => Err(syntax("proto: a map is not a value of its own")),
        Node::Scalar(kind) => scalar(bytes, *kind),
        Node::IntOrString => int_or_string(bytes),
        Node::Any(kind) => raw(bytes, *kind),
        Node::Union(union) => {
            let mut found = Value::Null;
            for field in Reader(bytes) {
                match (field?, union.list()) {
                    ((1, Wire::Varint(allows)), _) if union.allows_bool() => found = Value::Bool(allows != 0),
                    ((1, Wire::Bytes(inner)), Some(_)) => found = value(inner, union.object(), depth + 1)?,
                    ((2, Wire::Bytes(inner)), None) => found = value(inner, union.object(), depth + 1)?,
                    ((2, Wire::Bytes(inner)), Some(list)) => {
                        let Some(list) = list.as_list() else { continue };
                        let item = value(inner, list.items(), depth + 1)?;
                        match &mut found {
                            Value::Array(items) => items.push(item),
                            other => *other = Value::Array(vec![item]),
                        }
                    }
                    _ => {}
                }
            }
            Ok(found)
        }
    }
}

/// A struct.
fn message(bytes: &[u8], object: &Object, depth: usize) -> Result<Value, DecodeError> {
    let mut out = Fields::new();
    fields(bytes, object, &mut Vec::new(), &mut out, depth)?;
    Ok(Value::Object(out))
}

/// The fields of the message at `path` within a struct: JSON inlines some structs that protobuf nests.
fn fields(
    bytes: &[u8],
    object: &Object,
    path: &mut Vec<u8>,
    out: &mut Fields<String, Value>,
    depth: usize,
) -> Result<(), DecodeError> {
    for field in Reader(bytes) {
        let (number, content) = field?;
        let Ok(number) = u8::try_from(number) else { continue };
        path.push(number);
        // Types are small: a scan is as good as an index.
        if let Some(field) = object.fields().iter().find(|f| f.proto_path() == path) {
            add(out, field, content, depth)?;
        } else if let (Wire::Bytes(inner), true) =
            (content, object.fields().iter().any(|f| f.proto_path().starts_with(path)))
        {
            fields(inner, object, path, out, depth)?;
        }
        path.pop();
    }
    Ok(())
}

fn add(out: &mut Fields<String, Value>, field: &Field, content: Wire<'_>, depth: usize) -> Result<(), DecodeError> {
    let name = field.name();
    match (field.schema().node(), content) {
        (Node::List(list), Wire::Bytes(bytes)) if is_message(field.schema()) => {
            out.insert(name.to_owned(), wrapped(bytes, list.items(), depth + 1)?);
        }
        (Node::List(list), Wire::Bytes(bytes))
            if !matches!(list.items().node(), Node::Scalar(ScalarKind::Int32 | ScalarKind::Int64)) =>
        {
            let item = value(bytes, list.items(), depth + 1)?;
            push(out, name, item);
        }
        (Node::List(list), Wire::Bytes(mut packed)) => {
            while !packed.is_empty() {
                let number = decode_varint(&mut packed).map_err(malformed)?;
                push(out, name, number_value(number, list.items()));
            }
        }
        (Node::List(list), Wire::Varint(number)) => push(out, name, number_value(number, list.items())),
        (Node::Map(map), Wire::Bytes(entry)) => {
            let (mut key, mut item) = (String::new(), None);
            for field in Reader(entry) {
                match field? {
                    (1, Wire::Bytes(text)) => key = utf8(text)?,
                    (2, Wire::Bytes(bytes)) => item = Some(value(bytes, map.values(), depth + 1)?),
                    (2, Wire::Varint(number)) => item = Some(number_value(number, map.values())),
                    _ => {}
                }
            }
            let item = item.unwrap_or_else(|| zero(map.values()));
            if let Value::Object(entries) = out.entry(name).or_insert_with(|| Value::Object(Fields::new())) {
                entries.insert(key, item);
            }
        }
        (Node::Scalar(ScalarKind::Float64), Wire::Fixed64(bits)) => {
            set(out, field, serde_json::Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number));
        }
        (Node::Scalar(_), Wire::Varint(number)) => set(out, field, number_value(number, field.schema())),
        (_, Wire::Bytes(bytes)) => {
            let value = value(bytes, field.schema(), depth + 1)?;
            set(out, field, value);
        }
        (_, Wire::Varint(_) | Wire::Fixed64(_) | Wire::Fixed32) => {
            return Err(DecodeError::Syntax(format!("proto: wrong wireType for field {name}")));
        }
    }
    Ok(())
}

fn push(out: &mut Fields<String, Value>, name: &str, item: Value) {
    if let Value::Array(items) = out.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
        items.push(item);
    }
}

/// Sets a field. Without a pointer in Go, a zero on the wire is an unset field; `null` never counts.
fn set(out: &mut Fields<String, Value>, field: &Field, value: Value) {
    let unset = match &value {
        Value::Null => true,
        Value::String(text) => {
            !field.pointer() && text.is_empty() && !matches!(field.schema().node(), Node::IntOrString)
        }
        Value::Bool(set) => !field.pointer() && !set,
        Value::Number(number) => {
            !field.pointer() && number.as_f64() == Some(0.0) && matches!(field.schema().node(), Node::Scalar(_))
        }
        Value::Object(fields) => !field.pointer() && fields.is_empty(),
        Value::Array(_) => false,
    };
    if !unset {
        out.insert(field.name().to_owned(), value);
    }
}

fn number_value(number: u64, schema: &Schema) -> Value {
    match schema.node() {
        Node::Scalar(ScalarKind::Bool) => Value::Bool(number != 0),
        Node::Scalar(ScalarKind::Int32) => Value::from(number as i32),
        _ => Value::from(number as i64),
    }
}

/// What an absent value of a map's entry means.
fn zero(schema: &Schema) -> Value {
    match schema.node() {
        Node::Scalar(ScalarKind::Bool) => Value::Bool(false),
        Node::Scalar(ScalarKind::Int32 | ScalarKind::Int64 | ScalarKind::Float64) | Node::IntOrString => Value::from(0),
        Node::Scalar(ScalarKind::Quantity) => Value::from("0"),
        Node::Scalar(_) => Value::from(""),
        Node::List(_) => Value::Array(Vec::new()),
        _ => Value::Object(Fields::new()),
    }
}

/// Whether a field's list is a message with `items = 1` rather than a repeated field: one named type is.
fn is_message(schema: &Schema) -> bool {
    schema.go_type() == "v1.Verbs"
}

/// A list that stands where protobuf allows no `repeated` (a map's value): a message with `items = 1`.
fn wrapped(bytes: &[u8], items: &Schema, depth: usize) -> Result<Value, DecodeError> {
    let mut out = Vec::new();
    for field in Reader(bytes) {
        if let (1, Wire::Bytes(item)) = field? {
            out.push(value(item, items, depth + 1)?);
        }
    }
    Ok(Value::Array(out))
}

fn scalar(bytes: &[u8], kind: ScalarKind) -> Result<Value, DecodeError> {
    match kind {
        ScalarKind::String => Ok(Value::String(utf8(bytes)?)),
        ScalarKind::Bytes => Ok(Value::String(base64::engine::general_purpose::STANDARD.encode(bytes))),
        ScalarKind::Quantity => {
            let mut text = String::from("0");
            for field in Reader(bytes) {
                if let (1, Wire::Bytes(inner)) = field? {
                    text = utf8(inner)?;
                }
            }
            Ok(Value::String(text))
        }
        ScalarKind::Time | ScalarKind::MicroTime => {
            let (mut seconds, mut nanos, mut set) = (0i64, 0i64, false);
            for field in Reader(bytes) {
                match field? {
                    (1, Wire::Varint(number)) => (seconds, set) = (number as i64, true),
                    (2, Wire::Varint(number)) => nanos = number as i64,
                    _ => {}
                }
            }
            // The empty message is the zero time: null in JSON.
            if !set || (seconds == ZERO_TIME_SECONDS && nanos == 0) {
                return Ok(Value::Null);
            }
            let nanos = u32::try_from(nanos).ok().filter(|n| *n < 1_000_000_000);
            let (Some(nanos), true) = (nanos, (ZERO_TIME_SECONDS..=MAX_TIME_SECONDS).contains(&seconds)) else {
                return Err(syntax("Time.MarshalJSON: year outside of range [0,9999]"));
            };
            let time = Timestamp { seconds, nanos };
            Ok(Value::String(if kind == ScalarKind::Time { time.to_rfc3339() } else { time.to_rfc3339_micro() }))
        }
        ScalarKind::Bool | ScalarKind::Int32 | ScalarKind::Int64 | ScalarKind::Float64 => {
            Err(syntax("proto: wrong wireType for a number"))
        }
    }
}

fn int_or_string(bytes: &[u8]) -> Result<Value, DecodeError> {
    let (mut is_text, mut number, mut text) = (false, 0i32, String::new());
    for field in Reader(bytes) {
        match field? {
            (1, Wire::Varint(kind)) => is_text = kind == 1,
            (2, Wire::Varint(value)) => number = value as i32,
            (3, Wire::Bytes(value)) => text = utf8(value)?,
            _ => {}
        }
    }
    Ok(if is_text { Value::String(text) } else { Value::from(number) })
}

/// Raw JSON in field 1.
fn raw(bytes: &[u8], kind: AnyKind) -> Result<Value, DecodeError> {
    for field in Reader(bytes) {
        if let (1, Wire::Bytes(json)) = field? {
            return serde_json::from_slice(json).map_err(|e| DecodeError::Syntax(format!("raw {kind:?}: {e}")));
        }
    }
    Ok(Value::Null)
}

fn utf8(bytes: &[u8]) -> Result<String, DecodeError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| syntax("proto: string field contains invalid UTF-8"))
}

fn syntax(text: &str) -> DecodeError {
    DecodeError::Syntax(text.to_owned())
}

fn truncated() -> DecodeError {
    syntax("unexpected EOF")
}

fn malformed(_: prost::DecodeError) -> DecodeError {
    syntax("proto: illegal wireType or tag")
}

#[cfg(test)]
mod independent;
#[cfg(test)]
mod tests;
