//! What counts as set: Go cannot tell an explicit zero from an absent field, unless the field is a pointer.

use serde_json::{Map as JsonMap, Value};

use crate::model::{Field, Node, ScalarKind, Schema};

/// What `null` leaves in a list or map whose elements are not pointers.
pub(super) fn unset(schema: &Schema) -> Value {
    match &schema.node {
        Node::Object(_) => Value::Object(JsonMap::new()),
        Node::Scalar(ScalarKind::String) => Value::String(String::new()),
        Node::Scalar(ScalarKind::Bool) => Value::Bool(false),
        Node::Scalar(ScalarKind::Int32 | ScalarKind::Int64 | ScalarKind::Float64) | Node::IntOrString => {
            Value::Number(0.into())
        }
        Node::Scalar(ScalarKind::Quantity) => Value::String("0".to_owned()),
        _ => Value::Null,
    }
}

/// Whether Go cannot tell `value` from an unset field.
pub(super) fn is_unset(field: &Field, value: &Value) -> bool {
    if field.pointer {
        return value.is_null() && !field.keeps_null;
    }
    let by_type = field.schema();
    match (value, &by_type.node) {
        (Value::Null, _) => true,
        (_, Node::Any(_) | Node::Union(_)) => false,
        (Value::String(_), Node::IntOrString) => false,
        (Value::String(text), Node::Scalar(ScalarKind::Quantity)) => text == "0",
        (Value::String(text), _) => text.is_empty(),
        (Value::Bool(value), _) => !value,
        (Value::Number(number), _) => number.as_i64() == Some(0),
        (Value::Array(items), _) => items.is_empty(),
        (Value::Object(members), _) => members.is_empty(),
    }
}

/// Stores a field's value; a repeated struct or map is merged into what was there, as Go does.
pub(super) fn put(members: &mut JsonMap<String, Value>, field: &Field, value: Option<Value>, repeated: bool) {
    let Some(value) = value else {
        let scalar = matches!(field.schema().node, Node::Scalar(_) | Node::Object(_)) && !field.pointer;
        if repeated && !scalar {
            members.remove(&*field.name);
        }
        return;
    };
    if is_unset(field, &value) {
        if repeated && !matches!(value, Value::Object(_)) {
            members.remove(&*field.name);
        }
        return;
    }
    if repeated {
        let mergeable = matches!(field.schema().node, Node::Object(_) | Node::Map(_));
        if let (true, Some(Value::Object(old)), Value::Object(new)) = (mergeable, members.get_mut(&*field.name), &value)
        {
            merge(old, new);
            return;
        }
    }
    members.insert(field.name.to_string(), value);
}

fn merge(old: &mut JsonMap<String, Value>, new: &JsonMap<String, Value>) {
    for (key, value) in new {
        match (old.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            _ => {
                old.insert(key.clone(), value.clone());
            }
        }
    }
}
