//! The runtime form of a kind, the same for built-ins and custom resources.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use kuorum_schema::Schema;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::field::Errors;
use crate::hooks::{Context, TablePrinter};
use crate::metadata::Pass;
use crate::row::{KindRow, Scope};
use crate::{metadata, table, value};

/// What the verbs work with. Made from a [`KindRow`] and its schema (later also from a CRD).
pub struct Kind {
    pub row: KindRow,
    /// `v1`, `apps/v1`
    pub api_version: String,
    /// `/registry/<group of the stored version, or core>/<plural>/`
    pub storage_prefix: String,
    /// The schema of this version.
    pub schema: Arc<Schema>,
}

impl Kind {
    pub fn new(row: KindRow, schema: Arc<Schema>) -> Self {
        let (group, ..) = row.storage_kind();
        let group = if group.is_empty() { "core" } else { group };
        Kind {
            api_version: row.api_version(),
            storage_prefix: format!("/registry/{group}/{}/", row.plural),
            schema,
            row,
        }
    }

    /// The storage key of an object; `namespace` is empty for cluster-scoped kinds.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        if namespace.is_empty() {
            format!("{}{name}", self.storage_prefix)
        } else {
            format!("{}{namespace}/{name}", self.storage_prefix)
        }
    }

    /// `storageVersionHash` of discovery; `None` for kinds that are not stored.
    pub fn storage_version_hash(&self) -> Option<String> {
        if !self.row.is_stored() {
            return None;
        }
        let (group, version, kind) = self.row.storage_kind();
        let version = self.row.hash_version.unwrap_or(version);
        let digest = Sha256::digest(format!("{group}/{version}/{kind}"));
        Some(STANDARD.encode(&digest[..8]))
    }

    /// `pods` or `deployments.apps`: how messages name the resource.
    pub fn qualified_resource(&self) -> String {
        if self.row.group.is_empty() {
            self.row.plural.to_owned()
        } else {
            format!("{}.{}", self.row.plural, self.row.group)
        }
    }

    /// Fills in defaults; idempotent. For requests after decoding, and for objects read from the store.
    pub fn default(&self, object: &mut Value) {
        if let Some(default) = self.row.hooks.default {
            default(object);
        }
    }

    /// Makes a decoded, defaulted object ready for creation: status cleared, generation set, the kind's own rules.
    ///
    /// Name, namespace, uid and creationTimestamp are the caller's.
    pub fn prepare_create(&self, object: &mut Value, context: &Context) {
        if self.row.has_status() && !self.row.hooks.keeps_status {
            value::remove(object, "status");
        }
        if let Some(meta) = value::existing(object, "metadata") {
            for key in ["selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"] {
                value::remove(meta, key);
            }
        }
        if let Some(prepare) = self.row.hooks.prepare_create {
            prepare(object, context);
        }
        if self.row.generation {
            set_generation(object, self.row.hooks.first_generation);
        }
    }

    /// Makes a decoded, defaulted object ready to replace `old`: what this request may not change is carried over,
    /// unset system metadata too, and the generation grows if the desired state differs.
    pub fn prepare_update(&self, new: &mut Value, old: &Value, context: &Context) {
        let old_generation = value::int(old, "metadata.generation").unwrap_or(0);
        metadata::prepare_update(new, old);
        match context.subresource {
            "status" => keep_all_but_status(new, old),
            "" if self.row.has_status() => value::carry_over(new, old, "status"),
            _ => {}
        }
        if let Some(prepare) = self.row.hooks.prepare_update {
            prepare(new, old, context);
        }
        self.default(new);
        if self.row.generation {
            let changed = match self.row.hooks.desired_state_changed {
                Some(changed) => changed(new, old),
                None => !value::equal(value::get(new, "spec"), value::get(old, "spec")),
            };
            set_generation(new, old_generation + i64::from(changed));
        }
    }

    /// What is wrong with a prepared object that is to be created; in the order of the real server's causes.
    pub fn validate_create(&self, object: &Value, context: &Context) -> Errors {
        let mut errors = Errors::new();
        let namespaced = self.row.scope == Scope::Namespaced;
        metadata::validate(object, namespaced, self.row.hooks.name, &mut errors);
        if let Some(validate) = self.row.hooks.validate_create {
            errors.append(&mut validate(object, context));
        }
        errors
    }

    /// What is wrong with a prepared object that is to replace `old`.
    pub fn validate_update(&self, new: &Value, old: &Value, context: &Context) -> Errors {
        let mut errors = Errors::new();
        let namespaced = self.row.scope == Scope::Namespaced;
        metadata::validate_any(new, namespaced, &mut errors);
        metadata::validate_update(new, old, &mut errors);
        // And once more by the kind's own rules: kubectl shows it all.
        let passes = if context.subresource.is_empty() { self.row.hooks.update_metadata } else { &[Pass::Update] };
        for pass in passes {
            match pass {
                Pass::Create => metadata::validate(new, namespaced, self.row.hooks.name, &mut errors),
                Pass::Update => metadata::validate_kind_update(new, old, &mut errors),
            }
        }
        if let Some(validate) = self.row.hooks.validate_update {
            errors.append(&mut validate(new, old, context));
        }
        errors
    }

    /// Texts for `Warning:` headers.
    pub fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = metadata::warnings(new);
        if let Some(more) = self.row.hooks.warnings {
            warnings.extend(more(new, old));
        }
        warnings
    }

    /// From the stored version to this one, in place, defaults included.
    pub fn from_storage(&self, object: &mut Value) {
        if let Some(convert) = self.row.hooks.from_storage {
            convert(object);
        }
    }

    /// From this version to the stored one, in place.
    pub fn to_storage(&self, object: &mut Value) {
        if let Some(convert) = self.row.hooks.to_storage {
            convert(object);
        }
    }

    /// The main resource's columns: the kind's own, or name and creation time.
    pub fn table(&self) -> TablePrinter {
        self.row.hooks.table.unwrap_or(table::DEFAULT)
    }
}

fn set_generation(object: &mut Value, generation: i64) {
    if let Some(meta) = value::child(object, "metadata") {
        if generation == 0 {
            value::remove(meta, "generation");
        } else {
            value::set(meta, "generation", generation);
        }
    }
}

/// A write to `status` changes status and metadata only.
fn keep_all_but_status(new: &mut Value, old: &Value) {
    let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) else { return };
    new.retain(|key, _| matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
    for (key, value) in old {
        if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status") {
            new.insert(key.clone(), value.clone());
        }
    }
}
