//! Values as Go prints its internal types: messages show them as JSON with Go's field names, in Go's order.
//!
//! The types are data ([`types.txt`](self)): facts about Go's structs, no code. What is unset on the wire has Go's
//! zero value here, or `null` where the struct has a pointer, a slice or a map.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use serde_json::Value;

use crate::value::get;

/// A struct: its fields in order.
struct Struct {
    fields: Vec<Field>,
}

struct Field {
    /// As it is printed.
    shown: &'static str,
    /// As the wire names it; `^` before it: in the parent's object.
    wire: String,
    kind: Kind,
    /// Printed only if it is set.
    omit_empty: bool,
}

#[derive(Clone)]
enum Kind {
    Text,
    Integer,
    Boolean,
    Quantity,
    /// An integer or a text: 0 where unset.
    Any,
    Map,
    /// The fields of `metav1.ObjectMeta`, in the parent's place.
    Metadata,
    Pointer(Box<Kind>),
    List(Box<Kind>),
    Struct(&'static str),
}

static TYPES: LazyLock<HashMap<&'static str, Struct>> = LazyLock::new(|| parse(include_str!("types.txt")));

/// The value of wire form `object` as Go's `json.Marshal` prints internal type `name`; `null` if it is unset.
pub fn show(name: &'static str, object: &Value) -> String {
    print(name, object, None)
}

/// As [`show`], indented by one space as `json.MarshalIndent` does.
pub fn show_indented(name: &'static str, object: &Value) -> String {
    print(name, object, Some(0))
}

/// A list of internal types, `null` if it is unset.
pub fn show_list(name: &'static str, list: &Value) -> String {
    let mut printer = Printer { out: String::new(), depth: None };
    printer.value(&Kind::List(Box::new(Kind::Struct(name))), list, &Value::Null);
    printer.out
}

fn print(name: &'static str, object: &Value, depth: Option<usize>) -> String {
    let mut printer = Printer { out: String::new(), depth };
    printer.value(&Kind::Pointer(Box::new(Kind::Struct(name))), object, &Value::Null);
    printer.out
}

struct Printer {
    out: String,
    /// How deep the text is nested, where it is indented.
    depth: Option<usize>,
}

impl Printer {
    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.depth = self.depth.map(|depth| depth + 1);
    }

    fn close(&mut self, bracket: char, any: bool) {
        self.depth = self.depth.map(|depth| depth.saturating_sub(1));
        if any {
            self.line();
        }
        self.out.push(bracket);
    }

    fn line(&mut self) {
        if let Some(depth) = self.depth {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', depth));
        }
    }

    fn item(&mut self, first: &mut bool) {
        if !std::mem::take(first) {
            self.out.push(',');
        }
        self.line();
    }

    fn key(&mut self, key: &str, first: &mut bool) {
        self.item(first);
        self.text(key);
        self.out.push_str(if self.depth.is_some() { ": " } else { ":" });
    }

    /// A string as Go's encoder writes it: the characters that could end a script are escaped.
    fn text(&mut self, text: &str) {
        let json = Value::from(text).to_string();
        for c in json.chars() {
            match c {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(self.out, "\\u{:04x}", c as u32);
                }
                c => self.out.push(c),
            }
        }
    }

    fn value(&mut self, kind: &Kind, value: &Value, parent: &Value) {
        match (kind, value) {
            (Kind::Pointer(_) | Kind::List(_) | Kind::Map, Value::Null) => self.out.push_str("null"),
            (Kind::Pointer(inner), _) => self.value(inner, value, parent),
            (Kind::List(inner), Value::Array(items)) => {
                self.open('[');
                let mut first = true;
                for item in items {
                    self.item(&mut first);
                    self.value(inner, item, parent);
                }
                self.close(']', !first);
            }
            (Kind::Struct(name), _) => {
                self.open('{');
                let mut first = true;
                self.fields(name, value, parent, &mut first);
                self.close('}', !first);
            }
            (Kind::Text, Value::Null) => self.out.push_str("\"\""),
            (Kind::Integer | Kind::Any, Value::Null) => self.out.push('0'),
            (Kind::Boolean, Value::Null) => self.out.push_str("false"),
            (Kind::Quantity, Value::Null) => self.out.push_str("\"0\""),
            _ => self.plain(value),
        }
    }

    fn fields(&mut self, name: &str, object: &Value, parent: &Value, first: &mut bool) {
        let Some(known) = TYPES.get(name) else { return };
        for field in &known.fields {
            match &field.kind {
                Kind::Metadata => {
                    self.metadata(get(object, "metadata"), first);
                    continue;
                }
                Kind::Struct(inner) if field.shown.is_empty() => {
                    self.fields(inner, object, parent, first);
                    continue;
                }
                _ => {}
            }
            let value = match field.wire.strip_prefix('^') {
                Some(key) => parent.get(key),
                None => object.get(&field.wire),
            }
            .unwrap_or(&Value::Null);
            if field.omit_empty && !crate::value::is_set(object, &field.wire) {
                continue;
            }
            self.key(field.shown, first);
            self.value(&field.kind, value, object);
        }
    }

    /// `metav1.ObjectMeta` has wire names inside too, and prints what is set.
    fn metadata(&mut self, meta: &Value, first: &mut bool) {
        const FIELDS: [&str; 15] = [
            "name",
            "generateName",
            "namespace",
            "selfLink",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "labels",
            "annotations",
            "ownerReferences",
            "finalizers",
            "managedFields",
        ];
        for field in FIELDS.into_iter().filter(|field| crate::value::is_set(meta, field)) {
            self.key(field, first);
            self.plain(get(meta, field));
        }
    }

    fn plain(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                self.open('[');
                let mut first = true;
                for item in items {
                    self.item(&mut first);
                    self.plain(item);
                }
                self.close(']', !first);
            }
            Value::Object(map) => {
                self.open('{');
                let mut first = true;
                for (key, item) in map {
                    self.key(key, &mut first);
                    self.plain(item);
                }
                self.close('}', !first);
            }
            other => {
                let _ = write!(self.out, "{other}");
            }
        }
    }
}

fn parse(text: &'static str) -> HashMap<&'static str, Struct> {
    let mut types: HashMap<&'static str, Struct> = HashMap::new();
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let fields = match line.split_once(": ") {
            Some((name, fields)) if !line.starts_with(' ') => {
                current = name;
                fields
            }
            _ => line,
        };
        let known = types.entry(current).or_insert_with(|| Struct { fields: Vec::new() });
        known.fields.extend(fields.split(',').map(str::trim).filter(|f| !f.is_empty()).map(parse_field));
    }
    types
}

fn parse_field(text: &'static str) -> Field {
    let embedded = |kind| Field { shown: "", wire: String::new(), kind, omit_empty: false };
    if text == "@metadata" {
        return embedded(Kind::Metadata);
    }
    if let Some(name) = text.strip_prefix("...") {
        return embedded(Kind::Struct(name));
    }
    let (name, kind) = text.split_once(' ').unwrap_or((text, "any"));
    let (shown, wire) = match name.split_once('=') {
        Some((shown, wire)) => (shown, wire.to_owned()),
        None => (name, wire_name(name)),
    };
    let lower = shown.starts_with(|c: char| c.is_ascii_lowercase());
    let (always, kind) = match kind.strip_prefix('!') {
        Some(kind) => (true, kind),
        None => (false, kind),
    };
    Field { shown, wire, kind: parse_kind(kind), omit_empty: lower && !always }
}

fn parse_kind(text: &'static str) -> Kind {
    if let Some(inner) = text.strip_prefix('*') {
        return Kind::Pointer(Box::new(parse_kind(inner)));
    }
    if let Some(inner) = text.strip_prefix("[]") {
        return Kind::List(Box::new(parse_kind(inner)));
    }
    match text {
        "string" => Kind::Text,
        "int" => Kind::Integer,
        "bool" => Kind::Boolean,
        "quantity" => Kind::Quantity,
        "any" => Kind::Any,
        "map" => Kind::Map,
        name => Kind::Struct(name),
    }
}

/// `DNSPolicy` is `dnsPolicy` on the wire: the leading capitals are one word, less the one that begins the next.
fn wire_name(name: &str) -> String {
    let capitals = name.bytes().take_while(u8::is_ascii_uppercase).count();
    let lowered = if capitals > 1 && capitals < name.len() { capitals - 1 } else { capitals };
    name.chars().enumerate().map(|(i, c)| if i < lowered { c.to_ascii_lowercase() } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unset_fields_have_gos_zero_values() {
        let spec = json!({"containers": [{"name": "c"}], "hostNetwork": true, "securityContext": {}});
        let shown = show("PodSpec", &spec);
        assert!(
            shown.starts_with(
                "{\"Volumes\":null,\"InitContainers\":null,\"Containers\":[{\"Name\":\"c\",\"Image\":\"\""
            )
        );
        assert!(shown.contains("\"Resources\":{\"Limits\":null,\"Requests\":null,\"Claims\":null}"), "{shown}");
        assert!(shown.contains("\"SecurityContext\":{\"HostNetwork\":true,\"HostPID\":false,"), "{shown}");
        assert_eq!(show("Toleration", &Value::Null), "null");
    }

    #[test]
    fn apimachinery_types_keep_their_wire_names() {
        let term =
            json!({"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}, "topologyKey": "<z>"});
        assert_eq!(
            show("PodAffinityTerm", &term),
            "{\"LabelSelector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\"}]},\"Namespaces\":null,\
             \"TopologyKey\":\"\\u003cz\\u003e\",\"NamespaceSelector\":null,\"MatchLabelKeys\":null,\"MismatchLabelKeys\":null}"
        );
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {}});
        assert!(show("PodTemplateSpec", &template).starts_with("{\"labels\":{\"a\":\"b\"},\"Spec\":{\"Volumes\":null"));
    }

    #[test]
    fn indented_as_go_does() {
        let port = json!({"containerPort": 80, "name": "http"});
        assert_eq!(
            show_indented("ContainerPort", &port),
            "{\n \"Name\": \"http\",\n \"HostPort\": 0,\n \"ContainerPort\": 80,\n \"Protocol\": \"\",\n \"HostIP\": \"\"\n}"
        );
        assert_eq!(show_indented("Capabilities", &json!({"add": []})), "{\n \"Add\": [],\n \"Drop\": null\n}");
    }

    /// Every struct that is named is defined.
    #[test]
    fn all_types_are_known() {
        fn named(kind: &Kind) -> Option<&'static str> {
            match kind {
                Kind::Struct(name) => Some(name),
                Kind::Pointer(inner) | Kind::List(inner) => named(inner),
                _ => None,
            }
        }
        for (name, known) in TYPES.iter() {
            for field in &known.fields {
                if let Some(inner) = named(&field.kind) {
                    assert!(TYPES.contains_key(inner), "{name}.{} names {inner}", field.shown);
                }
            }
        }
    }

    /// Every field that the wire knows is printed, wherever it is in the internal type.
    #[test]
    fn no_field_of_the_wire_is_missing() {
        use kuorum_schema::{Node, Schema, catalog};

        fn find<'a>(name: &str, wire: &str) -> Option<&'a Kind> {
            TYPES.get(name)?.fields.iter().find_map(|field| match &field.kind {
                Kind::Struct(inner) if field.shown.is_empty() => find(inner, wire),
                kind => (field.wire == wire).then_some(kind),
            })
        }
        fn struct_of(kind: &Kind) -> Option<&'static str> {
            match kind {
                Kind::Struct(name) => Some(name),
                Kind::Pointer(inner) | Kind::List(inner) => struct_of(inner),
                _ => None,
            }
        }
        fn walk(name: &'static str, schema: &Schema, seen: &mut Vec<&'static str>, missing: &mut Vec<String>) {
            if seen.contains(&name) {
                return;
            }
            seen.push(name);
            let items = schema.as_list().map(|list| list.items().clone());
            let schema = items.as_deref().unwrap_or(schema);
            for field in schema.as_object().into_iter().flat_map(|object| object.fields()) {
                match find(name, field.name()) {
                    Some(kind) => {
                        if let Some(inner) = struct_of(kind)
                            && !matches!(field.schema().node(), Node::Scalar(_))
                        {
                            walk(inner, field.schema(), seen, missing);
                        }
                    }
                    None => missing.push(format!("{name}.{}", field.name())),
                }
            }
        }
        let mut missing = Vec::new();
        let mut seen = Vec::new();
        for (name, definition) in [
            ("PodSpec", "io.k8s.api.core.v1.PodSpec"),
            ("PersistentVolumeClaimSpec", "io.k8s.api.core.v1.PersistentVolumeClaimSpec"),
            ("PersistentVolumeSource", "io.k8s.api.core.v1.PersistentVolumeSpec"),
            ("ServicePort", "io.k8s.api.core.v1.ServicePort"),
        ] {
            walk(name, &catalog().definition(definition).expect(definition), &mut seen, &mut missing);
        }
        missing.sort();
        let elsewhere = [
            // Only the source of a volume is shown.
            "PersistentVolumeSource.accessModes",
            "PersistentVolumeSource.capacity",
            "PersistentVolumeSource.claimRef",
            "PersistentVolumeSource.mountOptions",
            "PersistentVolumeSource.nodeAffinity",
            "PersistentVolumeSource.persistentVolumeReclaimPolicy",
            "PersistentVolumeSource.storageClassName",
            "PersistentVolumeSource.volumeAttributesClassName",
            "PersistentVolumeSource.volumeMode",
            // In the security context, but for the alias.
            "PodSpec.hostIPC",
            "PodSpec.hostNetwork",
            "PodSpec.hostPID",
            "PodSpec.hostUsers",
            "PodSpec.serviceAccount",
            "PodSpec.shareProcessNamespace",
            // Shown as `@metadata`.
            "PersistentVolumeClaimTemplate.metadata",
        ];
        missing.retain(|field| !elsewhere.contains(&field.as_str()));
        assert_eq!(missing, Vec::<String>::new());
    }
}
