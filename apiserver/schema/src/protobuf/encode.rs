//! Objects as protobuf messages, byte for byte as Go's generated marshallers write them.
//!
//! Fields ascend by number; what Go holds in a value (not a pointer) is always written, zero or not; maps are pairs
//! sorted by key; a struct that JSON inlines and protobuf nests is always there.

use base64::Engine as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Map as Fields, Value};

use super::{MAGIC, is_message};
use crate::model::{Field, List, Map, Node, Object, ScalarKind, Schema, Union};
use crate::time::Timestamp;

/// Appends the message of `value` (without an envelope). What does not fit the type is left out: values are decoded
/// by the type before they get here.
pub fn encode(value: &Value, schema: &Schema, out: &mut Vec<u8>) {
    content(value, schema, out);
}

/// Appends a whole body: magic, and the `runtime.Unknown` around the message `raw`.
pub fn seal(api_version: &str, kind: &str, raw: &[u8], out: &mut Vec<u8>) {
    envelope(api_version, kind, raw.len(), out, |out| out.extend_from_slice(raw));
}

/// As [`seal`], for a message of `len` bytes that `write` appends.
pub fn envelope(api_version: &str, kind: &str, len: usize, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(MAGIC);
    nested(1, out, |out| {
        text(1, api_version, out);
        text(2, kind, out);
    });
    encode_key(2, WireType::LengthDelimited, out);
    encode_varint(len as u64, out);
    write(out);
    out.extend_from_slice(ENVELOPE_END);
}

/// `contentEncoding` and `contentType` of the envelope, both empty: what follows the message.
pub const ENVELOPE_END: &[u8] = &[0x1a, 0, 0x22, 0];

/// Appends field `number`, a message that `write` appends.
pub fn nested(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    encode_key(number, WireType::LengthDelimited, out);
    let start = out.len();
    write(out);
    let len = out.len() - start;
    // The length goes before what it measures: a memmove costs less than measuring first.
    let mut prefix = [0u8; 10];
    let mut unused = &mut prefix[..];
    encode_varint(len as u64, &mut unused);
    let unused = unused.len();
    let used = prefix.len() - unused;
    out.splice(start..start, prefix[..used].iter().copied());
}

/// Appends a string field.
pub fn text(number: u32, text: &str, out: &mut Vec<u8>) {
    bytes(number, text.as_bytes(), out);
}

/// Appends a bytes field.
pub fn bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends an integer or boolean field; negative numbers take ten bytes, as int32 and int64 do.
pub fn varint(number: u32, value: i64, out: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, out);
    encode_varint(value as u64, out);
}

/// What stands inside a length-delimited field (or at the root).
fn content(value: &Value, schema: &Schema, out: &mut Vec<u8>) {
    match (schema.node(), value) {
        (Node::Object(object), Value::Object(members)) => message(members, object, out),
        (Node::Object(object), _) => message(&Fields::new(), object, out),
        (Node::List(list), Value::Array(items)) => repeated(1, items, list, out),
        (Node::Scalar(kind), value) => scalar_content(value, *kind, out),
        (Node::IntOrString, value) => int_or_string(value, out),
        (Node::Any(_), Value::Null) => {}
        // Raw JSON stays raw.
        (Node::Any(_), value) => {
            let mut json = Vec::new();
            crate::codec::print(value, &mut json);
            bytes(1, &json, out);
        }
        (Node::Union(union), value) => union_content(value, union, out),
        (Node::List(_) | Node::Map(_), _) => {}
    }
}

fn message(members: &Fields<String, Value>, object: &Object, out: &mut Vec<u8>) {
    fields(members, object, object.by_proto(), 0, out);
}

/// The fields numbered in `order`, which share the first `depth` numbers of their paths.
fn fields(members: &Fields<String, Value>, object: &Object, mut order: &[u16], depth: usize, out: &mut Vec<u8>) {
    let field_at = |at: u16| &object.fields()[usize::from(at)];
    while let Some((&first, rest)) = order.split_first() {
        let head = field_at(first);
        let path = head.proto_path();
        let Some(&number) = path.get(depth) else { return };
        if path.len() == depth + 1 {
            field(u32::from(number), head, members.get(head.name()), out);
            order = rest;
            continue;
        }
        let same = |at: &u16| field_at(*at).proto_path().get(depth) == Some(&number);
        let end = order.iter().position(|at| !same(at)).unwrap_or(order.len());
        let (group, rest) = order.split_at(end);
        nested(u32::from(number), out, |out| fields(members, object, group, depth + 1, out));
        order = rest;
    }
}

fn field(number: u32, field: &Field, value: Option<&Value>, out: &mut Vec<u8>) {
    let value = value.filter(|value| !value.is_null());
    let schema = field.schema();
    match (schema.node(), value) {
        (Node::List(list), Some(Value::Array(items))) if is_message(schema) => {
            nested(number, out, |out| repeated(1, items, list, out));
        }
        (Node::List(list), Some(Value::Array(items))) => repeated(number, items, list, out),
        (Node::Map(map), Some(Value::Object(members))) => pairs(number, members, map, out),
        (Node::List(_) | Node::Map(_), _) | (Node::Scalar(ScalarKind::Bytes), None) => {}
        (_, None) if field.pointer() => {}
        (_, value) => single(number, value.unwrap_or(&Value::Null), schema, out),
    }
}

/// A field with one value; `null` is the type's zero.
fn single(number: u32, value: &Value, schema: &Schema, out: &mut Vec<u8>) {
    match schema.node() {
        Node::Scalar(ScalarKind::String) => text(number, value.as_str().unwrap_or_default(), out),
        Node::Scalar(ScalarKind::Bool) => varint(number, i64::from(value.as_bool().unwrap_or_default()), out),
        Node::Scalar(ScalarKind::Int32 | ScalarKind::Int64) => varint(number, value.as_i64().unwrap_or_default(), out),
        Node::Scalar(ScalarKind::Float64) => {
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend_from_slice(&value.as_f64().unwrap_or_default().to_bits().to_le_bytes());
        }
        _ => nested(number, out, |out| content(value, schema, out)),
    }
}

fn repeated(number: u32, items: &[Value], list: &List, out: &mut Vec<u8>) {
    for item in items {
        single(number, item, list.items(), out);
    }
}

fn pairs(number: u32, members: &Fields<String, Value>, map: &Map, out: &mut Vec<u8>) {
    let by_bytes = matches!(map.values().node(), Node::Scalar(ScalarKind::Bytes));
    for (key, value) in members {
        nested(number, out, |out| {
            text(1, key, out);
            if !(by_bytes && value.is_null()) {
                single(2, value, map.values(), out);
            }
        });
    }
}

fn scalar_content(value: &Value, kind: ScalarKind, out: &mut Vec<u8>) {
    let text_value = value.as_str().unwrap_or_default();
    match kind {
        ScalarKind::Bytes => {
            out.extend_from_slice(&base64::engine::general_purpose::STANDARD.decode(text_value).unwrap_or_default());
        }
        ScalarKind::Quantity => match value {
            Value::Number(number) => text(1, &number.to_string(), out),
            _ => text(1, if text_value.is_empty() { "0" } else { text_value }, out),
        },
        ScalarKind::Time | ScalarKind::MicroTime => {
            // The zero time is the empty message.
            let parse = if kind == ScalarKind::Time { Timestamp::parse } else { Timestamp::parse_micro };
            if let Ok(time) = parse(text_value) {
                varint(1, time.seconds, out);
                varint(2, i64::from(time.nanos), out);
            }
        }
        ScalarKind::String | ScalarKind::Bool | ScalarKind::Int32 | ScalarKind::Int64 | ScalarKind::Float64 => {
            out.extend_from_slice(text_value.as_bytes());
        }
    }
}

fn int_or_string(value: &Value, out: &mut Vec<u8>) {
    varint(1, i64::from(value.is_string()), out);
    varint(2, value.as_i64().unwrap_or_default(), out);
    text(3, value.as_str().unwrap_or_default(), out);
}

fn union_content(value: &Value, union: &Union, out: &mut Vec<u8>) {
    let list = union.list().and_then(|list| list.as_list());
    match (value, list) {
        (Value::Bool(allows), _) if union.allows_bool() => varint(1, i64::from(*allows), out),
        (Value::Object(_), _) if union.allows_bool() => {
            varint(1, 1, out);
            nested(2, out, |out| content(value, union.object(), out));
        }
        (Value::Object(_), _) => nested(1, out, |out| content(value, union.object(), out)),
        (Value::Array(items), Some(list)) => repeated(2, items, list, out),
        _ => {}
    }
}
