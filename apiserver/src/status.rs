//! Errors of the API: the one type that becomes a Kubernetes `Status` and an HTTP code.
//!
//! Texts, reasons, details and causes are those of apimachinery's `api/errors`, because kubectl and tests match them.

use std::fmt;

use http::StatusCode;
use kuorum_kinds::field::FieldError;
use serde::Serialize;

/// A refusal. Boxed, so that `Result<_, ApiError>` stays small on the hot path.
#[derive(Clone, Debug)]
pub struct ApiError(Box<Status>);

/// A `v1.Status`, fields in the order of the Go type.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    metadata: Meta,
    pub status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    #[serde(skip_serializing_if = "is_zero_u16")]
    pub code: u16,
}

/// `metadata` of a Status: empty, but for the token with which an expired list can go on.
#[derive(Clone, Debug, Default, Serialize)]
struct Meta {
    #[serde(rename = "continue", skip_serializing_if = "String::is_empty")]
    continue_token: String,
}

/// `StatusDetails`: what the refusal is about.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds; becomes the `Retry-After` header as well.
    #[serde(rename = "retryAfterSeconds", skip_serializing_if = "is_zero_u32")]
    pub retry_after_seconds: u32,
}

/// One cause of a refusal.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Cause {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

fn is_zero_u16(v: &u16) -> bool {
    *v == 0
}

fn is_zero_u32(v: &u32) -> bool {
    *v == 0
}

impl Status {
    /// `Status{status: Success}`, what a delete answers.
    pub fn success(details: Option<Details>) -> Self {
        Status { details, ..Status::blank("Success") }
    }

    fn blank(status: &'static str) -> Self {
        Status {
            kind: "Status",
            api_version: "v1",
            metadata: Meta::default(),
            status,
            message: String::new(),
            reason: "",
            details: None,
            code: 0,
        }
    }

    /// As JSON, without a final newline.
    pub fn to_json(&self) -> Vec<u8> {
        // A struct of strings and numbers always serialises.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl ApiError {
    /// Any code, reason and text.
    pub fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        ApiError(Box::new(Status { code: code.as_u16(), reason, message: message.into(), ..Status::blank("Failure") }))
    }

    /// Adds details (group, kind, name).
    pub fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        let details = self.0.details.get_or_insert_with(Details::default);
        details.group = group.to_owned();
        details.kind = kind.to_owned();
        details.name = name.to_owned();
        self
    }

    /// Sets the details as a whole.
    pub fn with_details(mut self, details: Details) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Adds one cause.
    pub fn cause(mut self, reason: &str, message: impl Into<String>, field: &str) -> Self {
        self.0.details.get_or_insert_with(Details::default).causes.push(Cause {
            reason: reason.to_owned(),
            message: message.into(),
            field: field.to_owned(),
        });
        self
    }

    /// Asks the client to come back after `seconds` (body and header).
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.details.get_or_insert_with(Details::default).retry_after_seconds = seconds;
        self
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// `pods "x" is forbidden: <why>`; without a name `pods is forbidden: <why>`.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: impl fmt::Display) -> Self {
        let target = qualified(resource, group);
        let message = match (resource.is_empty(), name.is_empty()) {
            (true, true) => format!("forbidden: {why}"),
            (false, true) => format!("{target} is forbidden: {why}"),
            (_, false) => format!("{target} {name:?} is forbidden: {why}"),
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(group, resource, name)
    }

    /// `pods "x" not found`
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(resource, group));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(group, resource, name)
    }

    /// The path leads nowhere.
    pub fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
            .with_details(Details::default())
    }

    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .with_details(Details::default())
    }

    /// `pods "x" already exists`
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(resource, group));
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(group, resource, name)
    }

    /// `Operation cannot be fulfilled on pods "x": <why>`
    pub fn conflict(group: &str, resource: &str, name: &str, why: impl fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", qualified(resource, group));
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(group, resource, name)
    }

    /// The conflict of an outdated resourceVersion.
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        Self::conflict(
            group,
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// `Pod "x" is invalid: spec.a: Required value`; several complaints are bracketed and listed.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut texts: Vec<String> = Vec::with_capacity(errors.len());
        for e in errors {
            // An aggregate prints equal complaints once.
            let text = format!("{}: {}", path(e), e.message);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let text = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut error = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            format!("{} {name:?} is invalid: {text}", qualified(kind, group)),
        )
        .about(group, kind, name);
        for e in errors {
            error = error.cause(e.kind.reason(), e.message.clone(), path(e));
        }
        error
    }

    /// 410: the version is too old to be listed or watched from.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// Adds the token with which an expired list can go on, at the latest version.
    pub fn with_continue(mut self, token: String) -> Self {
        self.0.metadata.continue_token = token;
        self
    }

    pub fn too_many_requests(message: impl Into<String>, seconds: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).retry_after(seconds)
    }

    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// 500 with `Internal error occurred: <why>`.
    pub fn internal(why: impl fmt::Display) -> Self {
        let why = why.to_string();
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", format!("Internal error occurred: {why}"))
            .cause("", why, "")
    }

    /// 500 with the bare text, as an error that is not an API status comes out of kube-apiserver.
    pub fn plain_500(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    /// 503: nothing was done; come back after `seconds`.
    pub fn unavailable(message: impl Into<String>, seconds: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message).retry_after(seconds)
    }

    /// 504: the outcome is unknown or the deadline has passed.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    /// 504 for a version that this server has not reached yet, with its machine-readable cause.
    pub fn version_too_large(requested: u64, current: u64) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "Timeout",
            format!("Timeout: Too large resource version: {requested}, current: {current}"),
        )
        .cause("ResourceVersionTooLarge", "Too large resource version", "")
        .retry_after(1)
    }

    pub fn code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn status(&self) -> &Status {
        &self.0
    }

    /// Seconds for the `Retry-After` header.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.0.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ApiError {}

/// Where a complaint is about the object as a whole, its path prints as an empty list in Go.
fn path(error: &FieldError) -> &str {
    if error.field.is_empty() { "[]" } else { &error.field }
}

/// `deployments.apps`, or `pods` in the core group.
pub fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_not_found_reads_as_the_real_one() {
        let e = ApiError::not_found("apps", "deployments", "web");
        assert_eq!(
            String::from_utf8(e.status().to_json()).unwrap(),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"web\" not found","reason":"NotFound","details":{"name":"web","group":"apps","kind":"deployments"},"code":404}"#
        );
    }

    #[test]
    fn several_complaints_are_bracketed() {
        let errors = [FieldError::required("spec.a", ""), FieldError::required("spec.b", "why")];
        let e = ApiError::invalid("", "Pod", "x", &errors);
        assert_eq!(e.to_string(), r#"Pod "x" is invalid: [spec.a: Required value, spec.b: Required value: why]"#);
        assert_eq!(e.code(), StatusCode::UNPROCESSABLE_ENTITY);
    }
}
