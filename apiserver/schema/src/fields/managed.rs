//! `metadata.managedFields`: who owns which fields.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::set::{Set, path_text};
use crate::patch::gofmt;

/// How an owner came to own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// One owner and what it owns.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub manager: String,
    pub operation: Operation,
    /// The version in which the set's paths are to be read.
    pub api_version: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// RFC 3339, UTC, whole seconds; absent where an owner has never changed anything.
    pub time: Option<String>,
    pub set: Set,
}

impl Entry {
    /// Whether both entries are of one owner. An applier is one owner in all versions.
    pub fn same_owner(&self, other: &Entry) -> bool {
        self.operation == other.operation
            && self.manager == other.manager
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// The owner as the real server's code names it: a text that only sorts.
    fn identity(&self) -> String {
        let mut fields = Map::new();
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                fields.insert(name.to_owned(), value.into());
            }
        };
        // The order of the names is the order of the fields of the Go type.
        put("0", &self.manager);
        put("1", self.operation.as_str());
        if self.operation == Operation::Update {
            put("2", &self.api_version);
        }
        put("3", &self.subresource);
        Value::Object(fields).to_string()
    }

    /// The owner as messages name it.
    pub fn shown(&self) -> String {
        let mut text = gofmt::quote(&self.manager);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {}", gofmt::quote(&self.subresource));
        }
        if self.operation == Operation::Update {
            text += &format!(" using {}", self.api_version);
        }
        text
    }

    /// The order of the entries in an object.
    fn order(&self, other: &Entry) -> Ordering {
        self.operation
            .cmp(&other.operation)
            .then_with(|| self.time.as_deref().unwrap_or_default().cmp(other.time.as_deref().unwrap_or_default()))
            .then_with(|| self.manager.cmp(&other.manager))
            .then_with(|| self.api_version.cmp(&other.api_version))
            .then_with(|| self.subresource.cmp(&other.subresource))
    }

    fn decode(mut entry: Value, trusted: bool) -> Result<Entry, String> {
        let fields = entry.get_mut("fieldsV1").map(Value::take);
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".to_owned()),
        };
        if text("apiVersion").is_empty() {
            return Err("apiVersion must not be empty".to_owned());
        }
        match text("fieldsType") {
            "FieldsV1" => {}
            "" => return Err("missing fieldsType in managed fields entry".to_owned()),
            other => return Err(format!("invalid fieldsType {other:?} in managed fields entry")),
        }
        let set = match fields {
            None | Some(Value::Null) => Set::default(),
            Some(Value::Object(tree)) if trusted => Set::of_tree(tree),
            Some(fields) => Set::parse(&fields)?,
        };
        Ok(Entry {
            manager: text("manager").to_owned(),
            operation,
            api_version: text("apiVersion").to_owned(),
            subresource: text("subresource").to_owned(),
            time: entry.get("time").and_then(Value::as_str).map(str::to_owned),
            set,
        })
    }

    fn encode(self) -> Value {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| {
            if value != "" {
                fields.insert(name.to_owned(), value);
            }
        };
        put("manager", self.manager.into());
        put("operation", self.operation.as_str().into());
        put("apiVersion", self.api_version.into());
        put("subresource", self.subresource.into());
        put("fieldsType", "FieldsV1".into());
        put("fieldsV1", self.set.into_value());
        if let Some(time) = self.time {
            put("time", time.into());
        }
        Value::Object(fields)
    }
}

/// Most owners by update that an object keeps; the oldest are merged into one.
const UPDATERS_MAX: usize = 10;

/// The owner into which the oldest ones are merged.
const ANCIENT: &str = "ancient-changes";

/// All owners of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Managed {
    pub entries: Vec<Entry>,
}

impl Managed {
    /// Reads the value of `metadata.managedFields` as a client may have written it.
    ///
    /// # Errors
    /// An entry is malformed; the text says how.
    pub fn decode(entries: Value) -> Result<Managed, String> {
        Self::decode_as(entries, false)
    }

    /// Reads what the server itself has written: its sets are canonical.
    pub(super) fn decode_stored(entries: Value) -> Result<Managed, String> {
        Self::decode_as(entries, true)
    }

    fn decode_as(entries: Value, trusted: bool) -> Result<Managed, String> {
        let mut managed = Managed::default();
        let Value::Array(entries) = entries else { return Ok(managed) };
        for entry in entries {
            let entry = Entry::decode(entry, trusted)?;
            // Of two entries of one owner the later one counts.
            managed.take(&entry);
            managed.entries.push(entry);
        }
        Ok(managed)
    }

    /// The value of `metadata.managedFields`; `None` where there is no owner.
    pub fn encode(mut self) -> Option<Value> {
        if self.entries.is_empty() {
            return None;
        }
        self.entries.sort_by(Entry::order);
        Some(self.entries.into_iter().map(Entry::encode).collect())
    }

    /// Removes the entry of the owner of `like`.
    pub fn take(&mut self, like: &Entry) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.same_owner(like))?;
        Some(self.entries.remove(at))
    }

    /// Merges the oldest entries of updates, so that there are no more than [`UPDATERS_MAX`].
    pub(super) fn cap(&mut self) {
        let updaters = |managed: &Managed| managed.entries.iter().filter(|e| e.operation == Operation::Update).count();
        let mut left = updaters(self);
        if left <= UPDATERS_MAX {
            return;
        }
        let mut oldest: Vec<Entry> = Vec::new();
        let mut kept = Vec::new();
        for entry in std::mem::take(&mut self.entries) {
            if entry.operation == Operation::Update { oldest.push(entry) } else { kept.push(entry) }
        }
        oldest.sort_by_cached_key(|entry| (entry.time.clone().unwrap_or_default(), entry.identity()));
        // The first of each version stays as it is until there is a second.
        let mut buckets: BTreeMap<String, usize> = BTreeMap::new();
        for entry in oldest {
            let bucket = buckets.get(&entry.api_version).copied();
            match bucket {
                Some(at) if left > UPDATERS_MAX => {
                    let into: &mut Entry = &mut kept[at];
                    into.manager = ANCIENT.to_owned();
                    into.subresource = String::new();
                    into.set.unite(&entry.set);
                    into.time = entry.time;
                    left -= 1;
                }
                _ => {
                    buckets.entry(entry.api_version.clone()).or_insert(kept.len());
                    kept.push(entry);
                }
            }
        }
        self.entries = kept;
    }
}

/// Whether a client asks for the owners to be forgotten: `[]` or `[{}]`.
pub(super) fn is_reset(entries: &Value) -> bool {
    match entries.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([one]) => one.as_object().is_some_and(|fields| fields.values().all(is_unset)),
        _ => false,
    }
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Whether two values of `managedFields` differ in nothing but times.
pub fn equal_but_for_times(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_array(), b.as_array()) else { return false };
    let same = |a: &Value, b: &Value| {
        let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return false };
        let without_time = |fields: &Map<String, Value>| fields.len() - usize::from(fields.contains_key("time"));
        without_time(a) == without_time(b) && a.iter().all(|(key, value)| key == "time" || b.get(key) == Some(value))
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

/// A field that an applier wants to change and another owner holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The owner, for messages: `"kubectl" using apps/v1`.
    pub manager: String,
    /// `.spec.replicas`
    pub field: String,
}

/// All conflicts of one apply, by owner, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

impl Conflicts {
    /// What `sets` have of the owners' fields.
    pub(super) fn of(mut owners: Vec<(Entry, Set)>) -> Conflicts {
        owners.sort_by_cached_key(|(entry, _)| entry.identity());
        let conflicts = owners.iter().flat_map(|(entry, set)| {
            let manager = entry.shown();
            set.members().into_iter().map(move |path| Conflict { manager: manager.clone(), field: path_text(&path) })
        });
        Conflicts(conflicts.collect())
    }

    /// The message of the 409.
    pub fn message(&self) -> String {
        if let [one] = self.0.as_slice() {
            return format!("Apply failed with 1 conflict: conflict with {}: {}", one.manager, one.field);
        }
        let mut lines = Vec::new();
        let mut manager = None;
        for conflict in &self.0 {
            if manager != Some(&conflict.manager) {
                lines.push(format!("conflicts with {}:", conflict.manager));
                manager = Some(&conflict.manager);
            }
            lines.push(format!("- {}", conflict.field));
        }
        format!("Apply failed with {} conflicts: {}", self.0.len(), lines.join("\n"))
    }
}
