//! How answers are written: refusals as `Status` in the client's format, documents with their content type.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use kuorum_schema::codec;

use super::yaml;
use crate::body::Body;
use crate::object::protobuf;
use crate::request::negotiate::{Accept, Format};
use crate::status::ApiError;
use crate::verbs::Response;

/// A refusal as a response.
pub fn refusal(error: &ApiError, accept: &Accept) -> Response {
    let mut response = json(error.code(), error.status().to_json(), accept);
    if let Some(seconds) = error.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Compact JSON (without a final newline) in the client's format: as it is with a newline, indented, as YAML, or as
/// protobuf.
pub fn json(code: StatusCode, mut json: Vec<u8>, accept: &Accept) -> Response {
    let bytes = match (accept.format, accept.pretty) {
        (Format::Protobuf, _) => {
            let mut out = Vec::with_capacity(json.len());
            if !protobuf::body(&json, &mut out) {
                // What has no protobuf form is refused before it is made.
                return bytes_of(code, json, Format::Json.content_type());
            }
            out
        }
        (Format::Yaml, _) => yaml_of(&json),
        (Format::Json, true) => {
            let mut out = Vec::with_capacity(json.len() * 2);
            codec::pretty(&json, &mut out);
            out
        }
        (Format::Json, false) => {
            json.push(b'\n');
            json
        }
    };
    bytes_of(code, bytes, accept.format.content_type())
}

/// YAML of a JSON document.
pub fn yaml_of(json: &[u8]) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    yaml::write(&value).into_bytes()
}

/// Ready bytes.
pub fn bytes_of(code: StatusCode, bytes: impl Into<Bytes>, content_type: &'static str) -> Response {
    let mut response = Response::new(Body::full(bytes));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Plain text, as Go's `http.Error` and the health endpoints write it.
pub fn text(code: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = bytes_of(code, text, "text/plain; charset=utf-8");
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// What a path that nothing serves answers.
pub fn page_not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// Adds an `Allow` header.
pub fn allow(mut response: Response, methods: &'static str) -> Response {
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}
