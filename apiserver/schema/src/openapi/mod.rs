//! The OpenAPI documents, built from the catalog and the list of served resources.

use std::sync::Arc;

use crate::model::Schema;

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
    /// The type of a custom resource; `None` takes the catalog's.
    pub schema: Option<Arc<Schema>>,
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

/// `/openapi/v3`: the list of documents with their hashes, as JSON.
pub fn v3_index(resources: &[Resource]) -> Vec<u8> {
    let _ = resources;
    Vec::new()
}

/// `/openapi/v3/<path>`: one group version (`api/v1`, `apis/apps/v1`), as JSON; `None` if nothing is served there.
pub fn v3_document(resources: &[Resource], path: &str) -> Option<Vec<u8>> {
    let _ = (resources, path);
    None
}

/// `/openapi/v2` as JSON.
pub fn v2_document(resources: &[Resource]) -> Vec<u8> {
    let _ = resources;
    Vec::new()
}
