//! Server-side apply: merging a configuration, taking out what its applier no longer wants, finding conflicts.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use super::compare::compare;
use super::managed::{Conflicts, Entry, Managed, Operation};
use super::merge::{merge, remove, with_named_fields};
use super::set::Set;
use super::to_set::to_set;
use super::tracker::{Others, Tracker, managed_of, put_managed, take_managed};
use super::validate::validate;
use crate::codec;
use crate::model::Schema;
use crate::patch::strategic::check_types;

/// The applier whose objects may have been applied by the client before.
const KUBECTL: &str = "kubectl";

/// Where a client that merges by itself keeps what it has applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Most bytes in all annotations of an object.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Why an apply is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// 400 with this message.
    #[error("{0}")]
    BadRequest(String),
    /// 409: others own what would change.
    #[error("{}", .0.message())]
    Conflicts(Conflicts),
    /// 500 with this message: the configuration does not fit the type, as the real server answers.
    #[error("{0}")]
    Internal(String),
}

/// One apply request.
pub(super) struct Apply<'t> {
    pub tracker: &'t Tracker<'t>,
    pub manager: &'t str,
    pub force: bool,
}

/// The type of a value: that of the request, or of another version.
enum Type<'t> {
    Own(&'t Schema),
    Other(Arc<Schema>),
}

impl Deref for Type<'_> {
    type Target = Schema;

    fn deref(&self) -> &Schema {
        match self {
            Type::Own(schema) => schema,
            Type::Other(schema) => schema,
        }
    }
}

/// Who owns what would change, and what that is.
type Taken = Vec<(Entry, Set)>;

enum Attempt {
    Merged(Value),
    Conflicts(Taken),
}

impl Apply<'_> {
    pub fn run(&self, live: Option<&Value>, config: &Value) -> Result<Value, ApplyError> {
        let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
        if (text("apiVersion"), text("kind")) != (self.tracker.api_version, self.tracker.kind) {
            let shown = kind_text(text("apiVersion"), text("kind"));
            return Err(ApplyError::BadRequest(format!("invalid object type: {shown}")));
        }
        let mut managed = Managed::decode_stored(live.map_or(&Value::Null, managed_of).clone())
            .map_err(|why| ApplyError::Internal(format!("failed to decode managed fields: {why}")))?;
        if managed_of(config).is_array() {
            return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
        }
        let base = self.base(live)?;
        if managed.entries.is_empty() {
            managed = self.tracker.before_first_apply(&base);
        }
        self.check(config)?;
        let mut merged = match self.attempt(&base, config, managed.clone(), self.force)? {
            Attempt::Merged(object) => object,
            Attempt::Conflicts(taken) => self.after_client_side_apply(&base, config, managed, taken)?,
        };
        if self.manager == KUBECTL {
            update_last_applied(&mut merged, config);
        }
        Ok(merged)
    }

    /// The live object without its owners, or the empty one. Stored objects spell out what Go prints for unset fields;
    /// decoded ones do not, and only those can be compared as a whole.
    fn base(&self, live: Option<&Value>) -> Result<Value, ApplyError> {
        let Some(live) = live else { return Ok(self.tracker.nothing()) };
        let decoded = codec::decode_value(live, self.tracker.schema)
            .map_err(|why| ApplyError::Internal(format!("failed to convert live object to proper version: {why}")))?;
        let mut base = decoded.value;
        take_managed(&mut base);
        Ok(base)
    }

    fn check(&self, config: &Value) -> Result<(), ApplyError> {
        validate(self.tracker.schema, config).map_err(|why| {
            let shown = self.shown(config);
            ApplyError::Internal(format!("failed to create typed patch object ({shown}): {why}"))
        })
    }

    /// The configuration as messages name it: `default/web; apps/v1, Kind=Deployment`.
    fn shown(&self, config: &Value) -> String {
        let meta = |key: &str| config.get("metadata").and_then(|m| m.get(key)).and_then(Value::as_str);
        let kind = kind_text(self.tracker.api_version, self.tracker.kind);
        format!("{}/{}; {kind}", meta("namespace").unwrap_or_default(), meta("name").unwrap_or_default())
    }

    fn attempt(&self, live: &Value, config: &Value, mut managed: Managed, force: bool) -> Result<Attempt, ApplyError> {
        let tracker = self.tracker;
        let mut own = tracker.entry(self.manager, Operation::Apply);
        own.set = to_set(tracker.schema, config);
        tracker.reset.filter(&mut own.set);
        let last = managed.take(&own);
        own.time = last.as_ref().and_then(|entry| entry.time.clone());
        let merged = merge(tracker.schema, live, config);
        let merged = match last {
            Some(last) if !last.set.is_empty() => self.prune(merged, &last, &own, &managed)?,
            _ => merged,
        };
        let comparison = tracker.compare(live, &merged);
        let mut others = Others::new(tracker, live, &merged, &comparison);
        let mut taken = Taken::new();
        managed.entries.retain_mut(|entry| {
            let Some(comparison) = others.of(&entry.api_version) else { return false };
            let conflict = entry.set.intersection(&comparison.changed);
            if !conflict.is_empty() {
                if force {
                    entry.set.subtract(&conflict);
                } else {
                    taken.push((entry.clone(), conflict));
                }
            }
            entry.set.subtract(&comparison.removed);
            !entry.set.is_empty()
        });
        if !taken.is_empty() {
            return Ok(Attempt::Conflicts(taken));
        }
        let mut object = self.decode(merged, config)?;
        if &object != live {
            own.time = Some(tracker.now.to_owned());
        }
        if !own.set.is_empty() {
            managed.entries.push(own);
        }
        take_managed(&mut object);
        put_managed(&mut object, managed.encode());
        Ok(Attempt::Merged(object))
    }

    /// The merged object by the rules of a request body.
    fn decode(&self, merged: Value, config: &Value) -> Result<Value, ApplyError> {
        let schema = self.tracker.schema;
        let decoded = check_types(&merged, schema)
            .and_then(|()| codec::decode_value(&merged, schema).map_err(|error| error.to_string()));
        let decoded = decoded.map_err(|why| {
            let kind = kind_text(self.tracker.api_version, self.tracker.kind);
            ApplyError::Internal(format!(
                "failed to convert new object ({}) to proper version: unable to convert unstructured object to {kind}: {why}",
                self.shown(config)
            ))
        })?;
        Ok(decoded.value)
    }

    /// The same object in another version, if the kind has it.
    fn at(&self, value: &Value, api_version: &str) -> Option<(Value, Type<'_>)> {
        if value.get("apiVersion").and_then(Value::as_str) == Some(api_version) {
            let schema = if api_version == self.tracker.api_version {
                Type::Own(self.tracker.schema)
            } else {
                Type::Other(self.tracker.versions.convert(value, api_version)?.1)
            };
            return Some((value.clone(), schema));
        }
        let (value, schema) = self.tracker.versions.convert(value, api_version)?;
        Some((value, Type::Other(schema)))
    }

    /// Takes out what the applier had applied and does not any more, unless somebody else owns it too.
    fn prune(&self, merged: Value, last: &Entry, own: &Entry, others: &Managed) -> Result<Value, ApplyError> {
        let own_version = self.tracker.api_version;
        let Some((at_last, schema)) = self.at(&merged, &last.api_version) else { return Ok(merged) };
        let last_set = with_named_fields(&schema, &last.set);
        let mut pruned = remove(&schema, at_last.clone(), &last_set);
        let mut managed: BTreeMap<&str, Set> = BTreeMap::new();
        for entry in others.entries.iter().chain([own]) {
            managed.entry(&entry.api_version).or_default().unite(&entry.set);
        }
        // The last version first: what others own there may be needed to convert.
        let first = managed.remove_entry(last.api_version.as_str());
        for (version, managed) in first.into_iter().chain(managed) {
            let (Some((all, schema)), Some((left, _))) = (self.at(&at_last, version), self.at(&pruned, version)) else {
                continue;
            };
            let named = |set: &Set| with_named_fields(&schema, set);
            let mut gone = named(&to_set(&schema, &all));
            gone.subtract(&named(&to_set(&schema, &left)));
            gone.subtract(&named(&managed));
            pruned = remove(&schema, all, &gone);
        }
        // Only what the applier had owned goes, not what nobody owns.
        let Some((left, _)) = self.at(&pruned, &last.api_version) else { return Ok(merged) };
        let mut gone = with_named_fields(&schema, &to_set(&schema, &at_last));
        gone.subtract(&with_named_fields(&schema, &to_set(&schema, &left)));
        let gone = gone.intersection(&last_set);
        let pruned = remove(&schema, at_last, &gone);
        Ok(self.at(&pruned, own_version).map_or(pruned, |(value, _)| value))
    }

    /// kubectl may take over what it has applied by itself before: conflicts about that are none.
    fn after_client_side_apply(
        &self,
        live: &Value,
        config: &Value,
        managed: Managed,
        mut taken: Taken,
    ) -> Result<Value, ApplyError> {
        let refused = |taken: Taken| Err(ApplyError::Conflicts(Conflicts::of(taken)));
        let Some(allowed) = (self.manager == KUBECTL).then(|| self.last_applied(live)).flatten() else {
            return refused(taken);
        };
        taken.retain_mut(|(_, set)| {
            set.subtract(&allowed);
            !set.is_empty()
        });
        if !taken.is_empty() {
            return refused(taken);
        }
        match self.attempt(live, config, managed, true)? {
            Attempt::Merged(object) => Ok(object),
            Attempt::Conflicts(taken) => refused(taken),
        }
    }

    /// The fields of the last configuration that kubectl has merged by itself, as far as they still are what it said.
    fn last_applied(&self, live: &Value) -> Option<Set> {
        let text = live.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()?;
        let last: Value = serde_json::from_str(text).ok()?;
        let schema = self.tracker.schema;
        if last.get("apiVersion")?.as_str()? != self.tracker.api_version || validate(schema, &last).is_err() {
            return None;
        }
        let mut set = to_set(schema, &last);
        let comparison = compare(schema, &last, live);
        set.subtract(&comparison.changed);
        set.subtract(&comparison.removed);
        Some(set)
    }
}

/// Keeps the annotation of client-side apply up to date where there is one, so that a user can go back.
fn update_last_applied(object: &mut Value, config: &Value) {
    let annotations = object.get_mut("metadata").and_then(|m| m.get_mut("annotations")).and_then(Value::as_object_mut);
    let Some(annotations) = annotations else { return };
    if annotations.get(LAST_APPLIED).and_then(Value::as_str).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    if let Some(own) = config.get_mut("metadata").and_then(|m| m.get_mut("annotations")).and_then(Value::as_object_mut)
    {
        own.remove(LAST_APPLIED);
    }
    let mut text = Vec::new();
    codec::print(&config, &mut text);
    text.push(b'\n');
    annotations.insert(LAST_APPLIED.to_owned(), String::from_utf8(text).unwrap_or_default().into());
    let bytes: usize = annotations.iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        annotations.remove(LAST_APPLIED);
    }
}

/// A kind as Go prints it: `apps/v1, Kind=Deployment`, `/v1, Kind=Pod`.
fn kind_text(api_version: &str, kind: &str) -> String {
    let group_version = match api_version.matches('/').count() {
        0 => format!("/{api_version}"),
        1 => api_version.to_owned(),
        // What is no version makes the whole kind unknown.
        _ => return "/, Kind=".to_owned(),
    };
    format!("{group_version}, Kind={kind}")
}
