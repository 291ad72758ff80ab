//! YAML to JSON values, as `sigs.k8s.io/yaml` (go-yaml v2) reads it.
//!
//! YAML 1.1's scalars (`yes`, `0777`, `~`), merge keys, anchors and aliases with a bound on what they expand to. Only
//! the first document of a stream is read. The nesting is kept on a stack of our own, so no input can overflow ours.

mod error;
mod parser;
mod scalar;
mod scanner;

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::patch::{document, gofmt};
pub use error::YamlError;
use parser::{Event, Parser, Properties};
use scalar::Scalar;

/// Deepest nesting. No Kubernetes type comes near it; the real server allows 10,000 levels, on growing stacks.
pub const DEPTH_MAX: usize = 256;
/// Most bytes that aliases may add to a document: a few times the size of the largest request.
pub const ALIAS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The first document of a YAML stream.
#[derive(Debug, Default)]
pub struct Document {
    /// Its value; `null` when the stream is empty.
    pub value: Value,
    /// Keys that a mapping has twice (the last one counts): `line 4: key "k" already set in map`.
    pub duplicates: Vec<String>,
}

impl Document {
    /// The text of go-yaml's strict mode, if any key is there twice.
    pub fn strict_error(&self) -> Option<String> {
        let list = self.duplicates.join("\n  ");
        (!list.is_empty()).then(|| format!("yaml: unmarshal errors:\n  {list}"))
    }
}

/// Reads the first document of `yaml`.
///
/// Errors print as go-yaml's (`yaml: line 3: mapping values are not allowed in this context`); the callers that wrap
/// them put `error converting YAML to JSON: ` before.
pub fn to_json(yaml: &[u8]) -> Result<Document, YamlError> {
    if let Some(value) = read_json(yaml) {
        return Ok(Document { value, duplicates: Vec::new() });
    }
    let mut parser = Parser::new(error::check_characters(yaml)?);
    let mut builder = Builder::default();
    loop {
        let (event, line) = parser.next()?;
        match event {
            Event::DocumentStart => {}
            Event::DocumentEnd | Event::StreamEnd => break,
            _ => builder.event(event, line)?,
        }
    }
    // go-yaml decodes after it has parsed, so syntax errors anywhere win over these.
    match builder.failure {
        Some(failure) => Err(failure),
        None => Ok(Document { value: builder.root, duplicates: builder.duplicates }),
    }
}

/// JSON is YAML, and what clients send as YAML often is JSON, which is read ten times as fast. Texts with duplicate
/// keys, and those that only YAML can judge, are left to it.
fn read_json(yaml: &[u8]) -> Option<Value> {
    if yaml.first() != Some(&b'{') {
        return None;
    }
    let parsed = document::parse_strictly(yaml).filter(|parsed| parsed.duplicates.is_empty())?;
    let mut value = parsed.value;
    whole_numbers(&mut value);
    Some(value)
}

/// As after a conversion by Go, which prints whole floats without a fraction.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            if let Some(Ok(whole)) = number.as_f64().map(|float| Scalar::Float(float).into_json()) {
                *value = whole;
            }
        }
        _ => {}
    }
}

/// A finished value and how many nodes it has.
#[derive(Clone)]
struct Built {
    node: Node,
    nodes: usize,
    /// Bytes of text in it, and some for each node.
    bytes: usize,
}

#[derive(Clone)]
enum Node {
    Scalar(Scalar),
    Collection(Value),
}

/// A collection that is being read.
struct Frame<'t> {
    anchor: Option<&'t str>,
    nodes: usize,
    bytes: usize,
    /// Where it begins, from zero; a complaint about a value names the first line of the value.
    line: usize,
    kind: FrameKind,
}

enum FrameKind {
    Sequence(Vec<Value>),
    Mapping { fields: Map<String, Value>, key: Key },
}

/// What the next value in a mapping is.
enum Key {
    /// A key.
    None,
    /// The value of this key; also the key as Go prints it.
    Name { name: String, shown: String },
    /// What to merge in.
    Merge,
    /// The value of a key that cannot be one; the failure is noted already.
    Bad,
}

#[derive(Default)]
struct Builder<'t> {
    stack: Vec<Frame<'t>>,
    root: Value,
    /// Values by anchor; `None` while the value is being read, when an alias would be inside of what it names.
    anchors: HashMap<&'t str, Option<Built>>,
    duplicates: Vec<String>,
    failure: Option<YamlError>,
    /// Nodes in all and nodes that came from aliases, the measures of go-yaml's guard.
    decoded: usize,
    aliased: usize,
    aliased_bytes: usize,
}

impl<'t> Builder<'t> {
    fn event(&mut self, event: Event<'t>, line: usize) -> Result<(), YamlError> {
        match event {
            Event::Scalar { value, plain, properties } => self.scalar(&value, plain, &properties, line),
            Event::Alias(anchor) => self.alias(anchor, line)?,
            Event::SequenceStart(properties) => {
                self.open(properties.anchor, FrameKind::Sequence(Vec::new()), line)?;
            }
            Event::MappingStart(properties) => {
                self.open(properties.anchor, FrameKind::Mapping { fields: Map::new(), key: Key::None }, line)?;
            }
            Event::CollectionEnd => self.close(),
            Event::DocumentStart | Event::DocumentEnd | Event::StreamEnd => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, plain: bool, properties: &Properties<'t>, line: usize) {
        let tag = properties.tag.as_deref();
        if self.expects_key() && scalar::is_merge(text, plain, tag) {
            self.set_key(Key::Merge);
            return;
        }
        self.decoded += 1;
        let resolved = scalar::resolve(text, plain, tag).unwrap_or_else(|message| {
            self.fail(YamlError::Decode(message));
            Scalar::Null
        });
        let built = Built { node: Node::Scalar(resolved), nodes: 1, bytes: text.len() + NODE_BYTES };
        self.finish(built, properties.anchor, line);
    }

    fn alias(&mut self, anchor: &'t str, line: usize) -> Result<(), YamlError> {
        let built = match self.anchors.get(anchor) {
            Some(Some(built)) => built,
            Some(None) => {
                self.fail(YamlError::Decode(format!("anchor '{anchor}' value contains itself")));
                self.finish(Built { node: Node::Scalar(Scalar::Null), nodes: 1, bytes: NODE_BYTES }, None, line);
                return Ok(());
            }
            None => return Err(YamlError::Syntax(format!("unknown anchor '{anchor}' referenced"))),
        };
        self.decoded += built.nodes;
        self.aliased += built.nodes;
        self.aliased_bytes += built.bytes;
        if self.aliased_bytes > ALIAS_BYTES_MAX || is_excessive(self.aliased, self.decoded) {
            return Err(YamlError::Decode("document contains excessive aliasing".to_owned()));
        }
        let built = built.clone();
        self.finish(built, None, line);
        Ok(())
    }

    fn open(&mut self, anchor: Option<&'t str>, kind: FrameKind, line: usize) -> Result<(), YamlError> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(error::scanner_error(line, "exceeded max depth of 10000"));
        }
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, None);
        }
        self.decoded += 1;
        self.stack.push(Frame { anchor, nodes: 1, bytes: NODE_BYTES, line, kind });
        Ok(())
    }

    fn close(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        let value = match frame.kind {
            FrameKind::Sequence(items) => Value::Array(items),
            FrameKind::Mapping { fields, .. } => Value::Object(fields),
        };
        let built = Built { node: Node::Collection(value), nodes: frame.nodes, bytes: frame.bytes };
        self.finish(built, frame.anchor, frame.line);
    }

    /// Puts a finished value where it belongs.
    fn finish(&mut self, built: Built, anchor: Option<&'t str>, line: usize) {
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, Some(built.clone()));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = self.value_of(built.node);
            return;
        };
        frame.nodes += built.nodes;
        frame.bytes += built.bytes;
        let key = match &mut frame.kind {
            FrameKind::Sequence(_) => None,
            FrameKind::Mapping { key, .. } => Some(std::mem::replace(key, Key::None)),
        };
        match key {
            None => {
                let value = self.value_of(built.node);
                if let Some(Frame { kind: FrameKind::Sequence(items), .. }) = self.stack.last_mut() {
                    items.push(value);
                }
            }
            Some(Key::None) => {
                let key = self.key_of(built.node);
                self.set_key(key);
            }
            Some(Key::Bad) => {}
            Some(Key::Merge) => self.merge(built.node),
            Some(Key::Name { name, shown }) => {
                let value = self.value_of(built.node);
                let Some(Frame { kind: FrameKind::Mapping { fields, .. }, .. }) = self.stack.last_mut() else { return };
                if fields.insert(name, value).is_some() {
                    self.duplicates.push(format!("line {}: key {shown} already set in map", line + 1));
                }
            }
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { kind: FrameKind::Mapping { key: Key::None, .. }, .. }))
    }

    fn set_key(&mut self, new: Key) {
        if let Some(Frame { kind: FrameKind::Mapping { key, .. }, .. }) = self.stack.last_mut() {
            *key = new;
        }
    }

    /// A key as JSON can have it: numbers and booleans become text, as sigs.k8s.io/yaml converts them.
    fn key_of(&mut self, node: Node) -> Key {
        match node {
            Node::Scalar(scalar) => match scalar.into_key() {
                Ok((name, shown)) => Key::Name { name, shown },
                Err(message) => {
                    self.fail(YamlError::Convert(message));
                    Key::Bad
                }
            },
            Node::Collection(value) => {
                self.fail(YamlError::Decode(format!("invalid map key: {}", gofmt::syntax(&value))));
                Key::Bad
            }
        }
    }

    fn value_of(&mut self, node: Node) -> Value {
        match node {
            Node::Collection(value) => value,
            Node::Scalar(scalar) => scalar.into_json().unwrap_or_else(|message| {
                self.fail(YamlError::Convert(message));
                Value::Null
            }),
        }
    }

    /// `<<: *a` or `<<: [*a, *b]`, of which the first wins. Like go-yaml v2, a merge takes effect where it stands.
    fn merge(&mut self, node: Node) {
        let sources = match node {
            Node::Collection(Value::Object(source)) => vec![source],
            Node::Collection(Value::Array(items)) if items.iter().all(Value::is_object) => items
                .into_iter()
                .rev()
                .filter_map(|item| if let Value::Object(source) = item { Some(source) } else { None })
                .collect(),
            _ => {
                self.fail(YamlError::Decode("map merge requires map or sequence of maps as the value".to_owned()));
                return;
            }
        };
        if let Some(Frame { kind: FrameKind::Mapping { fields, .. }, .. }) = self.stack.last_mut() {
            fields.extend(sources.into_iter().flatten());
        }
    }

    /// Keeps the first failure.
    fn fail(&mut self, failure: YamlError) {
        self.failure.get_or_insert(failure);
    }
}

/// What a node weighs beside its text.
const NODE_BYTES: usize = 64;

/// go-yaml's guard against the billion laughs: small documents may consist of aliases, large ones may not.
fn is_excessive(aliased: usize, decoded: usize) -> bool {
    const SMALL: f64 = 400_000.0;
    const LARGE: f64 = 4_000_000.0;
    if aliased <= 100 || decoded <= 1000 {
        return false;
    }
    let nodes = decoded as f64;
    let allowed = if nodes <= SMALL {
        0.99
    } else if nodes >= LARGE {
        0.10
    } else {
        0.99 - 0.89 * (nodes - SMALL) / (LARGE - SMALL)
    };
    aliased as f64 / nodes > allowed
}

#[cfg(test)]
mod tests;
