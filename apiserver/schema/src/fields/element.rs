//! One step of a path to a field: the member of a struct or map, or an item of a list.
//!
//! Serialised: `f:<name>`, `k:{"<key field>":<value>,…}` (key fields sorted by name), `v:<value>`, `i:<index>`.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Number, Value};

use crate::codec;
use crate::patch::gofmt;

/// A path element, parsed from its serialised form.
#[derive(Debug, Clone, PartialEq)]
pub enum Element<'k> {
    /// A field of a struct or an entry of a map.
    Field(&'k str),
    /// An item of a keyed list: its key fields, sorted by name.
    Key(Map<String, Value>),
    /// An item of a set.
    Value(Value),
    /// An item of a list without keys.
    Index(i64),
}

impl<'k> Element<'k> {
    /// Parses a serialised element. `Ok(None)`: of a sort that is not known, to be left out.
    ///
    /// # Errors
    /// The text is no path element; in the words of the real server's parser where it has any.
    pub fn parse(text: &'k str) -> Result<Option<Self>, String> {
        let (Some(sort), Some(b':')) = (text.as_bytes().first(), text.as_bytes().get(1)) else {
            return Err(if text.len() < 2 {
                "key must be 2 characters long:".to_owned()
            } else {
                format!("missing colon: {text}")
            });
        };
        let rest = text.get(2..).unwrap_or_default();
        let json = || serde_json::from_str::<Value>(rest).map_err(|error| error.to_string());
        Ok(Some(match sort {
            b'f' => Element::Field(rest),
            b'v' => Element::Value(json()?),
            b'k' => match json()? {
                Value::Object(fields) => Element::Key(fields),
                _ => return Err(format!("not a key: {text}")),
            },
            b'i' => Element::Index(rest.parse().map_err(|_| format!("not an index: {text}"))?),
            _ => return Ok(None),
        }))
    }

    /// The canonical serialised form.
    pub fn serialise(&self) -> String {
        match self {
            Element::Field(name) => field_key(name),
            Element::Key(fields) => keyed(fields.iter().map(|(name, value)| (name.as_str(), value))),
            Element::Value(value) => value_key(value),
            Element::Index(index) => format!("i:{index}"),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Element::Field(_) => 0,
            Element::Key(_) => 1,
            Element::Value(_) => 2,
            Element::Index(_) => 3,
        }
    }

    /// The order in which sets are printed: fields, keys, values, indices; numbers by their value.
    pub fn compare(&self, other: &Element<'_>) -> Ordering {
        match (self, other) {
            (Element::Field(a), Element::Field(b)) => a.cmp(b),
            (Element::Key(a), Element::Key(b)) => compare_fields(a, b),
            (Element::Value(a), Element::Value(b)) => compare_values(a, b),
            (Element::Index(a), Element::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// As messages show it: `.spec`, `[name="a"]`, `[="x"]`, `[0]`.
impl fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Field(name) => write!(f, ".{name}"),
            Element::Key(fields) => {
                f.write_str("[")?;
                for (at, (name, value)) in fields.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={}", shown(value))?;
                }
                f.write_str("]")
            }
            Element::Value(value) => write!(f, "[={}]", shown(value)),
            Element::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// The key of a field or map entry in a set.
pub(super) fn field_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + 2);
    key.push_str("f:");
    key.push_str(name);
    key
}

/// The key of an item of a set.
pub(super) fn value_key(value: &Value) -> String {
    let mut text = b"v:".to_vec();
    codec::print(value, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// The key of an item of a keyed list, from its key fields in the order of their names.
pub(super) fn keyed<'a>(fields: impl Iterator<Item = (&'a str, &'a Value)>) -> String {
    let mut text = Vec::with_capacity(48);
    text.extend_from_slice(b"k:{");
    for (at, (name, value)) in fields.enumerate() {
        if at > 0 {
            text.push(b',');
        }
        codec::print_text(name, &mut text);
        text.push(b':');
        codec::print(value, &mut text);
    }
    text.push(b'}');
    String::from_utf8(text).unwrap_or_default()
}

/// A scalar as messages show it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => gofmt::quote(text),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => fields.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect(),
        other => gofmt::value(other),
    }
}

fn compare_fields(a: &Map<String, Value>, b: &Map<String, Value>) -> Ordering {
    let fields = a.iter().zip(b).map(|((x, v), (y, w))| x.cmp(y).then_with(|| compare_values(v, w)));
    fields.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// A total order over values of any type: numbers, strings, booleans, lists, maps, null.
fn compare_values(a: &Value, b: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let items = a.iter().zip(b).map(|(x, y)| compare_values(x, y));
            items.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => compare_fields(a, b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
    }
}
