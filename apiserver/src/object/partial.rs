//! PartialObjectMetadata: the metadata of an object, cut out of its JSON without parsing the rest.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::app::Call;
use crate::layers::respond;
use crate::status::ApiError;
use crate::verbs::Response;

/// `meta.k8s.io/v1`; the version is `v1` where none was negotiated.
pub fn api_version(view_version: &str) -> String {
    let version = if view_version.is_empty() { "v1" } else { view_version };
    format!("meta.k8s.io/{version}")
}

/// One object, given as compact JSON, answered as its metadata.
pub fn object(call: &Call<'_>, code: StatusCode, json: &Bytes) -> Result<Response, ApiError> {
    let mut out = Vec::with_capacity(json.len().min(1024) + 80);
    encode(json, call.accept.view_version, &mut out);
    Ok(respond::json(code, out, &call.accept))
}

/// Appends the PartialObjectMetadata of an object.
pub fn encode(json: &[u8], view_version: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"");
    out.extend_from_slice(api_version(view_version).as_bytes());
    out.extend_from_slice(b"\",\"metadata\":");
    out.extend_from_slice(metadata(json).map_or(b"{}", |metadata| metadata.as_bytes()));
    out.push(b'}');
}

/// The text of `metadata`.
pub fn metadata(json: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        metadata: Option<&'a RawValue>,
    }
    serde_json::from_slice::<Head>(json).ok()?.metadata.map(RawValue::get)
}

/// `metadata.resourceVersion`, empty where there is none.
pub fn resource_version(json: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Head {
        metadata: Option<Meta>,
    }
    #[derive(Deserialize)]
    struct Meta {
        #[serde(default, rename = "resourceVersion")]
        resource_version: String,
    }
    let head = serde_json::from_slice::<Head>(json).ok();
    head.and_then(|head| head.metadata).map(|meta| meta.resource_version).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &[u8] = br#"{"kind":"Pod","metadata":{"name":"a","labels":{"x":"}"},"resourceVersion":"7"},"spec":{}}"#;

    #[test]
    fn metadata_is_copied_as_it_is() {
        let mut out = Vec::new();
        encode(POD, "v1", &mut out);
        let want = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a","labels":{"x":"}"},"resourceVersion":"7"}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), want);
        assert_eq!(resource_version(POD), "7");
    }

    #[test]
    fn an_object_without_metadata_has_empty_metadata() {
        let mut out = Vec::new();
        encode(b"{}", "v1beta1", &mut out);
        let want = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1beta1","metadata":{}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), want);
        assert_eq!(resource_version(b"{}"), "");
    }
}
