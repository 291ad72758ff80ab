//! What plugins read of other objects: from the cache, and of each object only the fields that count.
//!
//! Reads do not wait for the store. [`decide`] makes up for that: what is refused for the cache's sake is decided
//! again when the cache is known to be up to date.

use std::collections::BTreeMap;

use kuorum_cache::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::Verdict;
use crate::app::Call;
use crate::status::ApiError;
use crate::verbs::store;

/// A built-in resource, as the registry names it: group, version, plural.
#[derive(Clone, Copy, Debug)]
pub struct Name(pub &'static str, pub &'static str, pub &'static str);

impl Name {
    fn resource(self, call: &Call<'_>) -> Result<Resource, ApiError> {
        let Name(group, version, plural) = self;
        call.app.resource_named(group, version, plural).map(|(_, resource)| resource)
    }

    /// The cluster-scoped object of this name, if the cache has it.
    pub fn get<T: DeserializeOwned>(self, call: &Call<'_>, name: &str) -> Result<Option<T>, ApiError> {
        let found = self.resource(call)?.get("", name);
        found.map(|object| parse(object.json(), name)).transpose()
    }

    /// The object of this name in a namespace, if the cache has it.
    pub fn get_in<T: DeserializeOwned>(
        self,
        call: &Call<'_>,
        namespace: &str,
        name: &str,
    ) -> Result<Option<T>, ApiError> {
        let found = self.resource(call)?.get(namespace, name);
        found.map(|object| parse(object.json(), name)).transpose()
    }

    /// The cached objects of a namespace.
    pub fn in_namespace<T: DeserializeOwned>(self, call: &Call<'_>, namespace: &str) -> Result<Vec<T>, ApiError> {
        let mut walk = self.resource(call)?.snapshot().walk(namespace, "");
        let mut found = Vec::with_capacity(walk.remaining());
        while let Some(object) = walk.next_object() {
            found.push(parse(object.json(), object.name())?);
        }
        Ok(found)
    }

    /// The cached objects whose JSON contains `mark`: few are read in full, however many there are.
    pub fn marked<T: DeserializeOwned>(self, call: &Call<'_>, mark: &str) -> Result<Vec<T>, ApiError> {
        let finder = memchr::memmem::Finder::new(mark);
        let snapshot = self.resource(call)?.snapshot();
        let marked = snapshot.iter().filter(|object| finder.find(object.json()).is_some());
        marked.map(|object| parse(object.json(), object.name())).collect()
    }
}

fn parse<T: DeserializeOwned>(json: &[u8], name: &str) -> Result<T, ApiError> {
    serde_json::from_slice(json).map_err(|error| ApiError::internal(format!("failed to read {name:?}: {error}")))
}

/// Decides with what the cache holds. A refusal may be about yesterday's objects, so it is decided again behind a
/// fence; `decision` must therefore change nothing when it refuses.
pub fn decide<'a>(
    call: &'a Call<'_>,
    mut decision: impl FnMut() -> Result<(), ApiError> + Send + 'a,
) -> Option<Verdict<'a>> {
    decision().err()?;
    Some(Box::pin(async move {
        store::fence(call.app, call.deadline).await?;
        decision()
    }))
}

/// `metadata` of an object that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    pub name: String,
    #[serde(deserialize_with = "null_as_default")]
    pub uid: String,
    /// RFC 3339 in UTC: sorts as text.
    #[serde(deserialize_with = "null_as_default")]
    pub creation_timestamp: String,
    #[serde(deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
}

/// In a stored object, `null` is absence.
pub fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// An object of which only the metadata counts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Class {
    pub metadata: Metadata,
}

/// The name of the class that one of `annotations` makes the default: the newest; of several made in one second, the
/// first by name.
pub fn default_class(classes: Vec<Class>, annotations: &[&str]) -> Option<String> {
    let marked = |m: &Metadata| annotations.iter().any(|a| m.annotations.get(*a).is_some_and(|v| v == "true"));
    let newer =
        |a: &Metadata, b: &Metadata| a.creation_timestamp.cmp(&b.creation_timestamp).then_with(|| b.name.cmp(&a.name));
    classes.into_iter().map(|c| c.metadata).filter(marked).max_by(newer).map(|m| m.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_class_is_the_default() {
        let class = |name: &str, made: &str, default: &str| {
            serde_json::from_value::<Class>(json!({
                "metadata": {"name": name, "creationTimestamp": made, "annotations": {"is-default": default}}
            }))
            .unwrap()
        };
        let old = class("old", "2026-01-01T00:00:00Z", "true");
        let new = class("new", "2026-01-02T00:00:00Z", "true");
        let twin = class("a-twin", "2026-01-02T00:00:00Z", "true");
        let off = class("off", "2026-01-03T00:00:00Z", "false");
        let none = serde_json::from_value::<Class>(json!({"metadata": {"name": "none"}})).unwrap();
        let rows: [(&[&Class], Option<&str>); 5] = [
            (&[], None),
            (&[&off, &none], None),
            (&[&old, &new, &off], Some("new")),
            (&[&new, &old], Some("new")),
            (&[&new, &twin, &old], Some("a-twin")),
        ];
        for (classes, expected) in rows {
            let classes = classes.iter().map(|c| (*c).clone()).collect();
            assert_eq!(default_class(classes, &["is-default", "beta/is-default"]).as_deref(), expected);
        }
    }
}
