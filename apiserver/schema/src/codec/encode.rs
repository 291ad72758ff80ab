//! The typed encoder: fields in the order of the Go type, and for unset ones what Go prints.

use serde_json::{Map as JsonMap, Value};
use smallvec::SmallVec;

use super::print::{print, print_string};
use super::unset::is_unset;
use crate::model::{AnyKind, Field, Node, Object, Omit, ScalarKind, Schema};

/// Appends compact JSON, fields in the order of the Go type, unset fields as Go prints them.
///
/// Fields that the type does not know are left out.
pub fn encode(value: &Value, schema: &Schema, out: &mut Vec<u8>) {
    Encoder { out, version: None }.value(value, schema);
}

/// As [`encode`], without `metadata.resourceVersion`; returns the offset (from where the object starts in `out`) at
/// which the text `"resourceVersion":"<mod revision>",` belongs.
pub fn encode_stored(value: &Value, schema: &Schema, out: &mut Vec<u8>) -> u32 {
    let start = out.len();
    let mut encoder = Encoder { out, version: Some(start) };
    match (value, &schema.node) {
        (Value::Object(members), Node::Object(object)) => encoder.object(members, object, Place::Root),
        _ => encoder.value(value, schema),
    }
    let at = encoder.version.unwrap_or(start);
    u32::try_from(at - start).unwrap_or(u32::MAX)
}

/// Which object is being written: `metadata` at the root is where the resource version goes.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    RootMetadata,
    Elsewhere,
}

struct Encoder<'o> {
    out: &'o mut Vec<u8>,
    /// Where the resource version belongs, when it is to be left out.
    version: Option<usize>,
}

impl Encoder<'_> {
    fn value(&mut self, value: &Value, schema: &Schema) {
        match (&schema.node, value) {
            (Node::Object(object), Value::Object(members)) => self.object(members, object, Place::Elsewhere),
            (Node::List(list), Value::Array(items)) => {
                let schema = list.items.resolve();
                self.out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        self.out.push(b',');
                    }
                    self.value(item, schema);
                }
                self.out.push(b']');
            }
            (Node::Map(map), Value::Object(members)) => {
                let schema = map.values.resolve();
                self.out.push(b'{');
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        self.out.push(b',');
                    }
                    print_string(key, self.out);
                    self.out.push(b':');
                    self.value(value, schema);
                }
                self.out.push(b'}');
            }
            (Node::Union(union), Value::Object(_)) => self.value(value, union.object.resolve()),
            (Node::Union(union), Value::Array(_)) => match &union.list {
                Some(list) => self.value(value, list.resolve()),
                None => print(value, self.out),
            },
            (Node::Scalar(_), Value::String(text)) => print_string(text, self.out),
            (Node::Any(AnyKind::FieldsV1), Value::Object(fields)) => crate::fields::print_fields(fields, self.out),
            _ => print(value, self.out),
        }
    }

    fn object(&mut self, members: &JsonMap<String, Value>, object: &Object, place: Place) {
        if object.custom {
            return self.custom(members, object, place);
        }
        let values = by_position(members, object);
        let open = self.out.len();
        self.out.push(b'{');
        let mut separate = false;
        for (field, &value) in object.fields.iter().zip(&values) {
            if place == Place::RootMetadata && self.version.is_some() && field.name == "resourceVersion" {
                if separate {
                    self.out.push(b',');
                }
                self.version = Some(self.out.len());
                separate = false;
                continue;
            }
            let value = value.filter(|value| !is_unset(field, value) || kept_empty(field, value));
            if value.is_none() && left_out(field) {
                continue;
            }
            if separate {
                self.out.push(b',');
            }
            separate = true;
            self.out.push(b'"');
            self.out.extend_from_slice(field.name.as_bytes());
            self.out.extend_from_slice(b"\":");
            match (value, &field.schema().node) {
                (Some(Value::Object(metadata)), Node::Object(object))
                    if place == Place::Root && field.name == "metadata" =>
                {
                    self.object(metadata, object, Place::RootMetadata);
                }
                (None, Node::Object(object)) if place == Place::Root && field.name == "metadata" => {
                    self.object(&JsonMap::new(), object, Place::RootMetadata);
                }
                (Some(value), _) => self.value(value, field.schema()),
                (None, _) => self.unset(field),
            }
        }
        if place == Place::RootMetadata && self.version.is_some() && !separate {
            self.close_after_version(open);
        }
        self.out.push(b'}');
    }

    /// A custom resource, or a part of one: everything in the order of its name, metadata too.
    fn custom(&mut self, members: &JsonMap<String, Value>, object: &Object, place: Place) {
        self.out.push(b'{');
        let known = |key: &str| object.preserve_unknown_fields || object.position(key).is_some();
        for (at, (key, value)) in members.iter().filter(|(key, _)| known(key)).enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            print_string(key, self.out);
            self.out.push(b':');
            match value {
                Value::Object(metadata) if place == Place::Root && key == "metadata" && self.version.is_some() => {
                    self.custom_metadata(metadata);
                }
                _ => print(value, self.out),
            }
        }
        self.out.push(b'}');
    }

    fn custom_metadata(&mut self, members: &JsonMap<String, Value>) {
        let open = self.out.len();
        self.out.push(b'{');
        let (mut separate, mut placed) = (false, false);
        for (key, value) in members {
            if separate {
                self.out.push(b',');
            }
            separate = true;
            if !placed && key.as_str() >= "resourceVersion" {
                placed = true;
                self.version = Some(self.out.len());
            }
            if key == "resourceVersion" {
                separate = false;
                continue;
            }
            print_string(key, self.out);
            self.out.push(b':');
            print(value, self.out);
        }
        if !separate {
            self.close_after_version(open);
        } else if !placed {
            self.version = Some(open + 1);
        }
        self.out.push(b'}');
    }

    /// Nothing follows the resource version, whose text ends with a comma: puts it before the first field instead.
    fn close_after_version(&mut self, open: usize) {
        if self.out.last() == Some(&b',') {
            self.out.pop();
        } else {
            // Metadata without any field never reaches the store; keep the text valid all the same.
            self.out.extend_from_slice(b"\"creationTimestamp\":null");
        }
        self.version = Some(open + 1);
    }

    /// A field that is printed although it is unset.
    fn unset(&mut self, field: &Field) {
        let text: &[u8] = match &field.schema().node {
            _ if field.pointer => b"null",
            Node::Object(object) => return self.object(&JsonMap::new(), object, Place::Elsewhere),
            Node::Scalar(ScalarKind::String) => b"\"\"",
            Node::Scalar(ScalarKind::Bool) => b"false",
            Node::Scalar(ScalarKind::Int32 | ScalarKind::Int64 | ScalarKind::Float64) | Node::IntOrString => b"0",
            Node::Scalar(ScalarKind::Quantity) => b"\"0\"",
            _ => b"null",
        };
        self.out.extend_from_slice(text);
    }
}

/// An explicit `[]` or `{}` that the server itself put into a field that is always printed.
fn kept_empty(field: &Field, value: &Value) -> bool {
    field.omit == Omit::Never && matches!(value, Value::Array(_) | Value::Object(_))
}

/// Whether Go leaves the field out when it is unset: `omitempty` does nothing for a struct.
pub(crate) fn left_out(field: &Field) -> bool {
    match field.omit {
        Omit::Never => false,
        Omit::Zero => true,
        Omit::Empty => {
            field.pointer
                || !matches!(
                    field.schema().node,
                    Node::Object(_)
                        | Node::IntOrString
                        | Node::Any(_)
                        | Node::Union(_)
                        | Node::Scalar(ScalarKind::Time | ScalarKind::MicroTime | ScalarKind::Quantity)
                )
        }
    }
}

/// The members that are fields, by the position of the field. Both sides are sorted by name: one pass.
fn by_position<'v>(members: &'v JsonMap<String, Value>, object: &Object) -> SmallVec<[Option<&'v Value>; 64]> {
    let mut values = SmallVec::from_elem(None, object.fields.len());
    let mut fields = object.by_name.iter().map(|&at| usize::from(at)).peekable();
    for (key, value) in members {
        while let Some(&at) = fields.peek() {
            match (*object.fields[at].name).cmp(key.as_str()) {
                std::cmp::Ordering::Less => {
                    fields.next();
                }
                std::cmp::Ordering::Equal => {
                    values[at] = Some(value);
                    fields.next();
                    break;
                }
                std::cmp::Ordering::Greater => break,
            }
        }
    }
    values
}
