//! How fields of a type are owned: one by one, item by item, or all at once.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::element;
use crate::codec;
use crate::model::{AnyKind, Field, List, ListType, MapType, Node, Object, ScalarKind, Schema};

/// A type where it is used: a field can say that its struct or map is owned as a whole.
#[derive(Clone, Copy)]
pub(super) struct Typed<'s> {
    pub schema: &'s Schema,
    pub atomic: bool,
}

/// What an owner can own of a value.
#[derive(Clone, Copy)]
pub(super) enum Relation<'s> {
    /// The whole value only: scalars, atomic lists, maps and structs.
    Leaf,
    /// Field by field.
    Struct(&'s Object),
    /// Entry by entry.
    Map(&'s Schema),
    /// Each scalar of a list.
    Set,
    /// Each item of a list by its key fields.
    Keyed(&'s List),
    /// No type says it: maps entry by entry, all else as a whole.
    Deduced,
}

impl<'s> Typed<'s> {
    pub fn of(schema: &'s Schema) -> Self {
        let atomic = match schema.node() {
            Node::Object(object) => object.map_type() == MapType::Atomic,
            Node::Map(map) => map.map_type() == MapType::Atomic,
            Node::List(list) => list.list_type() == ListType::Atomic,
            _ => false,
        };
        Typed { schema, atomic }
    }

    pub fn of_field(field: &'s Field) -> Self {
        let schema: &'s Schema = field.schema();
        let atomic = match schema.node() {
            Node::Object(_) | Node::Map(_) => field.map_type() == MapType::Atomic,
            _ => Typed::of(schema).atomic,
        };
        Typed { schema, atomic }
    }

    pub fn relation(&self) -> Relation<'s> {
        match self.schema.node() {
            _ if self.atomic => Relation::Leaf,
            Node::Object(object) => Relation::Struct(object),
            Node::Map(map) => Relation::Map(map.values()),
            Node::List(list) => match list.list_type() {
                ListType::Atomic => Relation::Leaf,
                ListType::Set => Relation::Set,
                ListType::Map => Relation::Keyed(list),
            },
            Node::Any(AnyKind::Json | AnyKind::FieldsV1) | Node::Union(_) => Relation::Deduced,
            // What an object of another kind is, is no business of this one.
            Node::Any(AnyKind::RawExtension) | Node::Scalar(_) | Node::IntOrString => Relation::Leaf,
        }
    }
}

/// The type of a value that no schema describes.
pub(super) fn deduced() -> Typed<'static> {
    static ANY: LazyLock<Schema> = LazyLock::new(|| Schema {
        node: Node::Any(AnyKind::Json),
        go_type: "interface {}".into(),
        enum_values: Box::default(),
    });
    Typed { schema: &ANY, atomic: false }
}

/// The type of a struct's member; deduced where the struct does not declare it.
pub(super) fn member<'s>(object: &'s Object, name: &str) -> Typed<'s> {
    match object.field(name) {
        Some(field) => Typed::of_field(field),
        None => deduced(),
    }
}

/// What a field holds that is absent but always printed by Go.
pub(super) fn zero(field: &Field) -> &'static Value {
    static NULL: Value = Value::Null;
    static FALSE: Value = Value::Bool(false);
    static TEXT: Value = Value::String(String::new());
    static NUMBER: LazyLock<Value> = LazyLock::new(|| Value::Number(0.into()));
    static QUANTITY: LazyLock<Value> = LazyLock::new(|| Value::String("0".to_owned()));
    static STRUCT: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));
    match field.schema().node() {
        _ if field.pointer() => &NULL,
        Node::Object(_) => &STRUCT,
        Node::Scalar(ScalarKind::String) => &TEXT,
        Node::Scalar(ScalarKind::Bool) => &FALSE,
        Node::Scalar(ScalarKind::Int32 | ScalarKind::Int64 | ScalarKind::Float64) | Node::IntOrString => &NUMBER,
        Node::Scalar(ScalarKind::Quantity) => &QUANTITY,
        _ => &NULL,
    }
}

/// The fields that Go prints although they are unset.
pub(super) fn always_printed(object: &Object) -> impl Iterator<Item = &Field> {
    object.fields().iter().filter(|field| !codec::left_out(field))
}

/// A struct's member as Go would print it: the value, or the zero of a field that is always printed.
pub(super) fn printed<'v>(object: &Object, members: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    if let Some(value) = members.get(name) {
        return Some(value);
    }
    let field = object.field(name).filter(|field| !codec::left_out(field))?;
    Some(zero(field))
}

/// Why an item of a set or keyed list has no path element, in the real server's words.
pub(super) type NoElement = String;

/// The serialised path element of an item of a list.
pub(super) fn item_key(relation: Relation<'_>, item: &Value) -> Result<String, NoElement> {
    match (relation, item) {
        (Relation::Set, Value::Object(_)) => {
            Err("associative list without keys has an element that's a map type".into())
        }
        (Relation::Set, Value::Array(_)) => Err("not supported: associative list with lists as elements".into()),
        (Relation::Set, Value::Null) => {
            Err("associative list without keys has an element that's an explicit null".into())
        }
        (Relation::Set, item) => Ok(element::value_key(item)),
        (Relation::Keyed(_), Value::Null) => Err("associative list with keys may not have a null element".into()),
        (Relation::Keyed(list), Value::Object(members)) => keyed_item(list, members),
        (Relation::Keyed(_), _) => Err("associative list with keys may not have non-map elements".into()),
        _ => Err("invalid indexing of non-associative list".into()),
    }
}

fn keyed_item(list: &List, members: &Map<String, Value>) -> Result<String, NoElement> {
    let mut fields: smallvec::SmallVec<[(&str, &Value); 4]> = smallvec::SmallVec::new();
    for name in list.map_keys() {
        fields.push((name, key_value(list, members, name)?));
    }
    fields.sort_by_key(|(name, _)| *name);
    Ok(element::keyed(fields.into_iter()))
}

/// The value of a key field: given, defaulted, or what is always printed.
fn key_value<'v>(list: &'v List, members: &'v Map<String, Value>, name: &str) -> Result<&'v Value, NoElement> {
    if let Some(value) = members.get(name) {
        return Ok(value);
    }
    let field = list.items().field(name);
    if let Some(default) = field.and_then(Field::default) {
        return Ok(default);
    }
    // A field without a pointer and without omitempty has its zero for a default in the published schema.
    if let Some(field) = field.filter(|field| !codec::left_out(field) && !field.pointer())
        && !zero(field).is_null()
    {
        return Ok(zero(field));
    }
    Err(format!(
        "associative list with keys has an element that omits key field {name:?} (and doesn't have default value)"
    ))
}

/// Where in an object the rules are: the identity of an object and what the server keeps in its metadata have no
/// owners.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    Root,
    Metadata,
    Elsewhere,
}

/// Metadata that is never owned.
const UNOWNED_METADATA: [&str; 9] = [
    "clusterName",
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

impl Place {
    /// Whether a field can have an owner.
    pub fn owns(self, name: &str) -> bool {
        match self {
            Place::Root => !matches!(name, "apiVersion" | "kind"),
            Place::Metadata => !UNOWNED_METADATA.contains(&name),
            Place::Elsewhere => true,
        }
    }

    /// Where a field of the struct at this place is.
    pub fn below(self, name: &str) -> Place {
        if self == Place::Root && name == "metadata" { Place::Metadata } else { Place::Elsewhere }
    }
}
