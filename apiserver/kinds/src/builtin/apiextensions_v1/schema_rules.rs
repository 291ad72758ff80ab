//! The rules of a custom resource's schema: what OpenAPI can say and Kubernetes cannot, and what makes it structural.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::rules::one_of;
use crate::value::{entries, flag, get, is_set, items, text};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const LIST_TYPE: &str = "x-kubernetes-list-type";
const LIST_KEYS: &str = "x-kubernetes-list-map-keys";
const MAP_TYPE: &str = "x-kubernetes-map-type";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
/// What OpenAPI has and custom resources do not.
const UNSUPPORTED: [&str; 6] = ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"];
/// What may stand beside `properties` at the root of a schema whose status is split off.
const AT_ROOT_WITH_STATUS: [&str; 8] =
    ["description", "type", "format", "title", "maximum", "properties", "required", PRESERVE];

/// Complaints about the schema at `path`.
pub fn validate(schema: &Value, with_status: bool, path: &Path, errors: &mut Errors) {
    if with_status {
        alone_with_status(schema, path, errors);
    }
    if flag(schema, "nullable") {
        errors.push(FieldError::forbidden(path.child("nullable"), "nullable cannot be true at the root"));
    }
    let before = errors.len();
    openapi(schema, path, errors);
    if errors.len() > before {
        return;
    }
    let mut found = Errors::new();
    structural(schema, Level::Root, path, &mut found);
    found.sort_by_cached_key(FieldError::full);
    errors.append(&mut found);
}

fn alone_with_status(schema: &Value, path: &Path, errors: &mut Errors) {
    let combined = ["allOf", "anyOf", "oneOf", "not", "additionalProperties"];
    if combined.iter().any(|key| is_set(schema, key)) {
        let detail = format!(
            "only {} fields are allowed at the root of the schema if the status subresource is enabled",
            AT_ROOT_WITH_STATUS.join(", ")
        );
        errors.push(FieldError::invalid(path, schema, &detail));
    }
}

/// Every schema within a schema, in the order of kube-apiserver's walk; `visit` is given each with its path.
fn within(schema: &Value, path: &Path, visit: &mut dyn FnMut(&Value, &Path)) {
    if get(schema, "additionalProperties").is_object() {
        visit(get(schema, "additionalProperties"), &path.child("additionalProperties"));
    }
    let properties = path.child("properties");
    for (name, inner) in entries(schema, "properties") {
        visit(inner, &properties.key(name));
    }
    if get(schema, "not").is_object() {
        visit(get(schema, "not"), &path.child("not"));
    }
    for key in ["allOf", "oneOf", "anyOf"] {
        let list = path.child(key);
        for (i, inner) in items(schema, key).iter().enumerate() {
            visit(inner, &list.index(i));
        }
    }
    match schema.get("items") {
        Some(one @ Value::Object(_)) => visit(one, &path.child("items")),
        Some(Value::Array(list)) => {
            let at = path.child("items");
            for (i, inner) in list.iter().enumerate() {
                visit(inner, &at.index(i));
            }
        }
        _ => {}
    }
}

fn openapi(schema: &Value, path: &Path, errors: &mut Errors) {
    let kind = text(schema, "type");
    if !kind.is_empty() && kind != "null" && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(path.child("type"), &kind.into(), &TYPES));
    }
    for key in UNSUPPORTED {
        // `$ref` and the like are no paths.
        if schema.get(key).is_some_and(|value| !value.is_null() && *value != "") {
            errors.push(FieldError::forbidden(path.child(key), &format!("{key} is not supported")));
        }
    }
    if kind == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(path.child("type"), detail));
    }
    if schema.get("items").is_some_and(Value::is_array) {
        errors.push(FieldError::forbidden(path.child("items"), "items must be a schema object and not an array"));
    }
    if flag(schema, "uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(path.child("uniqueItems"), detail));
    }
    let more = get(schema, "additionalProperties");
    if is_set(schema, "properties") && (more.is_object() || *more == Value::Bool(false)) {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(path.child("additionalProperties"), detail));
    }
    within(schema, path, &mut |inner, path| openapi(inner, path, errors));
    if get(schema, PRESERVE) == &Value::Bool(false) {
        errors.push(FieldError::invalid(path.child(PRESERVE), &false.into(), "must be true or undefined"));
    }
    extension_type(schema, MAP_TYPE, "object", path, errors);
    if is_set(schema, MAP_TYPE) {
        one_of(schema, MAP_TYPE, &["atomic", "granular"], path, errors);
    }
    extension_type(schema, LIST_TYPE, "array", path, errors);
    if is_set(schema, LIST_TYPE) && kind == "array" {
        one_of(schema, LIST_TYPE, &["atomic", "map", "set"], path, errors);
    }
    list_of_type(schema, path, errors);
    let list = path.child("x-kubernetes-validations");
    for (i, rule) in items(schema, "x-kubernetes-validations").iter().enumerate() {
        if text(rule, "rule").trim().is_empty() {
            errors.push(FieldError::required(list.index(i).child("rule"), "rule is not specified"));
        }
    }
}

/// An extension that only a schema of one type can have.
fn extension_type(schema: &Value, extension: &str, kind: &str, path: &Path, errors: &mut Errors) {
    if is_set(schema, extension) {
        must_be(schema, kind, &format!("must be {kind} if {extension} is specified"), path, errors);
    }
}

fn must_be(schema: &Value, kind: &str, detail: &str, path: &Path, errors: &mut Errors) {
    match text(schema, "type") {
        "" => errors.push(FieldError::required(path.child("type"), detail)),
        given if given != kind => errors.push(FieldError::invalid(path.child("type"), &given.into(), detail)),
        _ => {}
    }
}

/// Lists that are sets or maps, and what their items have to be then.
fn list_of_type(schema: &Value, path: &Path, errors: &mut Errors) {
    let keys = items(schema, LIST_KEYS);
    let given = text(schema, LIST_TYPE);
    if !keys.is_empty() && given != "map" {
        let (at, detail) = (path.child(LIST_TYPE), "must be map if x-kubernetes-list-map-keys is non-empty");
        errors.push(match given {
            "" => FieldError::required(at, detail),
            given => FieldError::invalid(at, &given.into(), detail),
        });
    }
    let (item, at) = (get(schema, "items"), path.child("items"));
    match given {
        "map" => keyed_list(item, keys, path, errors),
        "set" => set_items(item, &at, errors),
        _ => {}
    }
}

fn keyed_list(item: &Value, keys: &[Value], path: &Path, errors: &mut Errors) {
    let (at, of_items) = (path.child(LIST_KEYS), path.child("items"));
    if keys.is_empty() {
        errors.push(FieldError::required(at, "must not be empty if x-kubernetes-list-type is map"));
    }
    if item.is_null() {
        errors.push(FieldError::required(of_items, "must have a schema if x-kubernetes-list-type is map"));
        return;
    }
    if text(item, "type") != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(of_items.child("type"), &text(item, "type").into(), detail));
        return;
    }
    let shown: Value = keys.to_vec().into();
    let (of_properties, properties) = (of_items.child("properties"), get(item, "properties"));
    for (i, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or("");
        match properties.get(name) {
            None => errors.push(FieldError::invalid(at, &shown, "entries must all be names of item properties")),
            Some(property) if matches!(text(property, "type"), "object" | "array") => {
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                let at = of_properties.key(name);
                errors.push(FieldError::invalid(at.child("type"), &text(property, "type").into(), detail));
            }
            Some(_) => {}
        }
        if keys[..i].contains(key) {
            errors.push(FieldError::invalid(at, &shown, "must not contain duplicate entries"));
        }
    }
    for key in keys {
        let name = key.as_str().unwrap_or("");
        let Some(property) = properties.get(name) else { continue };
        let at = of_properties.key(name);
        if property.get("default").is_none() && !items(item, "required").contains(key) {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required \
                          property";
            errors.push(FieldError::required(at.child("default"), detail));
        }
        if flag(property, "nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(at.child("nullable"), detail));
        }
    }
}

fn set_items(item: &Value, path: &Path, errors: &mut Errors) {
    if flag(item, "nullable") {
        let detail = "cannot be nullable when x-kubernetes-list-type is set";
        errors.push(FieldError::forbidden(path.child("nullable"), detail));
    }
    let extension = match text(item, "type") {
        "array" => LIST_TYPE,
        "object" => MAP_TYPE,
        _ => return,
    };
    if text(item, extension) != "atomic" {
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        errors.push(FieldError::invalid(path.child(extension), get(item, extension), detail));
    }
}

/// Where in the object a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
}

fn structural(schema: &Value, level: Level, path: &Path, errors: &mut Errors) {
    let kind = text(schema, "type");
    let item = get(schema, "items");
    if kind == "array" && item.is_null() {
        errors.push(FieldError::required(path.child("items"), "must be specified"));
    }
    if item.is_object() {
        structural(item, Level::Item, &path.child("items"), errors);
    }
    let properties = path.child("properties");
    for (name, inner) in entries(schema, "properties") {
        structural(inner, Level::Field, &properties.key(name), errors);
    }
    let more = get(schema, "additionalProperties");
    if !more.is_null() && level == Level::Root {
        errors.push(FieldError::forbidden(path.child("additionalProperties"), "must not be used at the root"));
    }
    if more.is_object() {
        structural(more, Level::Field, &path.child("additionalProperties"), errors);
    }
    let skipped = int_or_string_pattern(schema);
    for_conditions(schema, path, skipped, errors);
    type_at(schema, level, path, errors);
    let embedded = flag(schema, EMBEDDED);
    if embedded && !more.is_null() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(path.child("additionalProperties"), detail));
    }
    if embedded && !flag(schema, PRESERVE) && !is_set(schema, "properties") {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                      x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(properties, detail));
    }
    if embedded || level == Level::Root {
        of_every_object(get(schema, "properties"), &properties, errors);
    }
}

fn type_at(schema: &Value, level: Level, path: &Path, errors: &mut Errors) {
    let kind = text(schema, "type");
    if flag(schema, EMBEDDED) && kind != "object" {
        must_be(schema, "object", "must be object if x-kubernetes-embedded-resource is true", path, errors);
    } else if kind.is_empty() && !flag(schema, INT_OR_STRING) && !flag(schema, PRESERVE) {
        let place = match level {
            Level::Root => "at the root",
            Level::Field => "for specified object fields",
            Level::Item => "for specified array items",
        };
        errors.push(FieldError::required(path.child("type"), &format!("must not be empty {place}")));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(path.child("type"), &kind.into(), "must be object at the root"));
    }
}

/// The fields that every object has can only be described as what they are.
fn of_every_object(properties: &Value, path: &Path, errors: &mut Errors) {
    for (name, kind) in [("kind", "string"), ("apiVersion", "string"), ("metadata", "object")] {
        if let Some(given) = properties.get(name).map(|property| text(property, "type"))
            && given != kind
        {
            let detail = format!("must be {kind}");
            errors.push(FieldError::invalid(path.key(name).child("type"), &given.into(), &detail));
        }
    }
    let Some(metadata) = properties.get("metadata") else { return };
    let plain = metadata.as_object().is_some_and(|fields| {
        fields.iter().all(|(key, value)| match key.as_str() {
            "type" | "description" => true,
            "properties" => entries(metadata, "properties").all(|(name, _)| name == "name" || name == "generateName"),
            _ => value.is_null(),
        })
    });
    if !plain {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(FieldError::forbidden(path.key("metadata"), detail));
    }
}

/// Whether `anyOf` only says that it is a number or a text, as `x-kubernetes-int-or-string` does.
fn int_or_string_pattern(schema: &Value) -> bool {
    let any = match (items(schema, "anyOf"), items(schema, "allOf").first()) {
        ([], Some(first)) => items(first, "anyOf"),
        (any, _) => any,
    };
    flag(schema, INT_OR_STRING) && matches!(any, [a, b] if text(a, "type") == "integer" && text(b, "type") == "string")
}

/// Schemas under `allOf`, `anyOf`, `oneOf` and `not` say what values are good, not what there is.
fn for_conditions(schema: &Value, path: &Path, skip_any: bool, errors: &mut Errors) {
    for key in ["allOf", "anyOf", "oneOf"] {
        let list = path.child(key);
        for (i, inner) in items(schema, key).iter().enumerate() {
            match (key, i) {
                ("anyOf", _) if skip_any => {}
                ("allOf", 0) if skip_any && items(schema, "anyOf").is_empty() => {}
                _ => condition(inner, &list.index(i), errors),
            }
        }
    }
    if get(schema, "not").is_object() {
        condition(get(schema, "not"), &path.child("not"), errors);
    }
}

fn condition(schema: &Value, path: &Path, errors: &mut Errors) {
    for key in ["type", "title", "description", "default", "additionalProperties"] {
        if !get(schema, key).is_null() {
            errors.push(FieldError::forbidden(path.child(key), "must be empty to be structural"));
        }
    }
    for key in ["nullable", EMBEDDED, INT_OR_STRING, PRESERVE] {
        if flag(schema, key) {
            errors.push(FieldError::forbidden(path.child(key), "must be false to be structural"));
        }
    }
    for key in [LIST_TYPE, LIST_KEYS, MAP_TYPE] {
        if is_set(schema, key) {
            errors.push(FieldError::forbidden(path.child(key), "must be undefined to be structural"));
        }
    }
    if get(schema, "items").is_object() {
        condition(get(schema, "items"), &path.child("items"), errors);
    }
    let properties = path.child("properties");
    for (name, inner) in entries(schema, "properties") {
        condition(inner, &properties.key(name), errors);
    }
    for_conditions(schema, path, false, errors);
}
