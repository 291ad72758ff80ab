//! The typed decoder: one pass over the text, led by the schema.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Map as JsonMap, Number, Value};
use smallvec::SmallVec;

use super::reader::{NotJson, Reader};
use super::type_meta::shape_name;
use super::unset::{put, unset};
use super::{DecodeError, Decoded, KEPT_DEPTH_MAX, STRICT_ERRORS_MAX, scalar, scan};
use crate::model::{Node, Object, ScalarKind, Schema, TypeRef, Union};

/// Decodes `text`, which is `original` with what was not UTF-8 replaced.
pub(super) fn decode(text: &str, original: &[u8], schema: &Schema) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder {
        reader: Reader::new(text),
        path: SmallVec::new(),
        depth: 0,
        strict_errors: Vec::new(),
        record_strict: true,
        lenient: false,
        type_error: None,
    };
    let outcome = decoder.value(schema).and_then(|value| {
        decoder.reader.end()?;
        Ok(value)
    });
    let stopped = match outcome {
        Ok(value) if decoder.type_error.is_none() => {
            let value = value.unwrap_or_else(|| Value::Object(JsonMap::new()));
            return Ok(Decoded { value, strict_errors: decoder.strict_errors });
        }
        Ok(_) => None,
        Err(Stop::NotJson) => Some(DecodeError::Syntax("invalid JSON".to_owned())),
        Err(Stop::TooDeep) => Some(DecodeError::Syntax("invalid character '{' exceeded max depth".to_owned())),
        Err(Stop::Type(message)) => Some(DecodeError::Type(message)),
    };
    // Go looks at the syntax of the whole text first, so a mistake behind a wrong type still comes first.
    scan::check(original).map_err(DecodeError::Syntax)?;
    Err(stopped.unwrap_or_else(|| DecodeError::Type(decoder.type_error.unwrap_or_default())))
}

/// Why decoding cannot go on.
enum Stop {
    NotJson,
    TooDeep,
    /// An error from a type that decodes itself; Go stops at it at once.
    Type(String),
}

impl From<NotJson> for Stop {
    fn from(_: NotJson) -> Self {
        Stop::NotJson
    }
}

/// One step from the root to the value at hand.
enum Step<'s, 't> {
    /// A struct's field, and the struct's name.
    Field(&'s str, &'s str),
    Key(Cow<'t, str>),
    Index(usize),
}

struct Decoder<'s, 't> {
    reader: Reader<'t>,
    path: SmallVec<[Step<'s, 't>; 16]>,
    depth: usize,
    strict_errors: Vec<String>,
    record_strict: bool,
    /// In a custom resource: values of a wrong type are kept.
    lenient: bool,
    /// The first value of a wrong type; decoding goes on past it.
    type_error: Option<String>,
}

/// A decoded value; `None` when it was `null`, unset or of a wrong type.
type Outcome = Result<Option<Value>, Stop>;

impl<'s, 't> Decoder<'s, 't> {
    fn value(&mut self, schema: &'s Schema) -> Outcome {
        if self.reader.peek() == b'n' {
            self.reader.literal("null")?;
            return Ok(None);
        }
        match &schema.node {
            Node::Object(object) => self.object(object, schema),
            Node::Scalar(kind) => self.scalar(*kind, schema),
            Node::List(list) => {
                self.list(&list.items, |items| if list.pointer_items { Value::Null } else { unset(items) }, schema)
            }
            Node::Map(map) => {
                self.map(&map.values, |values| if map.pointer_values { Value::Null } else { unset(values) }, schema)
            }
            Node::IntOrString => self.int_or_string(),
            Node::Any(_) => self.any().map(Some),
            Node::Union(union) => self.union(union),
        }
    }

    fn object(&mut self, object: &'s Object, schema: &'s Schema) -> Outcome {
        if self.reader.peek() != b'{' {
            return self.wrong_type(schema);
        }
        self.enter()?;
        let lenient = std::mem::replace(&mut self.lenient, object.custom);
        let owner = schema.go_type.rsplit_once('.').map_or(&*schema.go_type, |(_, name)| name);
        let mut seen: SmallVec<[u64; 2]> = SmallVec::from_elem(0, object.fields.len().div_ceil(64));
        let mut members = JsonMap::new();
        let mut expected = 0;
        let mut first = true;
        while self.reader.next_in(b'}', first)? {
            first = false;
            let key = self.reader.key()?;
            // Clients mostly send fields in order: try the next one before searching.
            let found = match object.fields.get(expected) {
                Some(field) if *field.name == *key => Some(expected),
                _ => object.position(&key),
            };
            let Some(position) = found else {
                if object.preserve_unknown_fields {
                    let value = self.any()?;
                    members.insert(key.into_owned(), value);
                } else {
                    self.strict_error("unknown", &key);
                    self.reader.skip(self.depth)?;
                }
                continue;
            };
            expected = position + 1;
            let field = &object.fields[position];
            let bit = 1 << (position % 64);
            let repeated = seen[position / 64] & bit != 0;
            seen[position / 64] |= bit;
            if repeated {
                self.strict_error("duplicate", &field.name);
            }
            self.path.push(Step::Field(&field.name, owner));
            let value = self.value(field.schema())?;
            self.path.pop();
            let value = if field.keeps_null { value.or(Some(Value::Null)) } else { value };
            put(&mut members, field, value, repeated);
        }
        self.lenient = lenient;
        self.depth -= 1;
        Ok(Some(Value::Object(members)))
    }

    fn list(&mut self, items: &'s TypeRef, absent: impl Fn(&Schema) -> Value, schema: &'s Schema) -> Outcome {
        if self.reader.peek() != b'[' {
            return self.wrong_type(schema);
        }
        self.enter()?;
        let items = items.resolve();
        let mut values = Vec::new();
        while self.reader.next_in(b']', values.is_empty())? {
            self.path.push(Step::Index(values.len()));
            let value = self.value(items)?;
            self.path.pop();
            values.push(value.unwrap_or_else(|| absent(items)));
        }
        self.depth -= 1;
        Ok(Some(Value::Array(values)))
    }

    fn map(&mut self, values: &'s TypeRef, absent: impl Fn(&Schema) -> Value, schema: &'s Schema) -> Outcome {
        if self.reader.peek() != b'{' {
            return self.wrong_type(schema);
        }
        self.enter()?;
        let values = values.resolve();
        let mut members = JsonMap::new();
        let mut first = true;
        while self.reader.next_in(b'}', first)? {
            first = false;
            let key = self.reader.key()?;
            if members.contains_key(&*key) {
                self.strict_error("duplicate", &key);
            }
            self.path.push(Step::Key(key));
            let value = self.value(values)?.unwrap_or_else(|| absent(values));
            if let Some(Step::Key(key)) = self.path.pop() {
                members.insert(key.into_owned(), value);
            }
        }
        self.depth -= 1;
        Ok(Some(Value::Object(members)))
    }

    fn scalar(&mut self, kind: ScalarKind, schema: &'s Schema) -> Outcome {
        let first = self.reader.peek();
        match kind {
            ScalarKind::String if first == b'"' => Ok(Some(Value::String(self.reader.string()?.into_owned()))),
            ScalarKind::Bool if first == b't' => {
                self.reader.literal("true")?;
                Ok(Some(Value::Bool(true)))
            }
            ScalarKind::Bool if first == b'f' => {
                self.reader.literal("false")?;
                Ok(Some(Value::Bool(false)))
            }
            ScalarKind::Int32 | ScalarKind::Int64 | ScalarKind::Float64 if first == b'-' || first.is_ascii_digit() => {
                self.number(kind, schema)
            }
            ScalarKind::Bytes if first == b'"' => match scalar::base64(self.reader.string()?) {
                Ok(text) => Ok(Some(Value::String(text))),
                Err(message) => {
                    self.type_error.get_or_insert(message);
                    Ok(None)
                }
            },
            ScalarKind::Time | ScalarKind::MicroTime => {
                if first != b'"' {
                    return self.wrong_type_within("string");
                }
                let text = self.reader.string()?;
                let parsed = if kind == ScalarKind::Time { scalar::time(text) } else { scalar::micro_time(text) };
                Ok(parsed.map_err(Stop::Type)?.map(Value::String))
            }
            ScalarKind::Quantity => {
                let start = self.reader.position();
                self.reader.skip(self.depth)?;
                let quantity = scalar::quantity(self.reader.since(start)).map_err(Stop::Type)?;
                Ok(Some(Value::String(quantity)))
            }
            _ => self.wrong_type(schema),
        }
    }

    fn number(&mut self, kind: ScalarKind, schema: &'s Schema) -> Outcome {
        let text = self.reader.number()?;
        if self.lenient {
            return Ok(Some(Value::Number(free_number(text)?)));
        }
        let number = match kind {
            ScalarKind::Int32 => text.parse::<i32>().ok().map(Number::from),
            ScalarKind::Int64 => text.parse::<i64>().ok().map(Number::from),
            _ => text.parse::<f64>().ok().and_then(whole_or_float),
        };
        if number.is_none() {
            self.mismatch(&format!("number {text}"), &schema.go_type);
        }
        Ok(number.map(Value::Number))
    }

    fn int_or_string(&mut self) -> Outcome {
        match self.reader.peek() {
            b'"' => Ok(Some(Value::String(self.reader.string()?.into_owned()))),
            b'-' | b'0'..=b'9' => {
                let text = self.reader.number()?;
                let number: i32 = text.parse().map_err(|_| {
                    Stop::Type(format!("json: cannot unmarshal number {text} into Go value of type int32"))
                })?;
                Ok(Some(Value::Number(number.into())))
            }
            _ => self.wrong_type_within("int32"),
        }
    }

    fn union(&mut self, union: &'s Union) -> Outcome {
        let alternative = match self.reader.peek() {
            b'{' => union.object.resolve(),
            b'[' if union.list.is_some() => match &union.list {
                Some(list) => list.resolve(),
                None => return Err(Stop::NotJson),
            },
            b't' if union.bool => {
                self.reader.literal("true")?;
                return Ok(Some(Value::Bool(true)));
            }
            b'f' if union.bool => {
                self.reader.literal("false")?;
                return Ok(Some(Value::Bool(false)));
            }
            _ => {
                self.reader.skip(self.depth)?;
                return if union.bool {
                    Err(Stop::Type("boolean or JSON schema expected".to_owned()))
                } else {
                    Ok(None)
                };
            }
        };
        // Go hands the text to a decoder of its own here: the path starts anew and nothing is strict.
        let outer_path = std::mem::take(&mut self.path);
        let outer_error = self.type_error.take();
        let outer_strict = std::mem::replace(&mut self.record_strict, false);
        let value = self.value(alternative)?;
        self.record_strict = outer_strict;
        self.path = outer_path;
        if let Some(message) = std::mem::replace(&mut self.type_error, outer_error) {
            return Err(Stop::Type(message));
        }
        Ok(value)
    }

    /// A value that is kept as it is.
    fn any(&mut self) -> Result<Value, Stop> {
        Ok(match self.reader.peek() {
            b'"' => Value::String(self.reader.string()?.into_owned()),
            b't' => {
                self.reader.literal("true")?;
                Value::Bool(true)
            }
            b'f' => {
                self.reader.literal("false")?;
                Value::Bool(false)
            }
            b'n' => {
                self.reader.literal("null")?;
                Value::Null
            }
            b'-' | b'0'..=b'9' => Value::Number(free_number(self.reader.number()?)?),
            b'[' => {
                self.enter()?;
                let mut items = Vec::new();
                while self.reader.next_in(b']', items.is_empty())? {
                    items.push(self.any()?);
                }
                self.depth -= 1;
                Value::Array(items)
            }
            b'{' => {
                self.enter()?;
                let mut members = JsonMap::new();
                let mut first = true;
                while self.reader.next_in(b'}', first)? {
                    first = false;
                    let key = self.reader.key()?.into_owned();
                    let value = self.any()?;
                    members.insert(key, value);
                }
                self.depth -= 1;
                Value::Object(members)
            }
            _ => return Err(Stop::NotJson),
        })
    }

    fn enter(&mut self) -> Result<(), Stop> {
        if self.depth == KEPT_DEPTH_MAX {
            return Err(Stop::TooDeep);
        }
        self.depth += 1;
        self.reader.advance();
        Ok(())
    }

    /// Passes a value of a wrong type and notes it; in a custom resource, keeps it.
    fn wrong_type(&mut self, schema: &Schema) -> Outcome {
        if self.lenient {
            return self.any().map(Some);
        }
        let shape = shape_name(self.reader.peek()).ok_or(Stop::NotJson)?;
        self.reader.skip(self.depth)?;
        self.mismatch(shape, &schema.go_type);
        Ok(None)
    }

    /// A value of a wrong type inside a type that decodes itself: the message has no path.
    fn wrong_type_within(&mut self, go_type: &str) -> Outcome {
        let shape = shape_name(self.reader.peek()).ok_or(Stop::NotJson)?;
        self.reader.skip(self.depth)?;
        Err(Stop::Type(format!("json: cannot unmarshal {shape} into Go value of type {go_type}")))
    }

    #[cold]
    fn mismatch(&mut self, shape: &str, go_type: &str) {
        if self.type_error.is_some() {
            return;
        }
        let named = self.path.iter().filter_map(|step| match step {
            Step::Field(name, _) => Some(*name),
            _ => None,
        });
        let owner = self.path.iter().rev().find_map(|step| match step {
            Step::Field(_, owner) => Some(*owner),
            _ => None,
        });
        self.type_error = Some(match owner {
            Some(owner) => {
                let path = named.collect::<Vec<&str>>().join(".");
                format!("json: cannot unmarshal {shape} into Go struct field {owner}.{path} of type {go_type}")
            }
            None => format!("json: cannot unmarshal {shape} into Go value of type {go_type}"),
        });
    }

    #[cold]
    fn strict_error(&mut self, what: &str, key: &str) {
        if !self.record_strict || self.strict_errors.len() >= STRICT_ERRORS_MAX {
            return;
        }
        let mut path = String::new();
        let name = |path: &mut String, name: &str| {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
        };
        for step in &self.path {
            match step {
                Step::Field(field, _) => name(&mut path, field),
                Step::Key(key) => name(&mut path, key),
                // Writing to a String cannot fail.
                Step::Index(index) => drop(write!(path, "[{index}]")),
            }
        }
        name(&mut path, key);
        let error = format!("{what} field \"{path}\"");
        if !self.strict_errors.contains(&error) {
            self.strict_errors.push(error);
        }
    }
}

/// A number in a value without a type: an integer if it fits, else a float.
fn free_number(text: &str) -> Result<Number, NotJson> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Ok(number.into());
    }
    text.parse().ok().and_then(Number::from_f64).ok_or(NotJson)
}

/// A float that is a whole number is kept as an integer: Go prints both alike.
fn whole_or_float(value: f64) -> Option<Number> {
    /// All integers up to here are exact in a float.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}
