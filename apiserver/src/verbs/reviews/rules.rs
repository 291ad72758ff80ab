//! SelfSubjectRulesReview: what may I do in this namespace?

use kuorum_kinds::value as json;
use serde_json::{Value, json};

use crate::app::Call;
use crate::status::ApiError;

pub fn status(_call: &Call<'_>, review: &Value) -> Result<Value, ApiError> {
    if json::text(review, "spec.namespace").is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    // Rules come with RBAC; an incomplete answer says that it is one.
    Ok(json!({
        "resourceRules": [], "nonResourceRules": [], "incomplete": true,
        "evaluationError": "no authorizer of this server lists rules",
    }))
}
