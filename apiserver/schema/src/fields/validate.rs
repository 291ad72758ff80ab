//! Whether a configuration fits its type, in the words of the real server's typed values.

use std::collections::HashSet;

use serde_json::Value;

use super::element::Element;
use super::relation::{Relation, Typed, deduced, item_key, member};
use crate::model::{AnyKind, Node, ScalarKind, Schema};
use crate::patch::gofmt;

/// Checks a configuration that is to be applied: known fields, JSON types, no item of a keyed list or set twice.
///
/// # Errors
/// The text that follows "failed to create typed patch object (…): ".
pub fn validate(schema: &Schema, value: &Value) -> Result<(), String> {
    let mut check = Check { path: String::new(), errors: Vec::new(), duplicates: false };
    check.value(Typed::of(schema), value, false);
    match check.errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

/// As [`validate`], for an object as it is: duplicate items are no error.
pub(super) fn fits(schema: &Schema, value: &Value) -> bool {
    let mut check = Check { path: String::new(), errors: Vec::new(), duplicates: true };
    check.value(Typed::of(schema), value, false);
    check.errors.is_empty()
}

struct Check {
    path: String,
    errors: Vec<String>,
    /// Duplicate items are allowed.
    duplicates: bool,
}

impl Check {
    fn error(&mut self, message: impl std::fmt::Display) {
        let text = if self.path.is_empty() { message.to_string() } else { format!("{}: {message}", self.path) };
        self.errors.push(text);
    }

    fn below(&mut self, step: impl std::fmt::Display, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(&step.to_string());
        check(self);
        self.path.truncate(length);
    }

    /// `preserve`: a schema above says that unknown fields are kept.
    fn value(&mut self, typed: Typed<'_>, value: &Value, preserve: bool) {
        if value.is_null() {
            return;
        }
        match typed.schema.node() {
            Node::Object(object) => {
                let Value::Object(members) = value else { return self.expected("map", value) };
                let preserve = preserve || object.preserve_unknown_fields();
                for (name, value) in members {
                    let known = object.field(name).is_some();
                    self.below(Element::Field(name), |check| {
                        if known || preserve {
                            check.value(member(object, name), value, preserve);
                        } else {
                            check.error("field not declared in schema");
                        }
                    });
                    if !known && !preserve {
                        // The real server, too, complains of one unknown field only.
                        break;
                    }
                }
            }
            Node::Map(map) => {
                let Value::Object(members) = value else { return self.expected("map", value) };
                for (name, value) in members {
                    self.below(Element::Field(name), |check| check.value(Typed::of(map.values()), value, preserve));
                }
            }
            Node::List(list) => {
                let Value::Array(items) = value else { return self.expected("list", value) };
                self.items(typed, Typed::of(list.items()), items, preserve);
            }
            Node::Scalar(kind) => self.scalar(*kind, value),
            Node::IntOrString => self.any_scalar(value),
            Node::Any(AnyKind::FieldsV1) if !value.is_object() => self.expected("map", value),
            Node::Any(_) | Node::Union(_) => {}
        }
    }

    fn items(&mut self, typed: Typed<'_>, item_type: Typed<'_>, items: &[Value], preserve: bool) {
        let relation = typed.relation();
        let mut seen = HashSet::new();
        for (at, item) in items.iter().enumerate() {
            if matches!(relation, Relation::Leaf) {
                let index = i64::try_from(at).unwrap_or(i64::MAX);
                self.below(Element::Index(index), |check| check.value(item_type, item, preserve));
                continue;
            }
            let key = match item_key(relation, item) {
                Ok(key) => key,
                // Without its key, nothing can be said about an item.
                Err(why) => return self.error(format!("element {at}: {why}")),
            };
            let shown = Element::parse(&key).ok().flatten().map(|element| element.to_string()).unwrap_or_default();
            if !self.duplicates && seen.contains(&key) {
                self.error(format!("duplicate entries for key {shown}"));
            }
            seen.insert(key);
            let item_type = if matches!(relation, Relation::Keyed(_)) { item_type } else { deduced() };
            self.below(shown, |check| check.value(item_type, item, preserve));
        }
    }

    fn expected(&mut self, what: &str, value: &Value) {
        self.error(format!("expected {what}, got &{{{}}}", gofmt::value(value)));
    }

    fn scalar(&mut self, kind: ScalarKind, value: &Value) {
        match kind {
            ScalarKind::Int32 | ScalarKind::Int64 | ScalarKind::Float64 if !value.is_number() => {
                self.error(format!("expected numeric (int or float), got {}", gofmt::type_name(value)));
            }
            ScalarKind::String | ScalarKind::Bytes if !value.is_string() => {
                let shown = go_syntax(value);
                self.error(format!("expected string, got &value.valueUnstructured{{Value:{shown}}}"));
            }
            ScalarKind::Bool if !value.is_boolean() => self.expected("boolean", value),
            ScalarKind::Time | ScalarKind::MicroTime | ScalarKind::Quantity => self.any_scalar(value),
            _ => {}
        }
    }

    fn any_scalar(&mut self, value: &Value) {
        if value.is_object() || value.is_array() {
            self.expected("any scalar", value);
        }
    }
}

/// A decoded value as Go's `%#v` prints it.
fn go_syntax(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => gofmt::quote(text),
        Value::Array(items) => format!("[]interface {{}}{{{}}}", list(items.iter().map(go_syntax).collect())),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{}:{}", gofmt::quote(name), go_syntax(value)));
            format!("map[string]interface {{}}{{{}}}", list(members.collect()))
        }
        other => gofmt::value(other),
    }
}
