//! From a request body to an object of the expected kind, with the refusals of apimachinery's decoders.

use bytes::Bytes;
use http::HeaderMap;
use kuorum_kinds::kind::Kind;
use kuorum_kinds::registry::Registry;
use kuorum_schema::codec::{self, DecodeError, Decoded, TypeMeta};
use kuorum_schema::{Schema, protobuf, yaml};
use serde_json::Value;

use crate::app::{Call, Warnings};
use crate::layers::audit;
use crate::request::options::FieldValidation;
use crate::status::ApiError;

/// Versions of action bodies that are still taken, although their group no longer serves them.
const OLD_VERSIONS: &[(&str, &str, &str)] = &[("policy", "v1beta1", "Eviction")];

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
    Protobuf,
}

/// Where the real server keeps its types, as its messages say.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

/// The format of a request body; an absent content type is JSON, an unknown one 415.
pub fn format(headers: &HeaderMap) -> Result<Format, ApiError> {
    let text = headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    match text.split(';').next().unwrap_or("").trim().to_ascii_lowercase().as_str() {
        "" | "application/json" => Ok(Format::Json),
        "application/yaml" => Ok(Format::Yaml),
        "application/vnd.kubernetes.protobuf" => Ok(Format::Protobuf),
        _ => Err(ApiError::unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

/// What a body is expected to be.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub schema: &'a Schema,
}

impl<'a> Expected<'a> {
    pub fn of(kind: &'a Kind) -> Self {
        Expected { group: kind.row.group, version: kind.row.version, kind: kind.row.kind, schema: &kind.schema }
    }
}

/// Decodes a body of the call's kind. `kind` and `apiVersion` are set in the result.
pub fn object(call: &Call<'_>, body: &Bytes, validation: FieldValidation) -> Result<Value, ApiError> {
    let served = call.app.kinds.load();
    let expected = Expected::of(call.kind);
    typed(&served.registry, body, format(call.headers)?, expected, validation, call.warnings)
}

/// Decodes a body of the expected kind.
pub fn typed(
    registry: &Registry,
    body: &Bytes,
    format: Format,
    expected: Expected<'_>,
    validation: FieldValidation,
    warnings: &Warnings,
) -> Result<Value, ApiError> {
    let meta = type_meta(body, format, expected)?;
    let (group, version) = group_version(&meta.api_version).ok_or_else(|| {
        unrecognized(expected, &format!("unexpected GroupVersion string: {}", meta.api_version), body)
    })?;
    let (group, version) =
        if meta.api_version.is_empty() { (expected.group, expected.version) } else { (group, version) };
    let kind = if meta.kind.is_empty() { expected.kind } else { &meta.kind };
    let same = group == expected.group
        && kind == expected.kind
        && (version == expected.version || OLD_VERSIONS.contains(&(group, version, kind)));
    let cannot = |why: &str| {
        ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {}: {why}", expected.kind))
    };
    if !same {
        let known = registry.kind(group, version, kind).is_some()
            || kuorum_schema::catalog().kind(group, version, kind).is_some()
            || (kind == "List" && version == "v1");
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        if group == expected.group && kind == expected.kind && known {
            return Err(other_version(registry, body, format, expected, &api_version, warnings));
        }
        return Err(cannot(&if known {
            format!(
                "converting ({version}.{kind}) to ({}.{}): unknown conversion",
                package(expected.group),
                expected.kind
            )
        } else {
            format!("no kind {kind:?} is registered for version {api_version:?} in scheme {SCHEME:?}")
        }));
    }
    let decoded = decode(body, format, expected.schema).map_err(|e| cannot(&e.to_string()))?;
    strict(&decoded, validation, warnings).map_err(|errors| cannot(&format!("strict decoding error: {errors}")))?;
    let mut value = decoded.value;
    if let Value::Object(map) = &mut value {
        let api_version = if expected.group.is_empty() {
            expected.version.to_owned()
        } else {
            format!("{}/{}", expected.group, expected.version)
        };
        map.insert("apiVersion".to_owned(), api_version.into());
        map.insert("kind".to_owned(), expected.kind.into());
    } else {
        value = serde_json::json!({});
    }
    audit::request_object(&value, |value| {
        let mut shown = value.clone();
        if let Some(kind) = registry.kind(expected.group, expected.version, expected.kind) {
            kind.default(&mut shown);
        }
        let mut json = Vec::new();
        codec::encode(&shown, expected.schema, &mut json);
        json
    });
    Ok(value)
}

/// Another version of the same kind is decoded (its unknown fields are warned about) and then refused.
fn other_version(
    registry: &Registry,
    body: &Bytes,
    format: Format,
    expected: Expected<'_>,
    api_version: &str,
    warnings: &Warnings,
) -> ApiError {
    let (group, version) = group_version(api_version).unwrap_or_default();
    if let Some(kind) = registry.kind(group, version, expected.kind)
        && let Ok(decoded) = decode(body, format, &kind.schema)
    {
        let _ = strict(&decoded, FieldValidation::Warn, warnings);
    }
    let want = if expected.group.is_empty() {
        expected.version.to_owned()
    } else {
        format!("{}/{}", expected.group, expected.version)
    };
    ApiError::bad_request(format!(
        "the API version in the data ({api_version}) does not match the expected API version ({want})"
    ))
}

fn decode(body: &[u8], format: Format, schema: &Schema) -> Result<Decoded, DecodeError> {
    match format {
        Format::Json => codec::decode_json(body, schema),
        // A message has no unknown or repeated fields to complain of, but its values follow the same rules.
        Format::Protobuf => codec::decode_value(&protobuf::decode(protobuf::open(body)?.raw, schema)?, schema),
        Format::Yaml => {
            let document = yaml::to_json(body).map_err(|e| DecodeError::Syntax(e.to_string()))?;
            let mut decoded = codec::decode_value(&document.value, schema)?;
            // A mapping keeps the last of two equal keys; that there were two is known from the text alone.
            decoded.strict_errors.splice(0..0, document.duplicates);
            Ok(decoded)
        }
    }
}

/// Applies `fieldValidation` to what strict decoding found; the error lists it.
pub fn strict(decoded: &Decoded, validation: FieldValidation, warnings: &Warnings) -> Result<(), String> {
    match validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => decoded.strict_errors.iter().for_each(|e| warnings.add(e.clone())),
        FieldValidation::Strict if decoded.strict_errors.is_empty() => {}
        FieldValidation::Strict => return Err(decoded.strict_errors.join(", ")),
    }
    Ok(())
}

/// `apiVersion` and `kind` of a body that may be anything.
fn type_meta(body: &Bytes, format: Format, expected: Expected<'_>) -> Result<TypeMeta, ApiError> {
    let version_kind =
        |e: DecodeError| unrecognized(expected, &format!("couldn't get version/kind; json parse error: {e}"), body);
    match format {
        Format::Json => codec::type_meta(body).map_err(version_kind),
        Format::Protobuf => {
            let envelope = protobuf::open(body).map_err(|e| unrecognized(expected, &e.to_string(), body))?;
            Ok(envelope.type_meta)
        }
        Format::Yaml => {
            let value = yaml::to_json(body).map_err(|e| unrecognized(expected, &e.to_string(), body))?;
            let json = serde_json::to_vec(&value.value).unwrap_or_default();
            codec::type_meta(&json).map_err(version_kind)
        }
    }
}

fn unrecognized(expected: Expected<'_>, why: &str, body: &[u8]) -> ApiError {
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {why} ({})",
        expected.kind,
        codec::summarize(body)
    ))
}

/// Group and version of an `apiVersion`; `None` for more than one slash.
pub fn group_version(api_version: &str) -> Option<(&str, &str)> {
    match api_version.split_once('/') {
        None => Some(("", api_version)),
        Some((_, version)) if version.contains('/') => None,
        Some((group, version)) => Some((group, version)),
    }
}

/// The Go package of a group's internal types, as messages name it.
pub fn package(group: &str) -> &str {
    if group.is_empty() { "core" } else { group.split('.').next().unwrap_or(group) }
}
