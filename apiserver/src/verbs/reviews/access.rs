//! SubjectAccessReview, LocalSubjectAccessReview, SelfSubjectAccessReview: may they do that?

use kuorum_kinds::field::FieldError;
use kuorum_kinds::value as json;
use serde_json::{Value, json};

use super::invalid;
use crate::app::Call;
use crate::auth::User;
use crate::auth::authorizer::Decision;
use crate::request::info::RequestInfo;
use crate::status::ApiError;

/// The status of a SelfSubjectAccessReview.
pub fn own(call: &Call<'_>, review: &Value) -> Result<Value, ApiError> {
    access(call, call.user, json::get(review, "spec"))
}

/// The status of a review about somebody else.
pub fn of_subject(call: &Call<'_>, review: &Value) -> Result<Value, ApiError> {
    let spec = json::get(review, "spec");
    access(call, &subject(call, spec)?, spec)
}

/// Nothing may be in the metadata, but the namespace of a LocalSubjectAccessReview.
pub fn check_metadata(call: &Call<'_>, review: &mut Value) -> Result<(), ApiError> {
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
    Ok(())
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
