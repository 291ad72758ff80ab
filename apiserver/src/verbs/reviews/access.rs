//! SubjectAccessReview, LocalSubjectAccessReview, SelfSubjectAccessReview: may they do that?

use std::collections::BTreeMap;

use kuorum_auth::authz::attributes::{read_fields, read_labels};
use kuorum_auth::authz::{Operator, Requirement};
use kuorum_kinds::field::FieldError;
use kuorum_kinds::value as json;
use kuorum_schema::codec;
use kuorum_schema::selector::{self, label};
use serde_json::{Value, json};

use super::invalid;
use crate::app::Call;
use crate::auth::User;
use crate::auth::authorizer::{Attributes, Decision, Selector};
use crate::status::ApiError;

/// The status of a SelfSubjectAccessReview.
pub async fn own(call: &Call<'_>, review: &Value) -> Result<Value, ApiError> {
    let spec = json::get(review, "spec");
    refuse_all(call, complaints(spec))?;
    Ok(decide(call, call.user, spec).await)
}

/// The status of a review about somebody else.
pub async fn of_subject(call: &Call<'_>, review: &Value) -> Result<Value, ApiError> {
    let spec = json::get(review, "spec");
    let local = call.kind.row.kind == "LocalSubjectAccessReview";
    let other = json::get(spec, "nonResourceAttributes");
    if local && !other.is_null() {
        let detail = "disallowed on this kind of request";
        return refuse_all(call, vec![FieldError::invalid("spec.nonResourceAttributes", &shown(other), detail)])
            .map(|()| Value::Null);
    }
    let user = subject(spec);
    let mut errors = complaints(spec);
    if user.name.is_empty() && user.groups.is_empty() {
        let detail = "at least one of user or group must be specified";
        errors.push(FieldError::invalid("spec.user", &"".into(), detail));
    }
    refuse_all(call, errors)?;
    Ok(decide(call, &user, spec).await)
}

/// Nothing may be in the metadata, but the namespace of a LocalSubjectAccessReview.
pub fn check_metadata(call: &Call<'_>, review: &mut Value) -> Result<(), ApiError> {
    let mut given = json::get(review, "metadata").clone();
    json::remove(&mut given, "managedFields");
    let local = call.kind.row.kind == "LocalSubjectAccessReview";
    if local {
        let namespace = json::text(&given, "namespace");
        if !namespace.is_empty() && namespace != call.info.namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        json::remove(&mut given, "namespace");
    }
    if given.as_object().is_some_and(|m| !m.is_empty()) {
        let shown = shown_metadata(call, review);
        return Err(invalid(call, FieldError::invalid_shown("metadata", &shown, "must be empty")));
    }
    if !local {
        return Ok(());
    }
    if let Some(meta) = json::child(review, "metadata") {
        json::set(meta, "namespace", call.info.namespace);
    }
    let resource = json::get(review, "spec.resourceAttributes");
    let wanted = json::text(resource, "namespace");
    if !resource.is_null() && wanted != call.info.namespace {
        let field = "spec.resourceAttributes.namespace";
        return Err(invalid(call, FieldError::invalid(field, &wanted.into(), "must match metadata.namespace")));
    }
    Ok(())
}

/// Metadata with its fields in the order of the Go type.
fn shown_metadata(call: &Call<'_>, review: &Value) -> String {
    #[derive(serde::Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        metadata: &'a serde_json::value::RawValue,
    }
    let mut out = Vec::new();
    codec::encode(&json!({"metadata": json::get(review, "metadata")}), &call.kind.schema, &mut out);
    serde_json::from_slice::<Part<'_>>(&out).map(|part| part.metadata.get().to_owned()).unwrap_or_default()
}

fn refuse_all(call: &Call<'_>, errors: Vec<FieldError>) -> Result<(), ApiError> {
    // The real server leaves out the kind of a review.
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(call.kind.row.group, "", "", &errors)) }
}

/// Attributes of a path, printed under the names of the Go struct.
fn shown(other: &Value) -> Value {
    json!({"Path": json::text(other, "path"), "Verb": json::text(other, "verb")})
}

/// What is wrong with the question.
fn complaints(spec: &Value) -> Vec<FieldError> {
    let resource = json::get(spec, "resourceAttributes");
    let other = json::get(spec, "nonResourceAttributes");
    let mut errors = Vec::new();
    if !resource.is_null() && !other.is_null() {
        let detail = "cannot be specified in combination with resourceAttributes";
        errors.push(FieldError::invalid("spec.nonResourceAttributes", &shown(other), detail));
    }
    if resource.is_null() && other.is_null() {
        let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.push(FieldError::invalid("spec.resourceAttributes", &Value::Null, detail));
    }
    for selector in ["fieldSelector", "labelSelector"] {
        let given = json::get(resource, selector);
        if given.is_null() {
            continue;
        }
        let path = format!("spec.resourceAttributes.{selector}");
        if json::is_set(given, "rawSelector") && json::is_set(given, "requirements") {
            let detail = "may not specified at the same time as requirements";
            let raw = json::get(given, "rawSelector");
            errors.push(FieldError::invalid(format!("{path}.rawSelector"), raw, detail));
        }
        if !json::is_set(given, "rawSelector") && !json::is_set(given, "requirements") {
            let detail = format!("when {path} is specified, requirements or rawSelector is required");
            errors.push(FieldError::required(format!("{path}.requirements"), &detail));
        }
        for (i, requirement) in json::items(given, "requirements").iter().enumerate() {
            if json::text(requirement, "key").is_empty() {
                let detail = "must be specified";
                errors.push(FieldError::required(format!("{path}.requirements[{i}].key"), detail));
            }
        }
    }
    errors
}

fn texts(list: &[Value]) -> Vec<String> {
    list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn subject(spec: &Value) -> User {
    let extra: BTreeMap<String, Vec<String>> = json::entries(spec, "extra")
        .map(|(key, values)| (key.to_owned(), texts(values.as_array().map_or(&[], Vec::as_slice))))
        .collect();
    User {
        name: json::text(spec, "user").to_owned(),
        uid: json::text(spec, "uid").to_owned(),
        groups: texts(json::items(spec, "groups")),
        extra,
    }
}

/// What the authorizers say.
async fn decide(call: &Call<'_>, user: &User, spec: &Value) -> Value {
    let resource = json::get(spec, "resourceAttributes");
    let other = json::get(spec, "nonResourceAttributes");
    let mut errors = Vec::new();
    let fields = selector(resource, "fieldSelector", &mut errors);
    let labels = selector(resource, "labelSelector", &mut errors);
    let attributes = if resource.is_null() {
        Attributes::of_path(user, json::text(other, "verb"), json::text(other, "path"))
    } else {
        let verb = json::text(resource, "verb");
        Attributes {
            version: match json::text(resource, "version") {
                "" => "*",
                version => version,
            },
            namespace: json::text(resource, "namespace"),
            subresource: json::text(resource, "subresource"),
            name: json::text(resource, "name"),
            fields: Selector::Parsed(&fields),
            labels: Selector::Parsed(&labels),
            ..Attributes::of_resource(user, verb, json::text(resource, "group"), json::text(resource, "resource"))
        }
    };
    let (mut status, reason) = match call.app.authorization.authorize(&attributes).await {
        Decision::Allow(reason) => (json!({"allowed": true}), reason.to_string()),
        Decision::Deny(refusal) => {
            errors.extend(refusal.error);
            (json!({"allowed": false, "denied": true}), refusal.reason)
        }
        Decision::NoOpinion(refusal) => {
            errors.extend(refusal.error);
            (json!({"allowed": false}), refusal.reason)
        }
    };
    if !reason.is_empty() {
        json::set(&mut status, "reason", reason);
    }
    if !errors.is_empty() {
        json::set(&mut status, "evaluationError", errors.join("; "));
    }
    status
}

/// The requirements of a selector of the review. What cannot be read is left out, and said: selectors only narrow.
fn selector(resource: &Value, which: &str, errors: &mut Vec<String>) -> Vec<Requirement> {
    let given = json::get(resource, which);
    let raw = json::text(given, "rawSelector");
    let is_field = which == "fieldSelector";
    let ignored = || format!("spec.resourceAttributes.{which} ignored due to parse error");
    if !raw.is_empty() {
        let readable =
            if is_field { selector::FieldSelector::parse(raw).is_ok() } else { selector::Selector::parse(raw).is_ok() };
        if !readable {
            errors.push(ignored());
        }
        return if is_field { read_fields(raw) } else { read_labels(raw) };
    }
    let mut requirements = Vec::new();
    for given in json::items(given, "requirements") {
        match requirement(given, is_field) {
            Some(requirement) => requirements.push(requirement),
            None if errors.last() != Some(&ignored()) => errors.push(ignored()),
            None => {}
        }
    }
    requirements
}

/// One requirement. Field selectors know equality alone.
fn requirement(given: &Value, is_field: bool) -> Option<Requirement> {
    let values = texts(json::items(given, "values"));
    let operator = match json::text(given, "operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" if !is_field => Operator::Exists,
        "DoesNotExist" if !is_field => Operator::DoesNotExist,
        _ => return None,
    };
    let key = json::text(given, "key");
    let legal = if is_field {
        values.len() == 1
    } else {
        let label_operator = match operator {
            Operator::In => label::Operator::In,
            Operator::NotIn => label::Operator::NotIn,
            Operator::Exists => label::Operator::Exists,
            Operator::DoesNotExist => label::Operator::DoesNotExist,
        };
        label::Requirement::new(key, label_operator, values.clone()).is_ok()
    };
    legal.then(|| Requirement { key: key.to_owned(), operator, values })
}
