//! The rules of ownership: what a write does to the owners of an object's fields.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::apply::ApplyError;
use super::compare::{Comparison, compare, compare_lists};
use super::managed::{Entry, Managed, Operation, is_reset};
use super::set::Set;
use super::{apply, validate};
use crate::model::Schema;

/// The owner of what an object had before its first apply, if nobody was tracked until then.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The name of an owner that gives none.
const UNKNOWN_MANAGER: &str = "unknown";

/// Which fields a request cannot change, because the server resets them: these get no owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset<'a> {
    /// These and all below them.
    Fields(&'a [&'a [&'a str]]),
    /// All but these and what is below them; `*` is any element.
    AllBut(&'a [&'a [&'a str]]),
}

impl Reset<'_> {
    pub const NONE: Reset<'static> = Reset::Fields(&[]);

    /// Takes what is reset out of a set.
    pub fn filter(&self, set: &mut Set) {
        match self {
            Reset::Fields([]) => {}
            Reset::Fields(paths) => set.subtract_deep(&Set::of_fields(paths)),
            Reset::AllBut(paths) => set.retain_below(paths),
        }
    }
}

/// Other versions of the object's kind, in which other owners may have written.
pub trait Versions {
    /// The object in another version, and its type there. `None`: the kind has no such version (any more).
    fn convert(&self, object: &Value, api_version: &str) -> Option<(Value, Arc<Schema>)>;
}

/// A kind with one version.
pub struct OneVersion;

impl Versions for OneVersion {
    fn convert(&self, _: &Value, _: &str) -> Option<(Value, Arc<Schema>)> {
        None
    }
}

/// Everything about a request that decides who owns what.
pub struct Tracker<'a> {
    pub schema: &'a Schema,
    /// `apps/v1`: the version of the request, in which the objects are.
    pub api_version: &'a str,
    pub kind: &'a str,
    /// Empty for the object itself.
    pub subresource: &'a str,
    pub reset: Reset<'a>,
    pub versions: &'a dyn Versions,
    /// RFC 3339, UTC, whole seconds.
    pub now: &'a str,
}

impl Tracker<'_> {
    /// Records a write other than an apply in `new`'s managedFields. `live`: the object before, `None` for a create.
    ///
    /// A client may have written managedFields of its own: they count, unless they are malformed; `[]` and `[{}]` forget
    /// all owners. Through a subresource they do not count.
    pub fn update(&self, live: Option<&Value>, new: &mut Value, manager: &str) {
        let stored = live.map_or(&Value::Null, managed_of);
        let given = take_managed(new);
        let managed = self.starting_point(stored, given);
        if managed.entries.is_empty() && live.is_some() {
            // Nobody has been tracked in this object so far: that starts with an apply.
            return;
        }
        if is_custom(self.schema) && !validate::fits(self.schema, new) {
            // It will be refused; the owners are as they were.
            put_managed(new, (!stored.is_null()).then(|| stored.clone()));
            return;
        }
        let nothing = self.nothing();
        let live = live.unwrap_or(&nothing);
        let (comparison, comparable) = compare_lists(self.schema, live, new);
        if !comparable {
            // Items without a key cannot be told apart; the owners are as they were.
            put_managed(new, (!stored.is_null()).then(|| stored.clone()));
            return;
        }
        let managed = self.updated(live, new, self.filtered(comparison), managed, manager);
        put_managed(new, managed.encode());
    }

    /// Merges `config` into `live` (`None`: there is no such object yet). Returns the merged object with its owners,
    /// decoded but not defaulted.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn apply(&self, live: Option<&Value>, config: &Value, manager: &str, force: bool) -> Result<Value, ApplyError> {
        apply::Apply { tracker: self, manager, force }.run(live, config)
    }

    /// The object that there was before a create.
    pub(super) fn nothing(&self) -> Value {
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), self.api_version.into());
        object.insert("kind".to_owned(), self.kind.into());
        Value::Object(object)
    }

    /// The entry of a manager of this request, owning nothing yet.
    pub(super) fn entry(&self, manager: &str, operation: Operation) -> Entry {
        Entry {
            manager: if manager.is_empty() { UNKNOWN_MANAGER.to_owned() } else { manager.to_owned() },
            operation,
            api_version: self.api_version.to_owned(),
            subresource: self.subresource.to_owned(),
            time: None,
            set: Set::default(),
        }
    }

    fn starting_point(&self, stored: &Value, given: Option<Value>) -> Managed {
        let of_stored = || Managed::decode_stored(stored.clone()).unwrap_or_default();
        match given {
            // The usual case: a client sends back what it has read. Its copy is ours to take apart.
            Some(given) if given == *stored => Managed::decode_stored(given).unwrap_or_default(),
            None => of_stored(),
            Some(_) if !self.subresource.is_empty() => of_stored(),
            Some(given) if is_reset(&given) => Managed::default(),
            Some(given) => match Managed::decode(given) {
                Ok(managed) if !managed.entries.is_empty() => managed,
                _ => of_stored(),
            },
        }
    }

    /// The owners after `live` has become `new`.
    fn updated(
        &self,
        live: &Value,
        new: &Value,
        comparison: Comparison,
        mut managed: Managed,
        manager: &str,
    ) -> Managed {
        // Nobody owns what is not his any more.
        let mut others = Others::new(self, live, new, &comparison);
        managed.entries.retain_mut(|entry| {
            let Some(comparison) = others.of(&entry.api_version) else { return false };
            entry.set.subtract(&comparison.changed);
            entry.set.subtract(&comparison.removed);
            !entry.set.is_empty()
        });
        if !comparison.changed.is_empty() {
            let mut own = self.entry(manager, Operation::Update);
            own.set = match managed.take(&own) {
                Some(mut before) => {
                    before.set.unite(&comparison.changed);
                    before.set
                }
                None => comparison.changed,
            };
            own.time = Some(self.now.to_owned());
            managed.entries.push(own);
        }
        managed.cap();
        managed
    }

    /// The owner of all that an object has, if nobody was tracked before.
    pub(super) fn before_first_apply(&self, live: &Value) -> Managed {
        let nothing = self.nothing();
        self.updated(&nothing, live, self.compare(&nothing, live), Managed::default(), BEFORE_FIRST_APPLY)
    }

    /// The difference of two objects of this version, without what is reset.
    pub(super) fn compare(&self, old: &Value, new: &Value) -> Comparison {
        self.filtered(compare(self.schema, old, new))
    }

    fn filtered(&self, mut comparison: Comparison) -> Comparison {
        self.reset.filter(&mut comparison.changed);
        self.reset.filter(&mut comparison.removed);
        comparison
    }
}

/// The difference of two objects in the versions of their owners, each worked out once.
pub(super) struct Others<'t> {
    tracker: &'t Tracker<'t>,
    old: &'t Value,
    new: &'t Value,
    own: &'t Comparison,
    converted: Vec<(String, Option<Comparison>)>,
}

impl<'t> Others<'t> {
    pub fn new(tracker: &'t Tracker<'t>, old: &'t Value, new: &'t Value, own: &'t Comparison) -> Self {
        Others { tracker, old, new, own, converted: Vec::new() }
    }

    /// The difference in a version; `None` if there is no such version.
    pub fn of(&mut self, api_version: &str) -> Option<&Comparison> {
        if api_version == self.tracker.api_version {
            return Some(self.own);
        }
        if !self.converted.iter().any(|(version, _)| version == api_version) {
            let comparison = self.convert(api_version);
            self.converted.push((api_version.to_owned(), comparison));
        }
        self.converted.iter().find(|(version, _)| version == api_version)?.1.as_ref()
    }

    fn convert(&self, api_version: &str) -> Option<Comparison> {
        let versions = self.tracker.versions;
        let (old, schema) = versions.convert(self.old, api_version)?;
        let (new, _) = versions.convert(self.new, api_version)?;
        Some(self.tracker.filtered(compare(&schema, &old, &new)))
    }
}

fn is_custom(schema: &Schema) -> bool {
    schema.as_object().is_some_and(|object| object.custom)
}

/// The value of `metadata.managedFields`, null where there is none.
pub fn managed_of(object: &Value) -> &Value {
    static NULL: Value = Value::Null;
    object.get("metadata").and_then(|metadata| metadata.get("managedFields")).unwrap_or(&NULL)
}

/// Takes `metadata.managedFields` out of an object.
pub fn take_managed(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

/// Puts `metadata.managedFields` into an object.
pub fn put_managed(object: &mut Value, managed: Option<Value>) {
    let Some(managed) = managed else { return };
    let Some(object) = object.as_object_mut() else { return };
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("managedFields".to_owned(), managed);
    }
}
