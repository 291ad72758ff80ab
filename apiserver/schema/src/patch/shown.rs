//! How messages show a patched document: as the real server's library prints it, which opens an object or a list only
//! where a patch reaches into it. What it has opened it prints in the order of the names, all else as it was.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::codec;
use crate::model::{Node, Schema};

/// The parts of a document that a patch has opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened(BTreeMap<String, Opened>);

impl Opened {
    /// Opens what is on the way to the last step of a path.
    pub(super) fn reach<'s>(&mut self, steps: impl Iterator<Item = &'s str>) {
        let mut at = self;
        let mut steps = steps.peekable();
        while let Some(step) = steps.next() {
            if steps.peek().is_none() {
                return;
            }
            at = at.0.entry(step.to_owned()).or_default();
        }
    }

    /// Opens one member.
    pub(super) fn member(&mut self, name: &str) -> &mut Opened {
        self.0.entry(name.to_owned()).or_default()
    }
}

/// The text of `patched`, which a patch has made of `before`, an object of type `schema`.
pub fn show(before: &Value, patched: &Value, schema: &Schema, opened: &Opened) -> String {
    let mut out = Vec::new();
    write(Some(before), patched, Some(schema), Some(opened), &mut out);
    String::from_utf8(out).unwrap_or_default()
}

fn write(before: Option<&Value>, value: &Value, schema: Option<&Schema>, opened: Option<&Opened>, out: &mut Vec<u8>) {
    match (opened, value) {
        (Some(opened), Value::Object(members)) => {
            out.push(b'{');
            for (at, (name, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                codec::print_text(name, out);
                out.push(b':');
                let before = before.and_then(|before| before.get(name));
                write(before, value, below(schema, name), opened.0.get(name), out);
            }
            out.push(b'}');
        }
        (Some(opened), Value::Array(items)) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                let before = before.and_then(|before| before.get(at));
                write(before, item, below(schema, ""), opened.0.get(&at.to_string()), out);
            }
            out.push(b']');
        }
        _ => match schema {
            // What the patch has brought is as it was sent.
            Some(schema) if before == Some(value) => codec::encode(value, schema, out),
            _ => codec::print(value, out),
        },
    }
}

fn below<'s>(schema: Option<&'s Schema>, name: &str) -> Option<&'s Schema> {
    match schema?.node() {
        Node::Object(object) => object.field(name).map(|field| &**field.schema()),
        Node::Map(map) => Some(map.values()),
        Node::List(list) => Some(list.items()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::patch::{JsonPatch, MergePatch};

    #[test]
    fn opened_parts_are_sorted_and_others_are_not() {
        let schema = crate::catalog().kind("", "v1", "ConfigMap").unwrap();
        let before = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x": "y"}, "uid": "u"}, "data": {"k": "v"}});
        let patch = JsonPatch::decode(br#"[{"op": "add", "path": "/data/k", "value": 5}]"#).unwrap();
        let patched = patch.apply(before.clone()).unwrap();
        assert_eq!(
            show(&before, &patched, &schema, &patch.opened()),
            r#"{"apiVersion":"v1","data":{"k":5},"kind":"ConfigMap","metadata":{"name":"a","uid":"u","labels":{"x":"y"}}}"#
        );
        let patch = MergePatch::decode(br#"{"metadata": {"labels": {"x": {"b": 1}}}}"#).unwrap();
        let patched = patch.apply(before.clone()).unwrap();
        assert_eq!(
            show(&before, &patched, &schema, &patch.opened()),
            r#"{"apiVersion":"v1","data":{"k":"v"},"kind":"ConfigMap","metadata":{"labels":{"x":{"b":1}},"name":"a","uid":"u"}}"#
        );
    }
}
