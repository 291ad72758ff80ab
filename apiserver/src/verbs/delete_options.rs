//! DeleteOptions, from the body of a DELETE or, where it has none, from its query.

use bytes::Bytes;
use kuorum_kinds::field::{Errors, FieldError};
use kuorum_kinds::value as json;
use kuorum_schema::{codec, protobuf, yaml};
use serde_json::Value;

use super::decode::{self, Format};
use crate::app::Call;
use crate::layers::audit;
use crate::request::options::dry_run_errors;
use crate::request::query::Query;
use crate::status::ApiError;

/// What a client may say about a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    pub dry_run: bool,
    /// Seconds; negative counts as 1.
    pub grace_period_seconds: Option<i64>,
    /// The uid that the object must have.
    pub uid: Option<String>,
    /// The resourceVersion that the object must have.
    pub resource_version: Option<String>,
    pub orphan_dependents: Option<bool>,
    pub propagation_policy: Option<Policy>,
    /// The deletion is part of an action that has been admitted (an eviction).
    pub already_admitted: bool,
}

/// What becomes of dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Orphan,
    Background,
    Foreground,
}

const SCHEME: &str = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";

impl DeleteOptions {
    /// The options of a request. A body, whatever is in it, replaces the query.
    pub fn read(call: &Call<'_>, body: &Bytes) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Self::from_query(call.query);
        }
        let schema = kuorum_schema::catalog()
            .kind("", "v1", "DeleteOptions")
            .ok_or_else(|| ApiError::internal("DeleteOptions is not in the catalog"))?;
        let refused = |e: codec::DecodeError| ApiError::bad_request(e.to_string());
        let json = match decode::format(call.headers)? {
            Format::Json => body.clone(),
            Format::Protobuf => {
                let envelope = protobuf::open(body).map_err(refused)?;
                let mut value = protobuf::decode(envelope.raw, &schema).map_err(refused)?;
                value["kind"] = envelope.type_meta.kind.into();
                value["apiVersion"] = envelope.type_meta.api_version.into();
                Bytes::from(serde_json::to_vec(&value).unwrap_or_default())
            }
            Format::Yaml => {
                let value = yaml::to_json(body).map_err(|e| ApiError::bad_request(e.to_string()))?;
                Bytes::from(serde_json::to_vec(&value.value).unwrap_or_default())
            }
        };
        audit::request_body(&json);
        let meta = codec::type_meta(&json)
            .map_err(|e| ApiError::bad_request(format!("couldn't get version/kind; json parse error: {e}")))?;
        if !meta.kind.is_empty() && meta.kind != "DeleteOptions" {
            let version = if meta.api_version.is_empty() { "meta.k8s.io/v1" } else { &meta.api_version };
            return Err(ApiError::bad_request(format!(
                "no kind {:?} is registered for version {version:?} in scheme {SCHEME:?}",
                meta.kind
            )));
        }
        Self::from_value(&codec::decode_json(&json, &schema).map_err(refused)?.value)
    }

    /// The options in an object (an Eviction carries them).
    pub fn from_value(value: &Value) -> Result<Self, ApiError> {
        let text = |path: &str| json::get(value, path).as_str().map(str::to_owned);
        let dry_run: Vec<&str> = json::items(value, "dryRun").iter().filter_map(Value::as_str).collect();
        Self::checked(
            json::int(value, "gracePeriodSeconds"),
            text("preconditions.uid"),
            text("preconditions.resourceVersion"),
            json::get(value, "orphanDependents").as_bool(),
            text("propagationPolicy"),
            &dry_run,
        )
    }

    fn from_query(query: &Query<'_>) -> Result<Self, ApiError> {
        let dry_run: Vec<&str> = query.all("dryRun").collect();
        Self::checked(
            query.integer("gracePeriodSeconds")?,
            query.get("uid").map(str::to_owned),
            query.get("resourceVersion").map(str::to_owned),
            query.optional_flag("orphanDependents"),
            query.get("propagationPolicy").map(str::to_owned),
            &dry_run,
        )
    }

    fn checked(
        grace_period_seconds: Option<i64>,
        uid: Option<String>,
        resource_version: Option<String>,
        orphan_dependents: Option<bool>,
        policy: Option<String>,
        dry_run: &[&str],
    ) -> Result<Self, ApiError> {
        let mut errors = Errors::new();
        let propagation_policy = match policy.as_deref() {
            None => None,
            Some("Orphan") => Some(Policy::Orphan),
            Some("Background") => Some(Policy::Background),
            Some("Foreground") => Some(Policy::Foreground),
            Some(other) => {
                let known = ["Foreground", "Background", "Orphan", "nil"];
                errors.push(FieldError::not_supported("propagationPolicy", &other.into(), &known));
                None
            }
        };
        if let (Some(policy), Some(_)) = (&policy, orphan_dependents) {
            errors.insert(
                0,
                FieldError::invalid(
                    "propagationPolicy",
                    &policy.as_str().into(),
                    "orphanDependents and deletionPropagation cannot be both set",
                ),
            );
        }
        errors.extend(dry_run_errors(dry_run.iter().copied()));
        if !errors.is_empty() {
            return Err(ApiError::invalid("meta.k8s.io", "DeleteOptions", "", &errors));
        }
        Ok(DeleteOptions {
            dry_run: !dry_run.is_empty(),
            grace_period_seconds,
            uid,
            resource_version,
            orphan_dependents,
            propagation_policy,
            already_admitted: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_validated() {
        let read = |q: &str| DeleteOptions::from_query(&Query::parse(q));
        assert_eq!(read("gracePeriodSeconds=5").unwrap().grace_period_seconds, Some(5));
        assert_eq!(read("propagationPolicy=Orphan").unwrap().propagation_policy, Some(Policy::Orphan));
        assert!(read("propagationPolicy=Sideways").unwrap_err().to_string().contains(r#""Orphan", "nil""#));
        assert!(read("orphanDependents=true&propagationPolicy=Orphan").is_err());
        assert!(read("dryRun=Maybe").is_err());
    }
}
