//! Reviews: questions that are answered and not stored, one file each. Who am I, whose token is this, may they do that?

mod access;
mod rules;
mod self_subject;
mod token;

use bytes::Bytes;
use http::StatusCode;
use kuorum_kinds::field::FieldError;
use kuorum_kinds::value as json;
use kuorum_schema::codec;
use kuorum_schema::fields::{put_managed, take_managed};
use serde_json::{Value, json};

use super::{Response, reply};
use crate::app::Call;
use crate::status::ApiError;

/// Fills in the status of a review and answers it.
pub async fn answer(call: &Call<'_>, mut review: Value) -> Result<Response, ApiError> {
    prepare(call, &mut review)?;
    let status = match call.kind.row.kind {
        "SelfSubjectReview" => self_subject::status(call),
        "TokenReview" => token::status(call, &review).await?,
        "SelfSubjectAccessReview" => access::own(call, &review).await?,
        "SubjectAccessReview" | "LocalSubjectAccessReview" => access::of_subject(call, &review).await?,
        "SelfSubjectRulesReview" => rules::status(call, &review)?,
        other => return Err(ApiError::internal(format!("{other} is not answered by this server"))),
    };
    if call.kind.row.kind == "SelfSubjectRulesReview" {
        // The real server answers this one with a new object.
        json::set(&mut review, "metadata", json!({}));
        json::set(&mut review, "spec", json!({}));
    }
    json::set(&mut review, "status", status);
    let mut out = Vec::with_capacity(512);
    codec::encode(&review, &call.kind.schema, &mut out);
    reply::object(call, StatusCode::CREATED, Bytes::from(out))
}

/// Metadata of a review: none but what the kind asks for.
fn prepare(call: &Call<'_>, review: &mut Value) -> Result<(), ApiError> {
    if call.kind.row.group == "authorization.k8s.io" {
        return access::check_metadata(call, review);
    }
    // The others ignore what was sent; a TokenReview shows who asked.
    let owners = take_managed(review);
    json::set(review, "metadata", json!({}));
    if call.kind.row.kind == "TokenReview" {
        put_managed(review, owners);
    }
    if call.kind.row.kind == "SelfSubjectReview"
        && let Some(meta) = json::child(review, "metadata")
    {
        json::set(meta, "creationTimestamp", super::store::now());
    }
    Ok(())
}

/// 422 about a review, whose kind the real server leaves out.
fn invalid(call: &Call<'_>, error: FieldError) -> ApiError {
    ApiError::invalid(call.kind.row.group, "", "", &[error])
}
