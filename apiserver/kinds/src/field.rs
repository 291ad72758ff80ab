//! Field errors: what is wrong with an object, where, and in Kubernetes' words.
//!
//! kubectl prints these texts and tests match them, so they follow `field.Error` of apimachinery to the letter.

use serde_json::Value;

/// The reason of one cause in a `Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    InternalError,
    TypeInvalid,
}

impl ErrorKind {
    /// The `reason` of the cause.
    pub fn reason(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "FieldValueNotFound",
            ErrorKind::Required => "FieldValueRequired",
            ErrorKind::Duplicate => "FieldValueDuplicate",
            ErrorKind::Invalid => "FieldValueInvalid",
            ErrorKind::NotSupported => "FieldValueNotSupported",
            ErrorKind::Forbidden => "FieldValueForbidden",
            ErrorKind::TooLong => "FieldValueTooLong",
            ErrorKind::TooMany => "FieldValueTooMany",
            ErrorKind::InternalError => "InternalError",
            ErrorKind::TypeInvalid => "FieldValueTypeInvalid",
        }
    }
}

/// One complaint about one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    pub kind: ErrorKind,
    /// `spec.containers[0].name`
    pub field: String,
    /// The text of the cause, without the field: `Invalid value: "x": must be…`.
    pub message: String,
}

/// All complaints about one object, in the order in which validation met them.
pub type Errors = Vec<FieldError>;

impl FieldError {
    /// `spec.replicas: Invalid value: -1: must be greater than or equal to 0`
    pub fn full(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }

    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::plain(ErrorKind::Required, field, "Required value", detail)
    }

    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::plain(ErrorKind::Forbidden, field, "Forbidden", detail)
    }

    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::plain(ErrorKind::Invalid, field, &format!("Invalid value: {}", show(value)), detail)
    }

    /// As [`FieldError::invalid`], for a value that is shown in a form of its own (a struct in Go's order).
    pub fn invalid_shown(field: impl Into<String>, shown: &str, detail: &str) -> Self {
        Self::plain(ErrorKind::Invalid, field, &format!("Invalid value: {shown}"), detail)
    }

    /// A complaint that is all there is to show.
    pub fn invalid_alone(field: impl Into<String>, detail: &str) -> Self {
        Self::plain(ErrorKind::Invalid, field, &format!("Invalid value: {detail}"), "")
    }

    /// As [`FieldError::duplicate`], for a value that is shown in a form of its own.
    pub fn duplicate_shown(field: impl Into<String>, shown: &str) -> Self {
        Self::plain(ErrorKind::Duplicate, field, &format!("Duplicate value: {shown}"), "")
    }

    /// As [`FieldError::duplicate_shown`], with a reason.
    pub fn duplicate_why(field: impl Into<String>, shown: &str, detail: &str) -> Self {
        Self::plain(ErrorKind::Duplicate, field, &format!("Duplicate value: {shown}"), detail)
    }

    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::plain(ErrorKind::Duplicate, field, &format!("Duplicate value: {}", show(value)), "")
    }

    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self::plain(ErrorKind::NotFound, field, &format!("Not found: {}", show(value)), "")
    }

    /// As [`FieldError::not_found`], with a reason.
    pub fn not_found_why(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::plain(ErrorKind::NotFound, field, &format!("Not found: {}", show(value)), detail)
    }

    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = if list.is_empty() { String::new() } else { format!("supported values: {}", list.join(", ")) };
        Self::plain(ErrorKind::NotSupported, field, &format!("Unsupported value: {}", show(value)), &detail)
    }

    /// As [`FieldError::not_supported`], for a value that is shown in a form of its own.
    pub fn not_supported_shown(field: impl Into<String>, shown: &str, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = format!("supported values: {}", list.join(", "));
        Self::plain(ErrorKind::NotSupported, field, &format!("Unsupported value: {shown}"), &detail)
    }

    pub fn too_long(field: impl Into<String>, max_bytes: usize) -> Self {
        Self::plain(ErrorKind::TooLong, field, "Too long", &format!("may not be more than {max_bytes} bytes"))
    }

    pub fn too_many(field: impl Into<String>, actual: usize, max: usize) -> Self {
        let noun = if max == 1 { "item" } else { "items" };
        Self::plain(
            ErrorKind::TooMany,
            field,
            &format!("Too many: {actual}"),
            &format!("must have at most {max} {noun}"),
        )
    }

    /// Something that validation itself could not do.
    pub fn internal(field: impl Into<String>, detail: &str) -> Self {
        Self::plain(ErrorKind::InternalError, field, "Internal error", detail)
    }

    fn plain(kind: ErrorKind, field: impl Into<String>, head: &str, detail: &str) -> Self {
        let message = if detail.is_empty() { head.to_owned() } else { format!("{head}: {detail}") };
        FieldError { kind, field: field.into(), message }
    }
}

/// A value as `%v`/`%q` prints it in a message: strings quoted, scalars plain, the rest as JSON.
fn show(value: &Value) -> String {
    match value {
        Value::String(s) => format!("{s:?}"),
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}

/// The default rule for names: an RFC 1123 subdomain of at most 253 characters.
pub fn name_is_dns_subdomain(name: &str, prefix: bool) -> Vec<String> {
    kuorum_schema::names::dns1123_subdomain(if prefix { name.trim_end_matches('-') } else { name })
}
