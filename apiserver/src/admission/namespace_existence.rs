//! NamespaceExists and NamespaceAutoProvision: what to do about a namespace that is not there.

use kuorum_kinds::row::Scope;
use serde_json::{Value, json};

use super::{Attributes, Operation, Plugin, Verdict};
use crate::app::Call;
use crate::loopback::Client;
use crate::status::ApiError;
use crate::verbs::store;

/// Refuses to write into it.
pub struct NamespaceExists;
/// Makes it.
pub struct NamespaceAutoProvision;

impl Plugin for NamespaceExists {
    fn name(&self) -> &'static str {
        "NamespaceExists"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        _object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if attributes.operation == Operation::Connect || !is_missing(attributes) {
            return None;
        }
        Some(Box::pin(async move {
            store::fence(attributes.call.app, attributes.call.deadline).await?;
            if is_missing(attributes) {
                return Err(ApiError::not_found("", "namespaces", attributes.namespace));
            }
            Ok(())
        }))
    }
}

impl Plugin for NamespaceAutoProvision {
    fn name(&self) -> &'static str {
        "NamespaceAutoProvision"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        _object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if attributes.operation != Operation::Create || attributes.dry_run || !is_missing(attributes) {
            return None;
        }
        let call = attributes.call;
        Some(Box::pin(provide(call, attributes.namespace)))
    }
}

async fn provide(call: &Call<'_>, name: &str) -> Result<(), ApiError> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    match Client::new(call.app.clone()).post("/api/v1/namespaces", &namespace).await {
        Ok(_) => Ok(()),
        // Somebody else made it.
        Err(refused) if refused.code == 409 => Ok(()),
        Err(refused) => Err(ApiError::internal(refused)),
    }
}

/// Whether the cache lacks the namespace that a namespaced object goes to.
fn is_missing(attributes: &Attributes<'_>) -> bool {
    if attributes.namespace.is_empty() || attributes.kind.row.scope != Scope::Namespaced {
        return false;
    }
    let namespaces = attributes.call.app.resource_named("", "v1", "namespaces");
    namespaces.is_ok_and(|(_, namespaces)| namespaces.get("", attributes.namespace).is_none())
}
