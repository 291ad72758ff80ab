//! Subresources: status and named parts go through the object's own verbs, scale and actions have their own files.

use http::StatusCode;
use kuorum_kinds::row::{Subresource, SubresourceRole};
use serde_json::Value;

use super::{Response, actions, patch, reviews, scale, token_request, update};
use crate::app::Call;
use crate::body::Payload;
use crate::status::ApiError;

/// Answers a request for a subresource that the kind has, in a verb that it has.
pub async fn handle(
    call: &Call<'_>,
    subresource: &Subresource,
    verb: &str,
    payload: Payload,
) -> Result<Response, ApiError> {
    match (subresource.role, verb) {
        (SubresourceRole::Scale, _) => scale::handle(call, verb, payload).await,
        (SubresourceRole::Status | SubresourceRole::Part, "get") => super::get::get(call).await,
        (SubresourceRole::Status | SubresourceRole::Part, "update") => update::update(call, payload).await,
        (SubresourceRole::Status | SubresourceRole::Part, "patch") => patch::patch(call, payload).await,
        (SubresourceRole::Action, "create") => match (call.kind.row.plural, subresource.name) {
            ("pods", "binding") => actions::bind(call, payload).await,
            ("pods", "eviction") => actions::evict(call, payload).await,
            ("serviceaccounts", "token") => token_request::create(call, payload).await,
            _ => Err(not_implemented(subresource.name)),
        },
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// Answers a create of a kind that is not stored: a review is filled in, a Binding binds.
pub async fn review(call: &Call<'_>, object: Value) -> Result<Response, ApiError> {
    match call.kind.row.kind {
        "Binding" => actions::bind_object(call, object).await,
        _ => reviews::answer(call, object).await,
    }
}

fn not_implemented(what: &str) -> ApiError {
    ApiError::new(
        StatusCode::NOT_IMPLEMENTED,
        "NotImplemented",
        format!("{what} is not implemented by this server yet"),
    )
}
