//! SelfSubjectRulesReview: what may I do in this namespace?

use std::sync::Arc;

use kuorum_auth::authz::rbac::rule::PolicyRule;
use kuorum_kinds::value as json;
use serde_json::{Value, json};

use crate::app::Call;
use crate::status::ApiError;

/// The rules that the authorizers can list. Others (nodes, webhooks) may allow more; the status says so.
pub fn status(call: &Call<'_>, review: &Value) -> Result<Value, ApiError> {
    let namespace = json::text(review, "spec.namespace");
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let list = call.app.authorization.rules(call.user, namespace);
    let of = |which: fn(&PolicyRule) -> bool| -> Vec<Value> {
        let rules = list.rules.iter().map(Arc::as_ref).filter(|rule| which(rule));
        rules.map(PolicyRule::to_json).collect()
    };
    let mut status = json!({
        "resourceRules": of(|rule| !rule.resources.is_empty()),
        "nonResourceRules": of(|rule| !rule.urls.is_empty()),
        "incomplete": list.incomplete,
    });
    if !list.errors.is_empty() {
        json::set(&mut status, "evaluationError", list.errors.join("\n"));
    }
    Ok(status)
}
