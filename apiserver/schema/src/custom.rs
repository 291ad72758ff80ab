//! Compiles the structural schema of a CustomResourceDefinition's version into the model of the built-in types.
//!
//! A custom resource is not decoded into a Go struct: values of a wrong type stay until validation names them, `null`
//! and explicit zeros are kept, and fields print in the order of their names.

use std::sync::Arc;

use serde_json::Value;

use crate::catalog::catalog;
use crate::model::{
    AnyKind, Field, GroupVersionKind, List, ListType, Map, MapType, Node, Object, Omit, PatchStrategy, ProtoPath,
    ScalarKind, Schema, Text, TypeRef,
};

/// The definition of the metadata that every object has.
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The type of a custom resource: its `openAPIV3Schema`, and the fields that every object has.
///
/// Only the shape is compiled: types, list and map types, defaults, what is preserved. Words about values (patterns,
/// limits, rules) stay in the JSON for the validator.
pub fn compile(group: &str, version: &str, kind: &str, open_api_v3_schema: &Value) -> Arc<Schema> {
    let mut object = object(open_api_v3_schema, true);
    object.kinds = Box::new([GroupVersionKind {
        group: group.to_owned().into(),
        version: version.to_owned().into(),
        kind: kind.to_owned().into(),
    }]);
    let go_type = Text::Owned(format!("{version}.{kind}"));
    Arc::new(Schema { node: Node::Object(object), go_type, enum_values: Box::default() })
}

fn object(json: &Value, resource: bool) -> Object {
    let required: Vec<&str> = strings(&json["required"]).collect();
    let properties = json["properties"].as_object();
    let mut fields: Vec<Field> = properties
        .into_iter()
        .flatten()
        .filter(|(name, _)| !(resource && is_object_field(name)))
        .map(|(name, schema)| field(name, TypeRef::Inline(compile_value(schema)), schema, required.contains(&&**name)))
        .collect();
    if resource {
        let own = |name: &str, schema: Arc<Schema>| Field {
            keeps_null: false,
            ..field(name, TypeRef::Inline(schema), &Value::Null, false)
        };
        let text = || scalar(ScalarKind::String);
        fields.extend([own("apiVersion", text()), own("kind", text())]);
        fields.extend(catalog().definition(OBJECT_META).map(|metadata| own("metadata", metadata)));
        fields.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let mut object = Object::new(Text::Borrowed(""), fields.into());
    object.custom = true;
    object.map_type = map_type(json);
    object.preserve_unknown_fields = json["x-kubernetes-preserve-unknown-fields"] == true;
    object.embedded_resource = resource;
    object
}

fn is_object_field(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

fn field(name: &str, schema: TypeRef, json: &Value, required: bool) -> Field {
    Field {
        name: name.to_owned().into(),
        schema,
        omit: Omit::Empty,
        pointer: true,
        keeps_null: true,
        required,
        map_type: None,
        patch_strategy: PatchStrategy::default(),
        patch_merge_key: None,
        default: json.get("default").cloned(),
        proto_path: ProtoPath::default(),
    }
}

fn compile_value(json: &Value) -> Arc<Schema> {
    if json["x-kubernetes-int-or-string"] == true {
        return any();
    }
    let node = match json["type"].as_str() {
        Some("object") => match &json["additionalProperties"] {
            Value::Object(_) => Node::Map(Map {
                values: TypeRef::Inline(compile_value(&json["additionalProperties"])),
                map_type: map_type(json),
                pointer_values: true,
            }),
            Value::Bool(true) => {
                Node::Map(Map { values: TypeRef::Inline(any()), map_type: map_type(json), pointer_values: true })
            }
            _ => Node::Object(object(json, json["x-kubernetes-embedded-resource"] == true)),
        },
        Some("array") => Node::List(List {
            items: TypeRef::Inline(compile_value(&json["items"])),
            list_type: json["x-kubernetes-list-type"].as_str().and_then(ListType::from_name),
            map_keys: strings(&json["x-kubernetes-list-map-keys"]).map(|key| key.to_owned().into()).collect(),
            pointer_items: true,
        }),
        Some("string") => Node::Scalar(ScalarKind::String),
        Some("boolean") => Node::Scalar(ScalarKind::Bool),
        Some("integer") => Node::Scalar(ScalarKind::Int64),
        Some("number") => Node::Scalar(ScalarKind::Float64),
        // A value without a type is only legal where everything is preserved.
        _ => return any(),
    };
    let enum_values = strings(&json["enum"]).map(|value| value.to_owned().into()).collect();
    Arc::new(Schema { node, go_type: Text::Borrowed("interface {}"), enum_values })
}

fn scalar(kind: ScalarKind) -> Arc<Schema> {
    Arc::new(Schema { node: Node::Scalar(kind), go_type: Text::Borrowed("string"), enum_values: Box::default() })
}

fn any() -> Arc<Schema> {
    let go_type = Text::Borrowed("interface {}");
    Arc::new(Schema { node: Node::Any(AnyKind::Json), go_type, enum_values: Box::default() })
}

fn map_type(json: &Value) -> MapType {
    if json["x-kubernetes-map-type"] == "atomic" { MapType::Atomic } else { MapType::Granular }
}

fn strings(json: &Value) -> impl Iterator<Item = &str> {
    json.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::codec::{decode_json, encode, encode_stored};

    fn widget() -> Arc<Schema> {
        compile(
            "example.com",
            "v1",
            "Widget",
            &json!({"type": "object", "properties": {
                "spec": {"type": "object", "required": ["size"], "properties": {
                    "size": {"type": "integer", "default": 3},
                    "name": {"type": "string", "nullable": true},
                    "port": {"x-kubernetes-int-or-string": true},
                    "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "template": {"type": "object", "x-kubernetes-embedded-resource": true,
                                 "x-kubernetes-preserve-unknown-fields": true}}}}}),
        )
    }

    #[test]
    fn the_shape() {
        let schema = widget();
        let names: Vec<&str> = schema.as_object().unwrap().fields().iter().map(Field::name).collect();
        assert_eq!(names, ["apiVersion", "kind", "metadata", "spec"]);
        let size = schema.at(&["spec"]).unwrap();
        let size = size.field("size").unwrap();
        assert!(size.required() && size.default() == Some(&json!(3)));
        assert_eq!(schema.at(&["spec", "set"]).unwrap().as_list().unwrap().list_type(), ListType::Set);
        assert!(schema.at(&["spec", "free"]).unwrap().as_object().unwrap().preserve_unknown_fields());
        assert_eq!(schema.at(&["metadata", "labels"]).unwrap().go_type(), "map[string]string");
    }

    #[test]
    fn values_stay_until_validation_and_unknown_fields_do_not() {
        let text = r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w","uid":"u"},"spec":{"free":{"a":[1.5,{}],"b":null},"labels":{},"name":null,"port":"http","set":[],"size":"big","template":{"data":1,"kind":"X"}}}"#;
        let schema = widget();
        let given = text.replace(r#""set":[]"#, r#""set":[],"junk":{"deep":1}"#);
        let decoded = decode_json(given.as_bytes(), &schema).unwrap();
        assert_eq!(decoded.strict_errors, [r#"unknown field "spec.junk""#]);
        let mut out = Vec::new();
        encode(&decoded.value, &schema, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text);
        // Metadata is typed, here as everywhere.
        let error = decode_json(br#"{"metadata":{"labels":{"a":1}}}"#, &schema).unwrap_err();
        assert!(error.to_string().starts_with("json: cannot unmarshal number into Go struct field ObjectMeta."));
    }

    #[test]
    fn the_stored_form_has_a_place_for_the_version() {
        let schema = widget();
        for (metadata, expected) in [
            (r#"{"name":"w","resourceVersion":"7","uid":"u"}"#, r#"{"name":"w","resourceVersion":"7","uid":"u"}"#),
            (r#"{"name":"w","uid":"u"}"#, r#"{"name":"w","resourceVersion":"7","uid":"u"}"#),
            (r#"{"name":"w","resourceVersion":"7"}"#, r#"{"resourceVersion":"7","name":"w"}"#),
            (r#"{"name":"w"}"#, r#"{"resourceVersion":"7","name":"w"}"#),
            ("{}", r#"{"resourceVersion":"7","creationTimestamp":null}"#),
        ] {
            let value = serde_json::from_str(&format!(r#"{{"kind":"Widget","metadata":{metadata}}}"#)).unwrap();
            let mut out = Vec::new();
            let at = encode_stored(&value, &schema, &mut out) as usize;
            let mut spliced = String::from_utf8(out).unwrap();
            spliced.insert_str(at, r#""resourceVersion":"7","#);
            assert_eq!(spliced, format!(r#"{{"kind":"Widget","metadata":{expected}}}"#));
        }
    }
}
