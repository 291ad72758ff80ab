//! One version of one object, as every reader of it shares it: bytes, and what selectors look at.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::resource::Field;
use crate::transform::Seal;
use crate::value::{self, ValueError};

/// An immutable object version. Kept compact: a front-end holds one for every object of the cluster.
pub struct Object {
    /// `<namespace>/<name>`, or `<name>` for cluster-scoped objects.
    key: Box<str>,
    /// Length of the namespace in `key`; 0 for cluster-scoped objects.
    namespace_len: u16,
    /// Whether `metadata.deletionTimestamp` is set.
    deleting: bool,
    /// What the stored value is sealed with; 0: nothing.
    seal: Seal,
    /// Where `"resourceVersion":"…",` begins in `json`.
    revision_offset: u32,
    revision: u64,
    create_revision: u64,
    json: Bytes,
    /// `json` and a newline, in the same memory: the body of a GET.
    line: Bytes,
    labels: Labels,
    /// In the order of the resource's fields.
    fields: Box<[Box<str>]>,
    /// In another wire format, made when the first reader asks for it.
    message: OnceLock<Box<[u8]>>,
}

impl Object {
    /// Reads a stored value. `key` is the part behind the resource's prefix.
    pub(crate) fn decode(
        key: &str,
        stored: &[u8],
        create_revision: u64,
        revision: u64,
        fields: &[Field],
    ) -> Result<Self, ValueError> {
        let (offset, json) = value::unpack(stored)?;
        let selected = Selected::read(json, fields);
        let (line, json) = line_and_json(value::splice_line(json, offset, revision));
        Ok(Object {
            namespace_len: key.find('/').unwrap_or(0) as u16,
            key: key.into(),
            deleting: selected.deleting,
            seal: 0,
            revision_offset: offset,
            revision,
            create_revision,
            json,
            line,
            labels: selected.labels,
            fields: selected.fields,
            message: OnceLock::new(),
        })
    }

    pub(crate) fn sealed_with(self, seal: Seal) -> Self {
        Object { seal, ..self }
    }

    /// What the stored value is sealed with.
    pub(crate) fn seal(&self) -> Seal {
        self.seal
    }

    /// The same object with another resourceVersion: what a DELETED event carries.
    pub(crate) fn at_revision(&self, revision: u64) -> Self {
        let (line, json) = line_and_json(value::resplice(&self.line, self.revision_offset, self.revision, revision));
        Object {
            key: self.key.clone(),
            namespace_len: self.namespace_len,
            deleting: self.deleting,
            seal: self.seal,
            revision_offset: self.revision_offset,
            revision,
            create_revision: self.create_revision,
            json,
            line,
            labels: self.labels.clone(),
            fields: self.fields.clone(),
            message: OnceLock::new(),
        }
    }

    /// `<namespace>/<name>`, or `<name>` for cluster-scoped objects: the order of lists.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        &self.key[..usize::from(self.namespace_len)]
    }

    pub fn name(&self) -> &str {
        match self.namespace_len {
            0 => &self.key,
            len => &self.key[usize::from(len) + 1..],
        }
    }

    /// The store's revision at which this version was written: its resourceVersion.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn create_revision(&self) -> u64 {
        self.create_revision
    }

    /// The object in its storage version, resourceVersion included.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// [`Object::json`] and a newline.
    pub fn json_line(&self) -> &Bytes {
        &self.line
    }

    /// The object as a protobuf message, which `encode` makes from [`Object::json`] once.
    pub fn message(&self, encode: impl FnOnce(&[u8]) -> Vec<u8>) -> &[u8] {
        self.message.get_or_init(|| encode(&self.json).into())
    }

    /// The stored value of this object ([`value::pack`]), for writing it again unchanged.
    pub fn stored(&self) -> Bytes {
        value::unsplice(&self.json, self.revision_offset, self.revision)
    }

    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The value of the resource's `index`-th field; empty where unset.
    pub fn field(&self, index: usize) -> &str {
        self.fields.get(index).map_or("", |value| value)
    }

    /// Whether `metadata.deletionTimestamp` is set.
    pub fn deleting(&self) -> bool {
        self.deleting
    }

    /// Bytes of memory that this version holds, about.
    pub fn memory_bytes(&self) -> usize {
        let fields: usize = self.fields.iter().map(|field| field.len() + size_of::<Box<str>>()).sum();
        size_of::<Self>()
            + self.key.len()
            + self.json.len()
            + self.labels.0.len()
            + fields
            + self.message.get().map_or(0, |message| message.len())
    }
}

/// A line, and the same without its newline.
fn line_and_json(line: Bytes) -> (Bytes, Bytes) {
    let json = line.slice(..line.len().saturating_sub(1));
    (line, json)
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.key, self.revision)
    }
}

/// The labels of an object: one block of text, `key NUL value NUL …`, in the object's order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Labels(Box<str>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(candidate, _)| *candidate == key).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.0.split_terminator('\0');
        std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut text = String::new();
        for (key, value) in pairs {
            push_label(&mut text, key, value);
        }
        Labels(text.into())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// No legal label contains NUL; one that does cannot be selected, and must not shift the others.
fn push_label(text: &mut String, key: &str, value: &str) {
    if key.contains('\0') || value.contains('\0') {
        return;
    }
    text.push_str(key);
    text.push('\0');
    text.push_str(value);
    text.push('\0');
}

/// What selectors look at.
#[derive(Default)]
struct Selected {
    deleting: bool,
    labels: Labels,
    fields: Box<[Box<str>]>,
}

impl Selected {
    /// Values were validated before they were stored; one that is no JSON selects as if it were empty.
    fn read(json: &[u8], fields: &[Field]) -> Self {
        let Ok(head) = serde_json::from_slice::<Head>(json) else {
            return Selected { fields: fields.iter().map(|_| "".into()).collect(), ..Selected::default() };
        };
        let fields = if fields.is_empty() {
            Box::default()
        } else {
            let object = serde_json::from_slice(json).unwrap_or_default();
            fields.iter().map(|field| field.value(&object).into_boxed_str()).collect()
        };
        Selected { deleting: head.metadata.deleting.is_some(), labels: head.metadata.labels.0, fields }
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default, rename = "deletionTimestamp")]
    deleting: Option<IgnoredAny>,
    #[serde(default)]
    labels: LabelText,
}

#[derive(Default)]
struct LabelText(Labels);

impl<'de> Deserialize<'de> for LabelText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LabelVisitor)
    }
}

struct LabelVisitor;

impl<'de> Visitor<'de> for LabelVisitor {
    type Value = LabelText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of labels")
    }

    fn visit_unit<E>(self) -> Result<LabelText, E> {
        Ok(LabelText::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LabelText, A::Error> {
        let mut text = String::new();
        while let Some((key, value)) = map.next_entry::<CowStr, CowStr>()? {
            push_label(&mut text, &key.0, &value.0);
        }
        Ok(LabelText(Labels(text.into())))
    }
}

/// A string borrowed from the JSON where it has no escapes.
#[derive(Deserialize)]
struct CowStr<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, json: &str, fields: &[Field]) -> Object {
        Object::decode(key, &value::pack(json.as_bytes(), 13), 3, 7, fields).unwrap()
    }

    #[test]
    fn an_object_knows_what_selectors_look_at() {
        let node = Field::new("spec.nodeName", |o| o["spec"]["nodeName"].as_str().unwrap_or("").to_owned());
        let json = r#"{"metadata":{"labels":{"app":"web","tier":"\u0061"},"name":"a"},"spec":{"nodeName":"n1"}}"#;
        let object = object("default/a", json, &[node]);
        assert_eq!((object.namespace(), object.name(), object.revision()), ("default", "a", 7));
        assert_eq!(object.labels().iter().collect::<Vec<_>>(), [("app", "web"), ("tier", "a")]);
        assert_eq!(object.labels().get("tier"), Some("a"));
        assert_eq!(object.labels().get("ti"), None);
        assert_eq!(object.field(0), "n1");
        assert_eq!(object.field(1), "");
        assert!(!object.deleting());
    }

    #[test]
    fn the_deletion_mark_and_null_labels_are_read() {
        let object = object("a", r#"{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z","labels":null}}"#, &[]);
        assert!(object.deleting());
        assert_eq!((object.namespace(), object.name()), ("", "a"));
        assert_eq!(object.labels().iter().count(), 0);
    }

    #[test]
    fn another_revision_changes_only_the_resource_version() {
        let object = object("a", r#"{"metadata":{"name":"a"}}"#, &[]);
        assert_eq!(object.json(), &br#"{"metadata":{"resourceVersion":"7","name":"a"}}"#[..]);
        let later = object.at_revision(1234);
        assert_eq!(later.json(), &br#"{"metadata":{"resourceVersion":"1234","name":"a"}}"#[..]);
        assert_eq!(later.stored(), object.stored());
    }

    #[test]
    fn bytes_that_are_no_json_are_held_and_select_as_empty() {
        let object = object("a", "{not json at all", &[Field::new("x", |_| "y".into())]);
        assert_eq!(object.field(0), "");
    }
}
