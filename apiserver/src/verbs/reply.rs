//! How objects are answered: in the shape and format that was negotiated.

use bytes::Bytes;
use http::StatusCode;
use kuorum_kinds::kind::Kind;

use crate::app::Call;
use crate::layers::respond;
use crate::request::negotiate::View;
use crate::status::{ApiError, Details, Status};
use crate::verbs::Response;

/// One object, given as the compact JSON of the served version.
pub fn object(call: &Call<'_>, code: StatusCode, json: impl Into<Bytes>) -> Result<Response, ApiError> {
    object_of(call, call.kind, code, json.into())
}

/// As [`object`], for an object of another kind than the call's (a Scale).
pub fn object_of(call: &Call<'_>, kind: &Kind, code: StatusCode, json: Bytes) -> Result<Response, ApiError> {
    match call.accept.view {
        View::Object => Ok(respond::json(code, json.into(), &call.accept)),
        View::Table => crate::object::table::object(call, kind, code, &json),
        View::PartialObjectMetadata => crate::object::partial::object(call, code, &json),
        View::PartialObjectMetadataList => Err(ApiError::not_acceptable(format!(
            "you requested PartialObjectMetadataList, but the requested object is not a list (*{}.{})",
            super::decode::package(kind.row.group),
            kind.row.kind
        ))),
    }
}

/// `Status{Success}` about an object that is gone.
pub fn deleted(call: &Call<'_>, name: &str, uid: &str) -> Response {
    let details = Details {
        name: name.to_owned(),
        group: call.kind.row.group.to_owned(),
        kind: call.kind.row.plural.to_owned(),
        uid: uid.to_owned(),
        ..Details::default()
    };
    respond::json(StatusCode::OK, Status::success(Some(details)).to_json(), &call.accept)
}

/// `Status{Success}` of an action (binding, eviction).
pub fn success(call: &Call<'_>, code: StatusCode) -> Response {
    let mut status = Status::success(None);
    status.code = code.as_u16();
    respond::json(code, status.to_json(), &call.accept)
}
