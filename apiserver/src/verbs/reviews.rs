//! Reviews: questions that are answered and not stored. Who am I, whose token is this, may they do that?

use bytes::Bytes;
use http::StatusCode;
use kuorum_kinds::field::FieldError;
use kuorum_kinds::value as json;
use kuorum_schema::codec;
use serde_json::{Value, json};

use super::{Response, reply};
use crate::app::Call;
use crate::auth::User;
use crate::auth::authorizer::Decision;
use crate::request::info::RequestInfo;
use crate::status::ApiError;

/// Fills in the status of a review and answers it.
pub fn answer(call: &Call<'_>, mut review: Value) -> Result<Response, ApiError> {
    let status = match call.kind.row.kind {
        "SelfSubjectReview" => json!({"userInfo": user_info(call.user)}),
        "TokenReview" => token_review(call, &review)?,
        "SelfSubjectAccessReview" => access(call, call.user, json::get(&review, "spec"))?,
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            let user = subject(call, json::get(&review, "spec"))?;
            access(call, &user, json::get(&review, "spec"))?
        }
        // Rules come with RBAC; an incomplete answer says that it is one.
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [], "nonResourceRules": [], "incomplete": true,
            "evaluationError": "no authorizer of this server lists rules",
        }),
        other => return Err(ApiError::internal(format!("{other} is not answered by this server"))),
    };
    json::set(&mut review, "status", status);
    let mut out = Vec::with_capacity(512);
    codec::encode(&review, &call.kind.schema, &mut out);
    reply::object(call, StatusCode::CREATED, Bytes::from(out))
}

fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        json::set(&mut info, "uid", user.uid.as_str());
    }
    info
}

fn token_review(call: &Call<'_>, review: &Value) -> Result<Value, ApiError> {
    let token = json::text(review, "spec.token");
    if token.is_empty() {
        return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
    }
    Ok(match call.app.authenticator.token_user(token) {
        Some(user) => json!({"authenticated": true, "user": user_info(&user)}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    })
}

fn subject(call: &Call<'_>, spec: &Value) -> Result<User, ApiError> {
    let groups: Vec<String> =
        json::items(spec, "groups").iter().filter_map(|g| g.as_str().map(str::to_owned)).collect();
    let name = json::text(spec, "user").to_owned();
    if name.is_empty() && groups.is_empty() {
        let error = FieldError::invalid("spec.user", &"".into(), "at least one of user or group must be specified");
        return Err(ApiError::invalid(call.kind.row.group, "", "", &[error]));
    }
    Ok(User { name, uid: json::text(spec, "uid").to_owned(), groups })
}

/// What the authorizer says about the attributes of a review.
fn access(call: &Call<'_>, user: &User, spec: &Value) -> Result<Value, ApiError> {
    let resource = json::get(spec, "resourceAttributes");
    let other = json::get(spec, "nonResourceAttributes");
    if resource.is_null() == other.is_null() {
        let detail = if resource.is_null() {
            "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        } else {
            "cannot be specified in combination with resourceAttributes"
        };
        let field = if resource.is_null() { "spec.resourceAttributes" } else { "spec.nonResourceAttributes" };
        let error = FieldError::invalid(field, other, detail);
        return Err(ApiError::invalid(call.kind.row.group, "", "", &[error]));
    }
    // Verbs are compared as static texts elsewhere; an unknown one is nobody's.
    let verb = known_verb(json::text(if resource.is_null() { other } else { resource }, "verb"));
    let info = if resource.is_null() {
        RequestInfo { path: json::text(other, "path"), verb, ..Default::default() }
    } else {
        RequestInfo {
            is_resource: true,
            verb,
            group: json::text(resource, "group"),
            version: json::text(resource, "version"),
            namespace: json::text(resource, "namespace"),
            resource: json::text(resource, "resource"),
            subresource: json::text(resource, "subresource"),
            name: json::text(resource, "name"),
            ..Default::default()
        }
    };
    Ok(match call.app.authorizer.authorize(user, &info) {
        Decision::Allow => json!({"allowed": true}),
        Decision::Deny(reason) => json!({"allowed": false, "denied": true, "reason": reason}),
        Decision::NoOpinion(reason) if reason.is_empty() => json!({"allowed": false}),
        Decision::NoOpinion(reason) => json!({"allowed": false, "reason": reason}),
    })
}

fn known_verb(verb: &str) -> &'static str {
    const VERBS: [&str; 12] = [
        "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "post", "put", "head",
        "options",
    ];
    VERBS.iter().find(|v| **v == verb).copied().unwrap_or("")
}
