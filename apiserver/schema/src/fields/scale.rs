//! Owners of an object seen through its scale subresource: they own the replicas, or nothing.

use serde_json::Value;

use super::managed::{Managed, Operation};
use super::set::Set;

/// The version of the Scale kind.
const SCALE: &str = "autoscaling/v1";

/// Where a Scale has its replicas.
const REPLICAS: [&str; 2] = ["spec", "replicas"];

/// An object whose replicas are scaled.
pub struct Scaled<'a> {
    /// `metadata.managedFields` of the object.
    pub managed: &'a Value,
    /// The version of the request.
    pub api_version: &'a str,
    /// Where the object has its replicas, by version; `None` for a version that the kind does not have.
    pub replicas: &'a dyn Fn(&str) -> Option<Vec<String>>,
}

impl Scaled<'_> {
    fn owns(&self, set: &Set, api_version: &str) -> Option<bool> {
        let path = (self.replicas)(api_version)?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        Some(set.has_field(&path))
    }

    /// The owners of the replicas, as owners of the Scale: the value of its managedFields.
    pub fn to_scale(&self) -> Option<Value> {
        let mut managed = Managed::decode_stored(self.managed.clone()).unwrap_or_default();
        managed.entries.retain_mut(|entry| {
            if self.owns(&entry.set, &entry.api_version) != Some(true) {
                return false;
            }
            SCALE.clone_into(&mut entry.api_version);
            entry.set = Set::of_fields(&[&REPLICAS]);
            true
        });
        // Owners that differ by their version only are still told apart when they come back.
        managed.encode()
    }

    /// The owners of the object after its Scale was written with these owners.
    pub fn from_scale(&self, scale: &Value) -> Option<Value> {
        let mut parent = Managed::decode_stored(self.managed.clone()).unwrap_or_default();
        let mut scale = Managed::decode_stored(scale.clone()).unwrap_or_default();
        parent.entries.retain_mut(|entry| {
            let Some(owns) = self.owns(&entry.set, &entry.api_version) else { return false };
            if !owns {
                return true;
            }
            let mut as_scale = entry.clone();
            SCALE.clone_into(&mut as_scale.api_version);
            if scale.take(&as_scale).is_some() {
                return true;
            }
            // Somebody else has written the replicas.
            if let Some(path) = (self.replicas)(&entry.api_version) {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                entry.set.subtract(&Set::of_fields(&[&path]));
            }
            !entry.set.is_empty()
        });
        let path = (self.replicas)(self.api_version).unwrap_or_default();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        for mut entry in scale.entries.into_iter().filter(|entry| entry.set.has_field(&REPLICAS)) {
            // The real server looks the time up among the object's own owners, where a new one is not.
            let known = parent.entries.iter().find(|own| {
                own.operation == entry.operation && own.manager == entry.manager && own.subresource == entry.subresource
            });
            entry.time = known.filter(|_| entry.operation == Operation::Apply).and_then(|own| own.time.clone());
            self.api_version.clone_into(&mut entry.api_version);
            entry.set = Set::of_fields(&[&path]);
            parent.entries.push(entry);
        }
        parent.encode()
    }
}
