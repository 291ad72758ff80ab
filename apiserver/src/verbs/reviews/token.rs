//! TokenReview: whose token is this?

use kuorum_kinds::value as json;
use serde_json::{Value, json};

use super::self_subject::user_info;
use crate::app::Call;
use crate::status::ApiError;

/// The status: the user of the token, with the audiences that it is good for.
pub async fn status(call: &Call<'_>, review: &Value) -> Result<Value, ApiError> {
    let token = json::text(review, "spec.token");
    if token.is_empty() {
        return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
    }
    let mut audiences = audiences(call);
    let wanted = json::items(review, "spec.audiences");
    if !wanted.is_empty() {
        audiences.retain(|a| wanted.iter().any(|w| w == a));
    }
    Ok(match call.app.authenticator.token_user(token).filter(|_| !audiences.is_empty()) {
        Some(user) => json!({"authenticated": true, "user": user_info(&user), "audiences": audiences}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    })
}

/// The audiences of this API.
fn audiences(call: &Call<'_>) -> Vec<String> {
    let config = &call.app.config;
    let own = if config.api_audiences.is_empty() { &config.service_account_issuer } else { &config.api_audiences };
    own.clone()
}
