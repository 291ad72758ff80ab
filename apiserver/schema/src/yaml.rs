//! YAML to JSON values, as `sigs.k8s.io/yaml` (go-yaml v2) reads it.
//!
//! YAML 1.1's scalars (`yes`, `0777`, `~`), merge keys, anchors and aliases with a bound on what they expand to. Only
//! the first document of a stream is read. The nesting is kept on a stack of our own, so no input can overflow ours.

mod error;
mod scalar;

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use crate::patch::gofmt;
pub use error::YamlError;
use error::{go_scan_error, unknown_anchor};
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
    let text = error::check_characters(yaml)?;
    let mut builder = Builder::new(text);
    let mut parser = Parser::new_from_str(text);
    loop {
        let (event, span) = match next(&mut parser) {
            None => break,
            Some(Ok(item)) => item,
            Some(Err(error)) => return Err(unknown_anchor(text, &error).unwrap_or_else(|| go_scan_error(text, &error))),
        };
        match event {
            Event::DocumentEnd | Event::StreamEnd => break,
            _ => builder.event(event, span)?,
        }
    }
    // go-yaml decodes after it has parsed, so syntax errors anywhere win over these.
    match builder.failure {
        Some(failure) => Err(failure),
        None => Ok(Document { value: builder.root, duplicates: builder.duplicates }),
    }
}

type Item<'t> = Result<(Event<'t>, Span), saphyr_parser::ScanError>;

fn next<'t>(parser: &mut Parser<'t, StrInput<'t>>) -> Option<Item<'t>> {
    parser.next_event()
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
struct Frame {
    /// 0 if it has no anchor.
    anchor: usize,
    nodes: usize,
    bytes: usize,
    /// Where it begins; a complaint about a value names the first line of the value.
    start: Marker,
    /// Written with brackets or braces. Only known (and needed) if the text has tabs.
    flow: bool,
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

struct Builder<'t> {
    text: &'t str,
    /// The lines of a text that has tabs.
    lines: Option<Vec<&'t str>>,
    stack: Vec<Frame>,
    root: Value,
    /// Finished anchors by number. One that an alias names and that is not here contains the alias.
    anchors: HashMap<usize, Built>,
    duplicates: Vec<String>,
    failure: Option<YamlError>,
    /// Nodes in all and nodes that came from aliases, the measures of go-yaml's guard.
    decoded: usize,
    aliased: usize,
    aliased_bytes: usize,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        Builder {
            text,
            lines: text.contains('\t').then(|| text.split('\n').collect()),
            stack: Vec::new(),
            root: Value::Null,
            anchors: HashMap::new(),
            duplicates: Vec::new(),
            failure: None,
            decoded: 0,
            aliased: 0,
            aliased_bytes: 0,
        }
    }

    fn event(&mut self, event: Event<'t>, span: Span) -> Result<(), YamlError> {
        if let (Some(lines), Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..)) =
            (&self.lines, &event)
        {
            let in_flow = self.stack.last().is_some_and(|frame| frame.flow);
            if !in_flow && error::is_indented_by_tab(lines, span.start) {
                return Err(error::cannot_start(span.start));
            }
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), span.start),
            Event::Alias(anchor) => self.alias(anchor, span)?,
            Event::SequenceStart(anchor, _) => self.open(anchor, FrameKind::Sequence(Vec::new()), span)?,
            Event::MappingStart(anchor, _) => {
                self.open(anchor, FrameKind::Mapping { fields: Map::new(), key: Key::None }, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, tag: Option<&Tag>, start: Marker) {
        let plain = style == ScalarStyle::Plain;
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
        self.finish(built, anchor, start);
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), YamlError> {
        let Some(built) = self.anchors.get(&anchor) else {
            let name = error::name_at(self.text, span.start);
            self.fail(YamlError::Decode(format!("anchor '{name}' value contains itself")));
            self.finish(Built { node: Node::Scalar(Scalar::Null), nodes: 1, bytes: NODE_BYTES }, 0, span.start);
            return Ok(());
        };
        self.decoded += built.nodes;
        self.aliased += built.nodes;
        self.aliased_bytes += built.bytes;
        if self.aliased_bytes > ALIAS_BYTES_MAX || is_excessive(self.aliased, self.decoded) {
            return Err(YamlError::Decode("document contains excessive aliasing".to_owned()));
        }
        let built = built.clone();
        self.finish(built, 0, span.start);
        Ok(())
    }

    fn open(&mut self, anchor: usize, kind: FrameKind, span: Span) -> Result<(), YamlError> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(error::too_deep(span.start));
        }
        self.decoded += 1;
        let in_flow = self.stack.last().is_some_and(|frame| frame.flow);
        let flow = in_flow || self.lines.as_ref().is_some_and(|lines| error::is_bracket(lines, span.start));
        self.stack.push(Frame { anchor, nodes: 1, bytes: NODE_BYTES, start: span.start, flow, kind });
        Ok(())
    }

    fn close(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        let value = match frame.kind {
            FrameKind::Sequence(items) => Value::Array(items),
            FrameKind::Mapping { fields, .. } => Value::Object(fields),
        };
        let built = Built { node: Node::Collection(value), nodes: frame.nodes, bytes: frame.bytes };
        self.finish(built, frame.anchor, frame.start);
    }

    /// Puts a finished value where it belongs.
    fn finish(&mut self, built: Built, anchor: usize, start: Marker) {
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
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
                    self.duplicates.push(format!("line {}: key {shown} already set in map", start.line()));
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
