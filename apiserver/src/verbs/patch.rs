//! PATCH: JSON Patch, JSON merge patch, strategic merge patch and server-side apply, each to the newest version of the
//! object.

use http::HeaderMap;
use kuorum_kinds::field::FieldError;
use kuorum_kinds::value as json;
use kuorum_schema::Schema;
use kuorum_schema::codec::{self, DecodeError};
use kuorum_schema::patch::strategic::check_types;
use kuorum_schema::patch::{JsonPatch, MergePatch, PatchError, StrategicPatch, show};
use serde_json::Value;

use super::apply::Configuration;
use super::update::{Change, CreateIf, Owner, check_name, guaranteed_update};
use super::{Response, create, decode, ownership};
use crate::app::Call;
use crate::body::Payload;
use crate::layers::audit;
use crate::request::options::{FieldValidation, WriteOptions};
use crate::status::ApiError;

/// A decoded patch of any type.
pub enum Patch {
    Json(JsonPatch),
    Merge(MergePatch),
    Strategic(StrategicPatch),
    Apply(Configuration),
}

/// The types of patches by their content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

/// The type of a patch; a content type that is none of them is 415. Compared as spelled, as the router does.
pub fn patch_type(headers: &HeaderMap) -> Result<PatchType, ApiError> {
    let text = headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    match text.split(';').next().unwrap_or("").trim() {
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/strategic-merge-patch+json" => Ok(PatchType::Strategic),
        "application/apply-patch+yaml" => Ok(PatchType::Apply),
        _ => Err(ApiError::unsupported_media_type("415: Unsupported Media Type").with_details(Default::default())),
    }
}

/// Patches an object, or its status.
pub async fn patch(call: &Call<'_>, payload: Payload) -> Result<Response, ApiError> {
    let (patch, options) = read(call, payload).await?;
    let schema = call.kind.schema.clone();
    let manager = ownership::manager(call.headers, &options);
    let applies = matches!(patch, Patch::Apply(_));
    let change = Change {
        options: &options,
        subresource: call.info.subresource,
        create: if applies { CreateIf::Absent } else { CreateIf::Never },
        uid: "",
        owner: if applies { Owner::AsProduced } else { Owner::Manager(&manager) },
        already_admitted: false,
    };
    let changed = guaranteed_update(call, &change, &mut |current| {
        let mut object = match (&patch, current) {
            (Patch::Apply(config), current) => config.produce(call, change.subresource, current, &options)?,
            (_, None) => return Err(ApiError::no_such_path()),
            (patch, Some(current)) => {
                let object = apply(call, patch, &current.value, &schema, &options)?;
                check_kind(call, &object)?;
                object
            }
        };
        check_name(call, &object)?;
        create::match_namespace(call, &mut object)?;
        Ok(object)
    })
    .await?;
    changed.reply(call)
}

/// Reads and decodes the patch of a request, and its options.
pub async fn read(call: &Call<'_>, payload: Payload) -> Result<(Patch, WriteOptions), ApiError> {
    let kind = patch_type(call.headers)?;
    let body = payload.read().await?;
    audit::request_body(&body);
    let options = WriteOptions::parse(call.query, "PatchOptions", kind == PatchType::Apply)?;
    let patch = match kind {
        PatchType::Json => Patch::Json(JsonPatch::decode(&body).map_err(patch_error)?),
        PatchType::Merge => Patch::Merge(MergePatch::decode(&body).map_err(patch_error)?),
        PatchType::Strategic => Patch::Strategic(StrategicPatch::decode(&body).map_err(patch_error)?),
        PatchType::Apply => Patch::Apply(Configuration::decode(&body)?),
    };
    Ok((patch, options))
}

/// Applies a patch to an object of type `schema` and decodes the result by the rules of a request body.
pub fn apply(
    call: &Call<'_>,
    patch: &Patch,
    object: &Value,
    schema: &Schema,
    options: &WriteOptions,
) -> Result<Value, ApiError> {
    let (patched, mut strict_errors) = match patch {
        Patch::Json(p) => (p.apply(object.clone()).map_err(patch_error)?, p.strict_errors.clone()),
        Patch::Merge(p) => (p.apply(object.clone()).map_err(patch_error)?, p.strict_errors.clone()),
        Patch::Strategic(p) => (p.apply(object.clone(), schema).map_err(patch_error)?, p.strict_errors.clone()),
        Patch::Apply(_) => return Err(ApiError::internal("a configuration is not merged like a patch")),
    };
    // How messages show the patch: the patched object, or for a strategic one the patch itself, as Go prints it.
    let shown = || match patch {
        Patch::Strategic(p) => p.shown(),
        Patch::Json(p) => show(object, &patched, schema, &p.opened()),
        Patch::Merge(p) => show(object, &patched, schema, &p.opened()),
        Patch::Apply(_) => String::new(),
    };
    let refused = |why: &str| {
        let error = FieldError::invalid("patch", &shown().into(), why);
        ApiError::invalid("", "", "", &[error])
    };
    if let Patch::Strategic(_) = patch {
        check_types(&patched, schema).map_err(|why| refused(&why))?;
    }
    let mut decoded = codec::decode_value(&patched, schema).map_err(|e: DecodeError| refused(&e.to_string()))?;
    strict_errors.append(&mut decoded.strict_errors);
    match options.field_validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => strict_errors.into_iter().for_each(|e| call.warnings.add(e)),
        FieldValidation::Strict if strict_errors.is_empty() => {}
        FieldValidation::Strict => {
            return Err(refused(&format!("strict decoding error: {}", strict_errors.join(", "))));
        }
    }
    let mut object = if decoded.value.is_object() { decoded.value } else { serde_json::json!({}) };
    ownership::keep_order_to_forget(&patched, &mut object);
    Ok(object)
}

/// A patch does not change what the object is.
fn check_kind(call: &Call<'_>, object: &Value) -> Result<(), ApiError> {
    let (api_version, kind) = (json::text(object, "apiVersion"), json::text(object, "kind"));
    if (api_version == call.kind.api_version || api_version.is_empty())
        && (kind == call.kind.row.kind || kind.is_empty())
    {
        return Ok(());
    }
    let served = call.app.kinds.load();
    let (group, version) = decode::group_version(api_version).unwrap_or_default();
    let why = if served.registry.kind(group, version, kind).is_some() {
        format!(
            "converting ({version}.{kind}) to ({}.{}): unknown conversion",
            decode::package(call.kind.row.group),
            call.kind.row.kind
        )
    } else {
        format!(
            "no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\""
        )
    };
    let error = FieldError::invalid("patch", &object.to_string().into(), &why);
    Err(ApiError::invalid("", "", "", &[error]))
}

fn patch_error(error: PatchError) -> ApiError {
    match error {
        PatchError::BadRequest(why) => ApiError::bad_request(why),
        PatchError::TooLarge(why) => ApiError::too_large(format!("Request entity too large: {why}")),
        PatchError::Unprocessable(why) => {
            tracing::debug!(%why, "patch does not apply");
            ApiError::new(
                http::StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid",
                "the server rejected our request due to an error in our request",
            )
            .with_details(Default::default())
        }
        PatchError::Internal(why) => ApiError::plain_500(why),
    }
}
