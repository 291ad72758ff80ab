//! Admission: what may be written, beyond what is valid. Plugins in one list, in the order in which they are asked.
//!
//! Mutating plugins run after decoding and defaulting, validating ones on the object as it would be written.

pub mod certificate_signers;
pub mod certificate_subject_restriction;
pub mod default_ingress_class;
pub mod default_storage_class;
pub mod default_toleration_seconds;
pub mod lifecycle;
pub mod persistent_volume_claim_resize;
pub mod pod_topology_labels;
pub mod priority;
mod read;
mod registry;
pub mod runtime_class;
pub mod storage_object_in_use_protection;
pub mod taint_nodes_by_condition;

use std::future::Future;
use std::pin::Pin;

use kuorum_kinds::kind::Kind;
use kuorum_kinds::value as json;
use serde_json::Value;

use crate::app::Call;
use crate::config::{Config, ConfigError};
use crate::status::ApiError;

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
}

/// What a plugin may know about a request.
pub struct Attributes<'a> {
    pub call: &'a Call<'a>,
    pub kind: &'a Kind,
    pub operation: Operation,
    pub dry_run: bool,
    /// Empty for a create with a generated name, and for a whole collection.
    pub name: &'a str,
    pub namespace: &'a str,
    pub subresource: &'a str,
}

impl<'a> Attributes<'a> {
    pub fn new(call: &'a Call<'a>, operation: Operation, dry_run: bool) -> Self {
        let info = call.info;
        Attributes {
            call,
            kind: call.kind,
            operation,
            dry_run,
            name: info.name,
            namespace: info.namespace,
            subresource: info.subresource,
        }
    }

    /// Whether the object is of this kind.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.kind.row.group == group && self.kind.row.kind == kind
    }

    /// Whether an object of this kind, not a subresource of it, is made.
    pub fn creates(&self, group: &str, kind: &str) -> bool {
        self.operation == Operation::Create && self.subresource.is_empty() && self.is(group, kind)
    }

    /// The refusal of a plugin: `pods "x" is forbidden: <why>`.
    pub fn forbidden(&self, why: impl std::fmt::Display) -> ApiError {
        ApiError::forbidden(self.kind.row.group, self.kind.row.plural, self.name, why)
    }

    /// As [`Attributes::forbidden`], for an object that may have no name yet.
    pub fn refusal(&self, object: &Value, why: impl std::fmt::Display) -> ApiError {
        let names = [self.name, json::text(object, "metadata.name"), json::text(object, "metadata.generateName")];
        let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or("Unknown");
        ApiError::forbidden(self.kind.row.group, self.kind.row.plural, name, why)
    }

    /// For an object that the path does not name.
    pub fn named(self, name: &'a str) -> Self {
        Attributes { name, ..self }
    }
}

/// A plugin's answer, which may have to wait (webhooks).
pub type Verdict<'a> = Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send + 'a>>;

/// A refusal that needs no waiting.
pub fn refuse<'a>(error: ApiError) -> Verdict<'a> {
    Box::pin(std::future::ready(Err(error)))
}

/// One admission plugin.
pub trait Plugin: Send + Sync {
    /// As `--enable-admission-plugins` spells it.
    fn name(&self) -> &'static str;

    /// May change the object. `None` means that the plugin changes nothing and has nothing against this.
    fn admit<'a>(
        &'a self,
        _attributes: &'a mut Attributes<'_>,
        _object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        None
    }

    /// May refuse. `None` means that it does not.
    fn validate<'a>(
        &'a self,
        _attributes: &'a Attributes<'_>,
        _object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        None
    }
}

/// Adds to the list in field `key`, which is made where it is absent or `null`.
fn append(object: &mut Value, key: &str, item: Value) {
    json::set_default_if_empty(object, key, || Value::Array(Vec::new()));
    if let Some(Value::Array(items)) = json::get_mut(object, key) {
        items.push(item);
    }
}

/// The plugins of this process.
pub struct Chain(Vec<Box<dyn Plugin>>);

impl Chain {
    /// The plugins that are on by default, with those of `--enable-admission-plugins` and without those of
    /// `--disable-admission-plugins`. Fails on names that kube-apiserver does not know and on contradictions.
    pub fn from_config(config: &Config) -> Result<Self, ConfigError> {
        registry::chosen(&config.enable_admission_plugins, &config.disable_admission_plugins).map(Chain)
    }

    /// Asks the mutating side of every plugin.
    pub async fn admit(
        &self,
        attributes: &mut Attributes<'_>,
        mut object: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        for plugin in &self.0 {
            if let Some(verdict) = plugin.admit(attributes, object.as_deref_mut(), old) {
                verdict.await?;
            }
        }
        Ok(())
    }

    /// Asks the validating side of every plugin.
    pub async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        for plugin in &self.0 {
            if let Some(verdict) = plugin.validate(attributes, object, old) {
                verdict.await?;
            }
        }
        Ok(())
    }
}
