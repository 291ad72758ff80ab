//! JSON Patch (RFC 6902) with the liberties that Kubernetes clients rely on.
//!
//! The server's library is laxer than the RFC: a path may lack its first slash, a missing member reads as `null`,
//! `replace` creates, negative indices count from the end. Its limits are kept too.

use serde_json::{Map, Value};

use super::document::{self, depth, json_kind};
use super::{Opened, PATCH_DEPTH_MAX, PatchError};

/// Most operations of one patch, as kube-apiserver's.
pub const OPERATIONS_MAX: usize = 10_000;
/// Most bytes of JSON that the `copy` operations of one patch may add; more would let a small patch, copying what it
/// copied, fill the memory.
pub const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A decoded JSON Patch.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPatch {
    operations: Vec<Operation>,
    /// What strict field validation refuses and the default level warns of: `json patch unknown field "[0].x"`.
    pub strict_errors: Vec<String>,
}

/// Decodes `patch` and applies it to `doc`.
pub fn apply(doc: &Value, patch: &[u8]) -> Result<Value, PatchError> {
    JsonPatch::decode(patch)?.apply(doc.clone())
}

#[derive(Clone, Debug, PartialEq)]
struct Operation {
    kind: Kind,
    /// `None` if the patch has none or `null`.
    path: Option<String>,
    from: Option<String>,
    /// A missing value is `null`, as in the server's library.
    value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
    Unknown(String),
}

impl JsonPatch {
    /// Decodes a patch. `null` has no operations.
    pub fn decode(patch: &[u8]) -> Result<Self, PatchError> {
        let refuse = |message: String| PatchError::BadRequest(format!("error decoding patch: {message}"));
        let document = document::parse(patch).map_err(refuse)?;
        let items = match document.value {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            other => {
                let kind = json_kind(&other);
                return Err(refuse(format!(
                    "json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
                )));
            }
        };
        let mut strict_errors: Vec<String> =
            document.duplicates.iter().map(|path| format!("json patch duplicate field {path:?}")).collect();
        let mut operations = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            operations.push(Operation::decode(item, index, &mut strict_errors).map_err(refuse)?);
        }
        if operations.len() > OPERATIONS_MAX {
            return Err(PatchError::TooLarge(format!(
                "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
                operations.len()
            )));
        }
        Ok(JsonPatch { operations, strict_errors })
    }

    /// Whether the patch does nothing.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// What the operations reach into.
    pub fn opened(&self) -> Opened {
        let mut opened = Opened::default();
        for path in self.operations.iter().flat_map(|operation| operation.path.iter().chain(&operation.from)) {
            let steps: Vec<String> =
                path.trim_start_matches('/').split('/').map(|s| s.replace("~1", "/").replace("~0", "~")).collect();
            opened.reach(steps.iter().map(String::as_str));
        }
        opened
    }

    /// Applies all operations, in order, or none.
    pub fn apply(&self, mut doc: Value) -> Result<Value, PatchError> {
        let mut budget = Budget { copied: 0, depth: depth(&doc) };
        for operation in &self.operations {
            operation.apply(&mut doc, &mut budget).map_err(PatchError::Unprocessable)?;
        }
        Ok(doc)
    }
}

/// What the operations of one patch may use up together.
struct Budget {
    /// Bytes of JSON that `copy` has added.
    copied: usize,
    /// No value of the document is nested deeper than this; it may be less.
    depth: usize,
}

impl Budget {
    fn copy(&mut self, value: &Value) -> Result<(), String> {
        self.copied += json_length(value);
        if self.copied > COPIED_BYTES_MAX {
            return Err(format!(
                "unable to complete the copy, the accumulated size increase of copy is {}, exceeding the limit \
                 {COPIED_BYTES_MAX}",
                self.copied
            ));
        }
        Ok(())
    }

    /// Notes that a value with `below` levels of its own now stands at `path`. Without this, a patch that moves what
    /// it moved could nest a document a level deeper with every operation.
    fn nest(&mut self, doc: &Value, path: &str, below: usize) -> Result<(), String> {
        self.depth = self.depth.max(levels(path) + below);
        if self.depth > PATCH_DEPTH_MAX {
            // The estimate is too high after moves; the walk settles it.
            self.depth = depth(doc);
        }
        if self.depth > PATCH_DEPTH_MAX {
            return Err(format!("the patched document is nested deeper than {PATCH_DEPTH_MAX} levels"));
        }
        Ok(())
    }
}

/// How many containers a path leads through.
fn levels(path: &str) -> usize {
    path.bytes().filter(|&b| b == b'/').count()
}

impl Operation {
    fn decode(item: Value, index: usize, strict_errors: &mut Vec<String>) -> Result<Self, String> {
        let mut fields = match item {
            Value::Null => Map::new(),
            Value::Object(fields) => fields,
            other => {
                let kind = json_kind(&other);
                return Err(format!("json: cannot unmarshal {kind} into Go value of type handlers.jsonPatchOp"));
            }
        };
        let mut text = |name: &str| match fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => {
                let kind = json_kind(&other);
                Err(format!("json: cannot unmarshal {kind} into Go struct field jsonPatchOp.{name} of type string"))
            }
        };
        let (kind, path, from) = (text("op")?, text("path")?, text("from")?);
        let kind = match kind.as_deref() {
            Some("add") => Kind::Add,
            Some("remove") => Kind::Remove,
            Some("replace") => Kind::Replace,
            Some("move") => Kind::Move,
            Some("copy") => Kind::Copy,
            Some("test") => Kind::Test,
            other => Kind::Unknown(other.unwrap_or("unknown").to_owned()),
        };
        let value = fields.remove("value").unwrap_or_default();
        strict_errors.extend(fields.keys().map(|name| format!("json patch unknown field \"[{index}].{name}\"")));
        Ok(Operation { kind, path, from, value })
    }

    fn apply(&self, doc: &mut Value, budget: &mut Budget) -> Result<(), String> {
        match &self.kind {
            Kind::Add => {
                let path = self.path()?;
                add(doc, path, self.value.clone())?;
                budget.nest(doc, path, depth(&self.value))
            }
            Kind::Remove => remove(doc, self.path()?).map(drop),
            Kind::Replace => {
                let path = self.path()?;
                replace(doc, path, &self.value)?;
                budget.nest(doc, path, depth(&self.value))
            }
            Kind::Move => {
                let (from, path) = (self.from()?, self.path()?);
                let value = remove(doc, from)?;
                add(doc, path, value)?;
                budget.nest(doc, path, budget.depth.saturating_sub(levels(from)))
            }
            Kind::Copy => {
                let (from, path) = (self.from()?, self.path()?);
                let value = get(doc, from)?;
                budget.copy(value)?;
                let (value, below) = (value.clone(), depth(value));
                add(doc, path, value)?;
                budget.nest(doc, path, below)
            }
            Kind::Test => {
                let path = self.path()?;
                let actual = if path.is_empty() { &*doc } else { get(doc, path)? };
                if *actual == self.value { Ok(()) } else { Err(format!("testing value {path} failed")) }
            }
            Kind::Unknown(kind) => Err(format!("unexpected kind: {kind}")),
        }
    }

    fn path(&self) -> Result<&str, String> {
        self.path.as_deref().ok_or_else(|| "operation missing path field".to_owned())
    }

    fn from(&self) -> Result<&str, String> {
        self.from.as_deref().ok_or_else(|| "operation missing from field".to_owned())
    }
}

/// The container that the last segment of `path` is looked up in, and that segment.
///
/// Whatever stands before the first slash is ignored; a path without a slash leads nowhere.
fn find<'d>(doc: &'d mut Value, path: &str) -> Result<(&'d mut Value, String), String> {
    let missing = || format!("doc is missing path: {path}");
    let (_, tail) = path.split_once('/').ok_or_else(missing)?;
    let mut container = doc;
    let mut segments = tail.split('/');
    let mut last = segments.next().unwrap_or_default();
    for (depth, segment) in segments.enumerate() {
        if depth >= PATCH_DEPTH_MAX {
            return Err(missing());
        }
        let key = unescape(last);
        container = match container {
            Value::Object(fields) => fields.get_mut(&key),
            Value::Array(items) => existing_index(&key, items.len()).ok().and_then(|at| items.get_mut(at)),
            _ => None,
        }
        .ok_or_else(missing)?;
        last = segment;
    }
    if !matches!(container, Value::Object(_) | Value::Array(_)) {
        return Err(missing());
    }
    Ok((container, unescape(last)))
}

/// The value at `path`; a missing member of an object reads as `null`.
fn get<'d>(doc: &'d mut Value, path: &str) -> Result<&'d Value, String> {
    let (container, key) = find(doc, path)?;
    match container {
        Value::Object(fields) => Ok(fields.get(&key).unwrap_or(&Value::Null)),
        Value::Array(items) => Ok(&items[existing_index(&key, items.len())?]),
        _ => Err(format!("doc is missing path: {path}")),
    }
}

fn add(doc: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let (container, key) = find(doc, path)?;
    match container {
        Value::Object(fields) => {
            fields.insert(key, value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            // An index may be one past the end; a negative one counts from there.
            let at = existing_index(&key, items.len() + 1)?;
            items.insert(at, value);
        }
        _ => return Err(format!("doc is missing path: {path}")),
    }
    Ok(())
}

/// Takes out the value at `path`, which must be there.
fn remove(doc: &mut Value, path: &str) -> Result<Value, String> {
    let (container, key) = find(doc, path)?;
    match container {
        Value::Object(fields) => fields.remove(&key).ok_or_else(|| format!("unable to remove nonexistent key: {key}")),
        Value::Array(items) => Ok(items.remove(existing_index(&key, items.len())?)),
        _ => Err(format!("doc is missing path: {path}")),
    }
}

fn replace(doc: &mut Value, path: &str, value: &Value) -> Result<(), String> {
    if path.is_empty() {
        // The library ignores a whole document that is no object or list.
        if matches!(value, Value::Object(_) | Value::Array(_)) {
            *doc = value.clone();
        }
        return Ok(());
    }
    let (container, key) = find(doc, path)?;
    match container {
        Value::Object(fields) => {
            fields.insert(key, value.clone());
        }
        Value::Array(items) => {
            let at = existing_index(&key, items.len())?;
            items[at] = value.clone();
        }
        _ => return Err(format!("doc is missing path: {path}")),
    }
    Ok(())
}

/// An index below `len`; negative ones count from the end.
fn existing_index(key: &str, len: usize) -> Result<usize, String> {
    let index: i64 = key.parse().map_err(|_| format!("value was not a proper array index: '{key}'"))?;
    let position = if index < 0 { index.checked_add_unsigned(len as u64) } else { Some(index) };
    position
        .and_then(|at| usize::try_from(at).ok())
        .filter(|&at| at < len)
        .ok_or_else(|| format!("unable to access invalid index: {index}"))
}

/// `~1` is a slash, `~0` a tilde; other tildes stand for themselves.
fn unescape(segment: &str) -> String {
    let mut key = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(at) = rest.find('~') {
        key.push_str(&rest[..at]);
        let (c, used) = match rest.as_bytes().get(at + 1) {
            Some(b'1') => ('/', 2),
            Some(b'0') => ('~', 2),
            _ => ('~', 1),
        };
        key.push(c);
        rest = &rest[at + used..];
    }
    key.push_str(rest);
    key
}

/// The number of bytes of a value's compact JSON.
fn json_length(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // A counter cannot fail, and every key is a string.
    _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

#[cfg(test)]
mod tests;
