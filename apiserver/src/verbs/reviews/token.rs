//! TokenReview: whose token is this?

use kuorum_auth::authn::Refusal;
use kuorum_kinds::value as json;
use serde_json::{Value, json};

use super::self_subject::user_info;
use crate::app::Call;
use crate::auth::setup::audiences;
use crate::status::ApiError;

/// The status: the user of the token, with the audiences that it is good for.
pub async fn status(call: &Call<'_>, review: &Value) -> Result<Value, ApiError> {
    let token = json::text(review, "spec.token");
    if token.is_empty() {
        return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
    }
    let mut wanted: Vec<String> =
        json::items(review, "spec.audiences").iter().filter_map(|a| a.as_str().map(str::to_owned)).collect();
    if wanted.is_empty() {
        wanted = audiences(&call.app.config).to_vec();
    }
    match call.app.authenticator.tokens.review(token, &wanted).await {
        Ok(found) => Ok(json!({
            "authenticated": true, "user": user_info(&found.user), "audiences": found.audiences,
        })),
        Err(Refusal::Wrong(why)) => Ok(json!({"user": {}, "error": why})),
        Err(Refusal::Unavailable(why)) => Err(ApiError::unavailable(why, 1)),
    }
}
