//! OpenAPI version 2 in protobuf: gnostic's `openapi.v2.Document`, from the JSON of each path and definition.
//!
//! Field numbers are those of google/gnostic `openapiv2/OpenAPIv2.proto`. Every field below is length-delimited or
//! a boolean, so the wire format is written by hand.

use serde_json::{Map as JsonMap, Value};

/// A message being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field << 3 | 2));
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u32, message: Message) {
        self.bytes(field, &message.0);
    }

    /// A string, if the JSON has one.
    fn text(&mut self, field: u32, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u32, values: &Value) {
        values.as_array().into_iter().flatten().for_each(|value| self.text(field, value));
    }

    fn boolean(&mut self, field: u32, value: &Value) {
        if value == &Value::Bool(true) {
            self.varint(u64::from(field << 3));
            self.0.push(1);
        }
    }

    /// A number as `double` (wire type 1).
    fn double(&mut self, field: u32, value: &Value) {
        if let Some(number) = value.as_f64() {
            self.varint(u64::from(field << 3 | 1));
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn integer(&mut self, field: u32, value: &Value) {
        if let Some(number) = value.as_i64() {
            self.varint(u64::from(field << 3));
            self.varint(number as u64);
        }
    }

    /// The members that start with `x-`.
    fn extensions(&mut self, field: u32, members: &JsonMap<String, Value>) {
        for (name, value) in members.iter().filter(|(name, _)| name.starts_with("x-")) {
            self.message(field, named(name, any(value)));
        }
    }
}

/// `Named…`: a map's entry.
fn named(name: &str, value: Message) -> Message {
    let mut message = Message::default();
    message.bytes(1, name.as_bytes());
    message.message(2, value);
    message
}

/// `Any`: readers take its `yaml`, and JSON is YAML.
fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.bytes(2, value.to_string().as_bytes());
    message
}

/// A message in a `oneof` wrapper.
fn wrapped(field: u32, inner: Message) -> Message {
    let mut message = Message::default();
    message.message(field, inner);
    message
}

/// A document being written. Repeated entries of a sub-message may come in pieces: decoders merge them.
pub(super) struct Document(Message);

impl Document {
    pub(super) fn new(info: &Value) -> Self {
        let mut document = Message::default();
        document.bytes(1, b"2.0");
        let mut about = Message::default();
        about.text(1, &info["title"]);
        about.text(2, &info["version"]);
        document.message(2, about);
        Document(document)
    }

    pub(super) fn path(&mut self, path: &str, item: &Value) {
        self.0.message(8, wrapped(2, named(path, path_item(item))));
    }

    pub(super) fn definition(&mut self, name: &str, schema_json: &Value) {
        self.0.message(9, wrapped(1, named(name, schema(schema_json))));
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0.0
    }
}

fn path_item(item: &Value) -> Message {
    let mut message = Message::default();
    for (method, field) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
        if let Some(members) = item[method].as_object() {
            message.message(field, operation(members));
        }
    }
    for parameter in item["parameters"].as_array().into_iter().flatten() {
        message.message(9, wrapped(1, self::parameter(parameter)));
    }
    message
}

fn operation(members: &JsonMap<String, Value>) -> Message {
    let mut message = Message::default();
    let get = |name: &str| members.get(name).unwrap_or(&Value::Null);
    message.texts(1, get("tags"));
    message.text(3, get("description"));
    message.text(5, get("operationId"));
    message.texts(6, get("produces"));
    message.texts(7, get("consumes"));
    for parameter in get("parameters").as_array().into_iter().flatten() {
        message.message(8, wrapped(1, self::parameter(parameter)));
    }
    let mut responses = Message::default();
    for (code, response) in get("responses").as_object().into_iter().flatten() {
        let mut body = Message::default();
        body.text(1, &response["description"]);
        if !response["schema"].is_null() {
            body.message(2, wrapped(1, schema(&response["schema"])));
        }
        responses.message(1, named(code, wrapped(1, body)));
    }
    message.message(9, responses);
    message.texts(10, get("schemes"));
    message.extensions(13, members);
    message
}

/// `Parameter`: of the body, or one of the others by its place.
fn parameter(json: &Value) -> Message {
    let mut inner = Message::default();
    if json["in"] == "body" {
        inner.text(1, &json["description"]);
        inner.text(2, &json["name"]);
        inner.text(3, &json["in"]);
        inner.boolean(4, &json["required"]);
        inner.message(5, schema(&json["schema"]));
        return wrapped(1, inner);
    }
    inner.boolean(1, &json["required"]);
    inner.text(2, &json["in"]);
    inner.text(3, &json["description"]);
    inner.text(4, &json["name"]);
    // A query parameter has one more field, so the numbers behind it differ by one.
    let in_query = json["in"] == "query";
    let shift = u32::from(in_query);
    inner.text(5 + shift, &json["type"]);
    inner.boolean(19 + shift, &json["uniqueItems"]);
    wrapped(2, wrapped(if in_query { 3 } else { 4 }, inner))
}

fn schema(json: &Value) -> Message {
    let mut message = Message::default();
    let Some(members) = json.as_object() else { return message };
    for (key, value) in members {
        match key.as_str() {
            "$ref" => message.text(1, value),
            "format" => message.text(2, value),
            "title" => message.text(3, value),
            "description" => message.text(4, value),
            "default" => message.message(5, any(value)),
            "multipleOf" => message.double(6, value),
            "maximum" => message.double(7, value),
            "exclusiveMaximum" => message.boolean(8, value),
            "minimum" => message.double(9, value),
            "exclusiveMinimum" => message.boolean(10, value),
            "maxLength" => message.integer(11, value),
            "minLength" => message.integer(12, value),
            "pattern" => message.text(13, value),
            "maxItems" => message.integer(14, value),
            "minItems" => message.integer(15, value),
            "uniqueItems" => message.boolean(16, value),
            "maxProperties" => message.integer(17, value),
            "minProperties" => message.integer(18, value),
            "required" => message.texts(19, value),
            "enum" => value.as_array().into_iter().flatten().for_each(|one| message.message(20, any(one))),
            "additionalProperties" => message.message(21, additional_properties(value)),
            "type" => {
                let mut types = Message::default();
                types.text(1, value);
                message.message(22, types);
            }
            "items" => message.message(23, wrapped(1, schema(value))),
            "allOf" => value.as_array().into_iter().flatten().for_each(|one| message.message(24, schema(one))),
            "properties" => {
                let mut properties = Message::default();
                for (name, property) in value.as_object().into_iter().flatten() {
                    properties.message(1, named(name, schema(property)));
                }
                message.message(25, properties);
            }
            _ => {}
        }
    }
    message.extensions(31, members);
    message
}

fn additional_properties(value: &Value) -> Message {
    match value {
        Value::Bool(_) => {
            let mut message = Message::default();
            message.boolean(2, value);
            message
        }
        schema_json => wrapped(1, schema(schema_json)),
    }
}
