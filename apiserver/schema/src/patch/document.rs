//! The text of a patch: parsed once, with Go's messages, its duplicate fields noted and its depth bounded.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::PATCH_DEPTH_MAX;
use crate::codec;
use crate::model::{AnyKind, Node, Schema};

/// Most complaints that are kept; the server's decoder keeps as many.
const DUPLICATES_MAX: usize = 100;
/// Longest path of a complaint in bytes; a patch could otherwise have its longest key repeated in each.
const PATH_BYTES_MAX: usize = 1024;

/// A parsed JSON document.
pub(crate) struct Document {
    /// The value; of duplicate fields the last one.
    pub value: Value,
    /// The paths of duplicate fields, in the order of the text: `data.k`, `[0].value`.
    pub duplicates: Vec<String>,
}

/// Parses `json`. The error is the text Go's decoder gives.
pub(super) fn parse(json: &[u8]) -> Result<Document, String> {
    parse_strictly(json).map_or_else(|| parse_leniently(json), Ok)
}

/// Parses what is JSON in everyone's eyes; `None` for all else.
pub(crate) fn parse_strictly(json: &[u8]) -> Option<Document> {
    let context = Context::default();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = Seed { context: &context, depth: 0 }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(Document { value, duplicates: context.duplicates.into_inner() })
}

/// The codec's decoder takes what Go takes (halves of surrogate pairs, bytes that are not UTF-8) and refuses the rest
/// in Go's words. It does not note duplicates in values without a type, so it comes second.
fn parse_leniently(json: &[u8]) -> Result<Document, String> {
    let anything =
        Schema { node: Node::Any(AnyKind::Json), go_type: "interface {}".into(), enum_values: Box::default() };
    match codec::decode_json(json, &anything) {
        Ok(decoded) => Ok(Document { value: decoded.value, duplicates: Vec::new() }),
        Err(error) => Err(error.to_string()),
    }
}

/// Go's name of a JSON value in "cannot unmarshal … into".
pub(super) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// How many levels of objects and lists a value has; 0 for a scalar. Gives up counting past the bound.
pub(super) fn depth(value: &Value) -> usize {
    fn below(value: &Value, limit: usize) -> usize {
        let Some(limit) = limit.checked_sub(1) else { return 0 };
        match value {
            Value::Object(fields) => 1 + fields.values().map(|field| below(field, limit)).max().unwrap_or(0),
            Value::Array(items) => 1 + items.iter().map(|item| below(item, limit)).max().unwrap_or(0),
            _ => 0,
        }
    }
    below(value, PATCH_DEPTH_MAX + 1)
}

#[derive(Default)]
struct Context {
    /// Where the parser is: `.name` and `[index]` pieces, each with the length of the path before it.
    path: RefCell<String>,
    duplicates: RefCell<Vec<String>>,
}

impl Context {
    /// Runs `inner` one step further down the path.
    fn at<T>(&self, step: fmt::Arguments<'_>, inner: impl FnOnce() -> T) -> T {
        let before = self.path.borrow().len();
        // Writing to a string cannot fail.
        _ = fmt::Write::write_fmt(&mut *self.path.borrow_mut(), step);
        let result = inner();
        self.path.borrow_mut().truncate(before);
        result
    }

    fn duplicate(&self, name: &str) {
        let mut duplicates = self.duplicates.borrow_mut();
        if duplicates.len() < DUPLICATES_MAX {
            let path = self.path.borrow();
            let dot = if path.is_empty() { "" } else { "." };
            if path.len() + name.len() <= PATH_BYTES_MAX {
                duplicates.push(format!("{path}{dot}{name}"));
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'c> {
    context: &'c Context,
    depth: usize,
}

impl<'c> Seed<'c> {
    fn deeper<E: serde::de::Error>(self) -> Result<Seed<'c>, E> {
        if self.depth >= PATCH_DEPTH_MAX {
            return Err(E::custom("exceeded max depth"));
        }
        Ok(Seed { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = self.context.at(format_args!("[{}]", items.len()), || seq.next_element_seed(inner))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if fields.contains_key(&name) {
                self.context.duplicate(&name);
            }
            let dot = if self.context.path.borrow().is_empty() { "" } else { "." };
            let value = self.context.at(format_args!("{dot}{name}"), || map.next_value_seed(inner))?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}
