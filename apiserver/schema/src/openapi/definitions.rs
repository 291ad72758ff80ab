//! Types as JSON schemas: from the catalog for built-in ones, from its own schema for a custom resource.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map as JsonMap, Value, json};

use super::Dialect;
use super::descriptions::Descriptions;
use crate::catalog::catalog;
use crate::model::{AnyKind, Field, List, MapType, Node, Object, Omit, ScalarKind, Schema};

pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const APIEXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";

/// Collects the definitions that a document refers to.
pub(super) struct Definitions<'d> {
    dialect: Dialect,
    descriptions: &'d Descriptions,
    done: BTreeMap<String, Value>,
    wanted: BTreeSet<String>,
}

impl<'d> Definitions<'d> {
    pub(super) fn new(dialect: Dialect, descriptions: &'d Descriptions) -> Self {
        Definitions { dialect, descriptions, done: BTreeMap::new(), wanted: BTreeSet::new() }
    }

    /// A reference to `name`, which will be defined.
    pub(super) fn reference(&mut self, name: &str) -> Value {
        if !self.done.contains_key(name) {
            self.wanted.insert(name.to_owned());
        }
        json!({"$ref": format!("{}{name}", self.dialect.definitions_prefix())})
    }

    /// Defines `name` from outside the catalog.
    pub(super) fn define(&mut self, name: String, schema: Value) {
        self.wanted.remove(&name);
        self.done.insert(name, schema);
    }

    /// Everything that was referred to, by name.
    pub(super) fn finish(mut self) -> BTreeMap<String, Value> {
        while let Some(name) = self.wanted.pop_first() {
            let schema = match catalog().definition(&name) {
                Some(found) => found.as_object().map(|object| self.object(object)),
                None => None,
            };
            let schema = schema.unwrap_or_else(|| self.leaf(&name));
            self.done.insert(name, schema);
        }
        self.done
    }

    fn object(&mut self, object: &Object) -> Value {
        let name = object.name();
        let mut schema = JsonMap::new();
        if let Some(text) = self.descriptions.definition(name) {
            schema.insert("description".into(), text.into());
        } else if let Some(kind) = object.kinds().first()
            && let Some(item) = kind.kind.strip_suffix("List")
        {
            schema.insert("description".into(), format!("{} is a list of {item}.", kind.kind).into());
        }
        let mut properties = JsonMap::new();
        let mut required = Vec::new();
        for field in object.fields() {
            properties.insert(field.name().to_owned(), self.field(name, field));
            if field.required() {
                required.push(Value::from(field.name()));
            }
        }
        schema.insert("type".into(), "object".into());
        if !properties.is_empty() {
            schema.insert("properties".into(), properties.into());
        }
        if !required.is_empty() {
            schema.insert("required".into(), required.into());
        }
        let kinds: Vec<Value> = (object.kinds().iter())
            .map(|served| json!({"group": served.group, "kind": served.kind, "version": served.version}))
            .collect();
        if !kinds.is_empty() {
            schema.insert("x-kubernetes-group-version-kind".into(), kinds.into());
        }
        if object.map_type() == MapType::Atomic {
            schema.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
        schema.into()
    }

    fn field(&mut self, definition: &str, field: &Field) -> Value {
        let mut schema = self.schema(field.schema());
        let mut facts = JsonMap::new();
        if let Some(text) = self.descriptions.field(definition, field.name()) {
            facts.insert("description".into(), text.into());
        }
        if self.dialect == Dialect::V3
            && let Some(default) = default(field)
        {
            facts.insert("default".into(), default);
        }
        let strategy = field.patch_strategy().words();
        if !strategy.is_empty() {
            facts.insert("x-kubernetes-patch-strategy".into(), strategy.into());
        }
        if let Some(key) = field.patch_merge_key() {
            facts.insert("x-kubernetes-patch-merge-key".into(), key.into());
        }
        if let Some(map_type) = field.map_type {
            facts.insert("x-kubernetes-map-type".into(), map_type.as_str().into());
        }
        // In version 3 nothing may stand beside a reference.
        if self.dialect == Dialect::V3 && schema.contains_key("$ref") && !facts.is_empty() {
            facts.insert("allOf".into(), json!([schema]));
            return facts.into();
        }
        schema.append(&mut facts);
        schema.into()
    }

    fn schema(&mut self, schema: &Schema) -> JsonMap<String, Value> {
        let mut out = JsonMap::new();
        let mut plain = |kind: &str, format: &str| {
            out.insert("type".into(), kind.into());
            if !format.is_empty() {
                out.insert("format".into(), format.into());
            }
        };
        match schema.node() {
            Node::Scalar(ScalarKind::String) => plain("string", ""),
            Node::Scalar(ScalarKind::Bool) => plain("boolean", ""),
            Node::Scalar(ScalarKind::Int32) => plain("integer", "int32"),
            Node::Scalar(ScalarKind::Int64) => plain("integer", "int64"),
            Node::Scalar(ScalarKind::Float64) => plain("number", "double"),
            Node::Scalar(ScalarKind::Bytes) => plain("string", "byte"),
            Node::List(list) => {
                plain("array", "");
                self.list(list, &mut out);
            }
            Node::Map(map) => {
                plain("object", "");
                out.insert("additionalProperties".into(), self.schema(map.values()).into());
            }
            Node::Object(object) => return self.reference_map(object.name()),
            Node::Scalar(ScalarKind::Time) => return self.reference_map(&format!("{META}Time")),
            Node::Scalar(ScalarKind::MicroTime) => return self.reference_map(&format!("{META}MicroTime")),
            Node::Scalar(ScalarKind::Quantity) => {
                return self.reference_map("io.k8s.apimachinery.pkg.api.resource.Quantity");
            }
            Node::IntOrString => return self.reference_map("io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
            Node::Any(AnyKind::RawExtension) => {
                return self.reference_map("io.k8s.apimachinery.pkg.runtime.RawExtension");
            }
            Node::Any(AnyKind::FieldsV1) => return self.reference_map(&format!("{META}FieldsV1")),
            Node::Any(AnyKind::Json) => return self.reference_map(&format!("{APIEXTENSIONS}JSON")),
            Node::Union(_) => {
                let name = schema.go_type().rsplit('.').next().unwrap_or_default();
                return self.reference_map(&format!("{APIEXTENSIONS}{name}"));
            }
        }
        if self.dialect == Dialect::V3 && !schema.enum_values().is_empty() {
            out.insert("enum".into(), schema.enum_values().iter().map(|value| Value::from(&**value)).collect());
        }
        out
    }

    fn list(&mut self, list: &List, out: &mut JsonMap<String, Value>) {
        out.insert("items".into(), self.schema(list.items()).into());
        if let Some(list_type) = list.list_type {
            out.insert("x-kubernetes-list-type".into(), list_type.as_str().into());
        }
        if !list.map_keys().is_empty() {
            let keys = list.map_keys().iter().map(|key| Value::from(&**key)).collect();
            out.insert("x-kubernetes-list-map-keys".into(), keys);
        }
    }

    fn reference_map(&mut self, name: &str) -> JsonMap<String, Value> {
        match self.reference(name) {
            Value::Object(reference) => reference,
            _ => JsonMap::new(),
        }
    }

    /// The types that are not structs and still have a definition.
    fn leaf(&self, name: &str) -> Value {
        let v3 = self.dialect == Dialect::V3;
        let mut schema = match name.rsplit('.').next().unwrap_or_default() {
            "Time" | "MicroTime" => json!({"type": "string", "format": "date-time"}),
            "Quantity" if v3 => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            "Quantity" => json!({"type": "string"}),
            "IntOrString" if v3 => {
                json!({"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"})
            }
            "IntOrString" => json!({"type": "string", "format": "int-or-string"}),
            "RawExtension" | "FieldsV1" | "Patch" => json!({"type": "object"}),
            _ => json!({}),
        };
        let patch_text = (name == format!("{META}Patch"))
            .then_some("Patch is provided to give a concrete name and type to the Kubernetes PATCH request body.");
        if let Some(text) = self.descriptions.definition(name).or(patch_text) {
            schema["description"] = text.into();
        }
        schema
    }
}

/// What the published schema says an absent field is: the zero value of one that Go always prints.
fn default(field: &Field) -> Option<Value> {
    if let Some(default) = field.default() {
        return Some(default.clone());
    }
    if field.pointer() {
        return None;
    }
    match field.schema().node() {
        Node::Object(_) => Some(json!({})),
        _ if field.omit() != Omit::Never => None,
        Node::Scalar(ScalarKind::String) => Some("".into()),
        Node::Scalar(ScalarKind::Bool) => Some(false.into()),
        Node::Scalar(ScalarKind::Int32 | ScalarKind::Int64 | ScalarKind::Float64) => Some(0.into()),
        _ => None,
    }
}

/// A custom resource's schema as it is published: with the fields that every object has.
pub(super) fn custom(
    schema: &Value,
    (group, version, kind): (&str, &str, &str),
    definitions: &mut Definitions<'_>,
) -> Value {
    let mut schema = published(schema, definitions.dialect);
    if !schema.is_object() {
        schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    }
    let version_text = definitions.descriptions.field("", "apiVersion");
    let kind_text = definitions.descriptions.field("", "kind");
    let mut metadata = definitions.reference(&format!("{META}ObjectMeta"));
    if definitions.dialect == Dialect::V3 {
        metadata = json!({"allOf": [metadata], "description": "Standard object's metadata."});
    }
    schema["type"] = "object".into();
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    schema["properties"]["apiVersion"] = json!({"description": version_text, "type": "string"});
    schema["properties"]["kind"] = json!({"description": kind_text, "type": "string"});
    schema["properties"]["metadata"] = metadata;
    schema["x-kubernetes-group-version-kind"] = json!([{"group": group, "kind": kind, "version": version}]);
    schema
}

/// The list of a custom resource.
pub(super) fn custom_list(
    item: &str,
    (group, version, kind): (&str, &str, &str),
    definitions: &mut Definitions<'_>,
) -> Value {
    let item = definitions.reference(item);
    let metadata = definitions.reference(&format!("{META}ListMeta"));
    let metadata = if definitions.dialect == Dialect::V3 { json!({"allOf": [metadata]}) } else { metadata };
    json!({
        "description": format!("{kind}List is a list of {kind}"),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"description": definitions.descriptions.field("", "apiVersion"), "type": "string"},
            "kind": {"description": definitions.descriptions.field("", "kind"), "type": "string"},
            "metadata": metadata,
            "items": {"description": "The objects of the list.", "type": "array", "items": item},
        },
        "x-kubernetes-group-version-kind": [{"group": group, "kind": format!("{kind}List"), "version": version}],
    })
}

/// A schema of a CustomResourceDefinition in the words of the dialect.
fn published(schema: &Value, dialect: Dialect) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let mut out = JsonMap::new();
    let map_values = |value: &Value| match value {
        Value::Object(members) => {
            members.iter().map(|(name, schema)| (name.clone(), published(schema, dialect))).collect()
        }
        other => other.clone(),
    };
    for (key, value) in members {
        let value = match key.as_str() {
            "properties" | "patternProperties" | "definitions" => map_values(value),
            "not" if dialect == Dialect::V2 => continue,
            "items" | "additionalProperties" | "not" => published(value, dialect),
            // Version 2 does not know these words.
            "nullable" | "oneOf" | "anyOf" if dialect == Dialect::V2 => continue,
            "default" if dialect == Dialect::V2 => continue,
            "allOf" | "oneOf" | "anyOf" => match value {
                Value::Array(items) => items.iter().map(|item| published(item, dialect)).collect(),
                other => other.clone(),
            },
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    let int_or_string = out.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
    if int_or_string && dialect == Dialect::V3 && !out.contains_key("anyOf") {
        out.insert("anyOf".into(), json!([{"type": "integer"}, {"type": "string"}]));
    }
    out.into()
}
