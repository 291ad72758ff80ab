//! NamespaceLifecycle: nothing is created in a namespace that is absent or terminating, and three namespaces stay.
//!
//! The check is made twice: here, for the refusal, and as a compare on the namespace in the transaction that creates
//! the object ([`guard`]), so that nothing slips into a namespace that is being emptied.

use std::sync::Arc;

use kuorum_cache::Object;
use kuorum_kinds::row::Scope;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, Verdict, refuse};
use crate::app::Call;
use crate::status::ApiError;
use crate::verbs::store;

pub struct NamespaceLifecycle;

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        _object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if attributes.operation != Operation::Create || !is_namespaced(attributes.call) {
            return None;
        }
        let (call, name) = (attributes.call, attributes.name);
        Some(Box::pin(async move { usable(call, name).await.map(drop) }))
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        _object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let row = &attributes.kind.row;
        let immortal = attributes.operation == Operation::Delete
            && row.group.is_empty()
            && row.kind == "Namespace"
            && IMMORTAL.contains(&attributes.name);
        immortal.then(|| refuse(attributes.forbidden("this namespace may not be deleted")))
    }
}

fn is_namespaced(call: &Call<'_>) -> bool {
    call.kind.row.scope == Scope::Namespaced && call.kind.row.is_stored()
}

/// For the creation of `name`: the key of the request's namespace and the revision at which it was found fit; `None` for cluster-scoped kinds.
pub async fn guard(call: &Call<'_>, name: &str) -> Result<Option<(String, u64)>, ApiError> {
    if !is_namespaced(call) {
        return Ok(None);
    }
    let (_, namespaces) = call.app.resource_named("", "v1", "namespaces")?;
    let object = usable(call, name).await?;
    Ok(Some((namespaces.key("", call.info.namespace), object.revision())))
}

/// The request's namespace, if things may be created in it.
async fn usable(call: &Call<'_>, object: &str) -> Result<Arc<Object>, ApiError> {
    let (_, namespaces) = call.app.resource_named("", "v1", "namespaces")?;
    let name = call.info.namespace;
    let mut found = namespaces.get("", name);
    if found.as_ref().is_none_or(|n| n.deleting()) {
        // Perhaps it was made a moment ago, through another front-end.
        store::fence(call.app, call.deadline).await?;
        found = namespaces.get("", name);
    }
    let Some(namespace) = found else { return Err(ApiError::not_found("", "namespaces", name)) };
    if !namespace.deleting() {
        return Ok(namespace);
    }
    let row = &call.kind.row;
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let error = ApiError::forbidden(row.group, row.plural, object, why);
    Err(error.cause("NamespaceTerminating", format!("namespace {name} is being terminated"), "metadata.namespace"))
}
