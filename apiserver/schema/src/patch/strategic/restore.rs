//! Whether a patched object fits its type, in the words of the converter that the server uses after a strategic patch.
//!
//! JSON of the wrong type gets other sentences from this converter than from the decoder. What passes here is decoded
//! as usual afterwards, which reports what is left (times, quantities, unknown fields).

use serde_json::Value;

use super::lookup::go_kind;
use crate::model::{Node, ScalarKind, Schema};

/// Checks the JSON types of `value`, an object of type `schema`. The error is the text for a 422's "patch: Invalid
/// value" cause: `cannot restore slice from map`, `unrecognized type: int32`.
pub fn check_types(value: &Value, schema: &Schema) -> Result<(), String> {
    match (schema.node(), value) {
        (_, Value::Null) => Ok(()),
        (Node::Object(object), Value::Object(fields)) => object
            .fields()
            .iter()
            .filter_map(|field| Some((fields.get(field.name())?, field.schema())))
            .try_for_each(|(value, schema)| check_types(value, schema)),
        (Node::Object(_), other) => Err(format!("cannot restore struct from: {}", kind(other))),
        (Node::List(list), Value::Array(items)) => items.iter().try_for_each(|item| check_types(item, list.items())),
        (Node::List(_), other) => Err(format!("cannot restore slice from {}", kind(other))),
        (Node::Map(map), Value::Object(fields)) => {
            fields.values().try_for_each(|value| check_types(value, map.values()))
        }
        (Node::Map(_), other) => Err(format!("cannot restore map from {}", kind(other))),
        (Node::Scalar(ScalarKind::Bytes), Value::String(_) | Value::Array(_)) => Ok(()),
        (Node::Scalar(ScalarKind::Bytes), other) => Err(format!("cannot restore slice from {}", kind(other))),
        (Node::Scalar(ScalarKind::String), Value::String(_))
        | (Node::Scalar(ScalarKind::Bool), Value::Bool(_))
        | (Node::Scalar(ScalarKind::Float64), Value::Number(_)) => Ok(()),
        // Go's conversion takes floats that are whole.
        (Node::Scalar(ScalarKind::Int32 | ScalarKind::Int64), Value::Number(number))
            if number.as_f64().is_some_and(|float| float.fract() == 0.0) =>
        {
            Ok(())
        }
        (
            Node::Scalar(
                ScalarKind::String | ScalarKind::Bool | ScalarKind::Float64 | ScalarKind::Int32 | ScalarKind::Int64,
            ),
            _,
        ) => Err(format!("unrecognized type: {}", go_kind(schema))),
        // These read themselves from any JSON.
        (Node::Scalar(_) | Node::Union(_) | Node::IntOrString | Node::Any(_), _) => Ok(()),
    }
}

/// The `reflect.Kind` of a decoded JSON value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}
