//! Nobody may give what they lack: who writes a role must hold its rules, who writes a binding those of its role,
//! unless they may `escalate` the one or `bind` the other.
//!
//! Checked where the real server does it: behind mutating admission, before validation, on every way to write.

use kuorum_auth::authz::rbac::{GROUP, escalation, rule::PolicyRule};
use kuorum_kinds::value as json;
use serde_json::Value;
use std::sync::Arc;

use crate::app::Call;
use crate::auth::MASTERS;
use crate::auth::authorizer::Attributes;
use crate::status::ApiError;

/// What garbage collection writes; nobody grants anything with it.
const COLLECTED_FIELDS: [&str; 4] = ["ownerReferences", "finalizers", "managedFields", "resourceVersion"];

/// Refuses roles and bindings that would give the user, or others, more than the user has. `old` is the stored object.
pub async fn check(call: &Call<'_>, object: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    if call.kind.row.group != GROUP || call.user.is_in(MASTERS) {
        return Ok(());
    }
    match call.kind.row.kind {
        "Role" | "ClusterRole" => Box::pin(role(call, object, old)).await,
        "RoleBinding" | "ClusterRoleBinding" => Box::pin(binding(call, object, old)).await,
        _ => Ok(()),
    }
}

async fn role(call: &Call<'_>, role: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let info = call.info;
    let escalate = Attributes {
        version: "*",
        name: info.name,
        namespace: info.namespace,
        ..Attributes::of_resource(call.user, "escalate", info.group, info.resource)
    };
    if call.app.authorization.authorize(&escalate).await.is_allowed() {
        return Ok(());
    }
    if old.is_some_and(|old| only_collected(role, old)) {
        return Ok(());
    }
    let wanted: Vec<Arc<PolicyRule>> = PolicyRule::all_of(role).into_iter().map(Arc::new).collect();
    holds(call, role, &wanted).await?;
    // What others will write is not known yet: only who may do everything may collect it, or let go of collecting it.
    let aggregates = |role: &Value| json::get(role, "aggregationRule").is_object();
    if (aggregates(role) || old.is_some_and(aggregates)) && holds(call, role, &escalation::everything()).await.is_err()
    {
        return Err(forbidden(call, role, "must have cluster-admin privileges to use the aggregationRule"));
    }
    Ok(())
}

async fn binding(call: &Call<'_>, binding: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    if old.is_some_and(|old| only_collected(binding, old)) {
        return Ok(());
    }
    let reference = json::get(binding, "roleRef");
    let (kind, name) = (json::text(reference, "kind"), json::text(reference, "name"));
    let namespace = call.info.namespace;
    let resource = match kind {
        "ClusterRole" => "clusterroles",
        "Role" => "roles",
        _ => return Err(ApiError::plain_500(format!("unsupported role reference kind: {kind:?}"))),
    };
    let bind = Attributes {
        namespace,
        name,
        ..Attributes::of_resource(call.user, "bind", json::text(reference, "apiGroup"), resource)
    };
    if call.app.authorization.authorize(&bind).await.is_allowed() {
        return Ok(());
    }
    if kind == "Role" && namespace.is_empty() {
        return Err(ApiError::bad_request("Namespace parameter required."));
    }
    super::store::fence(call.app, call.deadline).await?;
    // The real server names the resource of the request, not that of the role.
    let missing = |_| ApiError::not_found(GROUP, call.kind.row.plural, name);
    let wanted = call.app.authorization.rbac.rules_of(kind, name, namespace).map_err(missing)?;
    holds(call, binding, &wanted).await
}

/// Whether the user's own rules, as they are now anywhere in the cluster, cover the wanted ones.
async fn holds(call: &Call<'_>, object: &Value, wanted: &[Arc<PolicyRule>]) -> Result<(), ApiError> {
    super::store::fence(call.app, call.deadline).await?;
    let (own, lost) = call.app.authorization.rbac.rules_for(call.user, call.info.namespace);
    let plural = call.kind.row.plural;
    let errors: Vec<String> = lost.iter().map(|lost| format!("{plural}.{GROUP} {:?} not found", lost.name)).collect();
    escalation::confirm(call.user, &own, &errors, wanted).map_err(|why| forbidden(call, object, why))
}

fn forbidden(call: &Call<'_>, object: &Value, why: impl std::fmt::Display) -> ApiError {
    ApiError::forbidden(GROUP, call.kind.row.plural, json::text(object, "metadata.name"), why)
}

/// Whether a change only says who owns the object and what its deletion waits for.
fn only_collected(new: &Value, old: &Value) -> bool {
    let rest = |object: &Value| {
        let mut object = object.clone();
        if let Some(meta) = json::existing(&mut object, "metadata") {
            COLLECTED_FIELDS.iter().for_each(|field| drop(json::remove(meta, field)));
        }
        object
    };
    json::equal(&rest(new), &rest(old))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn owners_and_finalizers_grant_nothing() {
        let old = json!({"metadata": {"name": "r", "finalizers": ["x"], "resourceVersion": "1"}, "rules": [{"verbs": ["get"]}]});
        let mut new =
            json!({"metadata": {"name": "r", "ownerReferences": [{"name": "o"}]}, "rules": [{"verbs": ["get"]}]});
        assert!(only_collected(&new, &old));
        new["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-edit": "true"});
        assert!(!only_collected(&new, &old), "a label can put rules into other roles");
        let mut rules = old.clone();
        rules["rules"] = json!([]);
        assert!(!only_collected(&rules, &old));
    }
}
