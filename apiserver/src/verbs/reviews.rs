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
    prepare(call, &mut review)?;
    let status = match call.kind.row.kind {
        "SelfSubjectReview" => json!({"userInfo": user_info(call.user)}),
        "TokenReview" => token_review(call, &review)?,
        "SelfSubjectAccessReview" => access(call, call.user, json::get(&review, "spec"))?,
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            let user = subject(call, json::get(&review, "spec"))?;
            access(call, &user, json::get(&review, "spec"))?
        }
        // Rules come with RBAC; an incomplete answer says that it is one.
        "SelfSubjectRulesReview" if json::text(&review, "spec.namespace").is_empty() => {
            return Err(ApiError::bad_request("no namespace on request"));
        }
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

/// Metadata of a review: none but what the kind asks for.
fn prepare(call: &Call<'_>, review: &mut Value) -> Result<(), ApiError> {
    if call.kind.row.group == "authorization.k8s.io" {
        let mut given = json::get(review, "metadata").clone();
        json::remove(&mut given, "managedFields");
        let local = call.kind.row.kind == "LocalSubjectAccessReview";
        if local {
            json::remove(&mut given, "namespace");
        }
        if given.as_object().is_some_and(|m| !m.is_empty()) {
            return Err(invalid(call, FieldError::invalid("metadata", &given, "must be empty")));
        }
        if local {
            if let Some(meta) = json::child(review, "metadata") {
                json::set(meta, "namespace", call.info.namespace);
            }
            let wanted = json::text(review, "spec.resourceAttributes.namespace");
            if wanted != call.info.namespace {
                let field = "spec.resourceAttributes.namespace";
                return Err(invalid(call, FieldError::invalid(field, &wanted.into(), "must match metadata.namespace")));
            }
        }
        return Ok(());
    }
    // The others ignore what was sent.
    json::set(review, "metadata", json!({}));
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

/// The audiences of this API.
fn audiences(call: &Call<'_>) -> Vec<String> {
    let config = &call.app.config;
    let own = if config.api_audiences.is_empty() { &config.service_account_issuer } else { &config.api_audiences };
    own.clone()
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

fn subject(call: &Call<'_>, spec: &Value) -> Result<User, ApiError> {
    let groups: Vec<String> =
        json::items(spec, "groups").iter().filter_map(|g| g.as_str().map(str::to_owned)).collect();
    let name = json::text(spec, "user").to_owned();
    if name.is_empty() && groups.is_empty() {
        let detail = "at least one of user or group must be specified";
        return Err(invalid(call, FieldError::invalid("spec.user", &"".into(), detail)));
    }
    Ok(User { name, uid: json::text(spec, "uid").to_owned(), groups, ..User::default() })
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
        // Printed under the names of the Go struct.
        let shown = if other.is_null() {
            Value::Null
        } else {
            json!({"Path": json::text(other, "path"), "Verb": json::text(other, "verb")})
        };
        return Err(invalid(call, FieldError::invalid(field, &shown, detail)));
    }
    for selector in ["fieldSelector", "labelSelector"] {
        let given = json::get(resource, selector);
        if json::is_set(given, "rawSelector") && json::is_set(given, "requirements") {
            let field = format!("spec.resourceAttributes.{selector}.rawSelector");
            let detail = "may not specified at the same time as requirements";
            return Err(invalid(call, FieldError::invalid(field, json::get(given, "rawSelector"), detail)));
        }
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
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "post",
        "put",
        "head",
        "options",
    ];
    VERBS.iter().find(|v| **v == verb).copied().unwrap_or("")
}
