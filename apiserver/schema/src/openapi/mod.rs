//! The OpenAPI documents, built from the catalog and the list of served resources.
//!
//! Building unpacks a few megabytes of texts and takes tens of milliseconds: callers keep the result.

mod definitions;
mod descriptions;
mod document;
mod gnostic;
mod operations;
mod render;

use std::sync::Arc;

use serde_json::Value;

use crate::catalog::catalog;
pub use document::{v2_document, v2_protobuf, v3_document, v3_index};

/// A served resource, as the front-end's registry knows it.
#[derive(Debug, Clone)]
pub struct Resource {
    /// `""` for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    /// Kubernetes' verbs: `create`, `delete`, `deletecollection`, `get`, `list`, `patch`, `update`, `watch`.
    pub verbs: Vec<String>,
    pub subresources: Vec<Subresource>,
    /// The `openAPIV3Schema` of a custom resource's version; `None` takes the type from the catalog.
    pub schema: Option<Arc<Value>>,
}

/// A subresource of a [`Resource`].
#[derive(Debug, Clone)]
pub struct Subresource {
    /// `status`, `scale`, `eviction`…
    pub name: String,
    /// Of the body: `autoscaling`/`v1`/`Scale` for `deployments/scale`.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub verbs: Vec<String>,
}

/// What fields of built-in types mean, in the order asked for: `(definition, field)`, a text or `None`.
///
/// Unpacks all texts once: ask for many at a time and keep the answer.
pub fn field_descriptions(fields: &[(&str, &str)]) -> Vec<Option<String>> {
    let texts = descriptions::Descriptions::unpack();
    fields.iter().map(|(definition, field)| texts.field(definition, field).map(str::to_owned)).collect()
}

/// The two versions of OpenAPI.
#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    V2,
    V3,
}

impl Dialect {
    fn definitions_prefix(self) -> &'static str {
        match self {
            Dialect::V2 => "#/definitions/",
            Dialect::V3 => "#/components/schemas/",
        }
    }
}

impl Resource {
    fn has(&self, verb: &str) -> bool {
        self.verbs.iter().any(|own| own == verb)
    }

    /// The name of the definition of the kind.
    fn definition(&self) -> String {
        self.definition_named(&self.kind)
    }

    fn list_definition(&self) -> String {
        self.definition_named(&format!("{}List", self.kind))
    }

    fn definition_named(&self, kind: &str) -> String {
        let built_in = if self.schema.is_none() { definition_of(&self.group, &self.version, kind) } else { None };
        built_in.unwrap_or_else(|| {
            let mut parts: Vec<&str> = self.group.split('.').rev().collect();
            parts.extend([self.version.as_str(), kind]);
            parts.join(".")
        })
    }
}

/// The name of the definition of a built-in kind.
fn definition_of(group: &str, version: &str, kind: &str) -> Option<String> {
    let schema = catalog().kind(group, version, kind)?;
    Some(schema.as_object()?.name().to_owned())
}

#[cfg(test)]
mod tests;
