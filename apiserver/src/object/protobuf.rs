//! Answers in protobuf: any document by its kind, metadata alone, watch frames.
//!
//! Stored objects have their message made once and shared (`Renderer::message`); everything else is small and made
//! from its JSON.

use std::sync::{Arc, LazyLock};

use kuorum_schema::{Schema, catalog, codec, protobuf};
use serde_json::Value;

use super::partial;

/// Appends the body for a JSON document whose kind the catalog knows; `false`, with nothing appended, where protobuf
/// has no form for it (a Table, a custom resource).
pub fn body(json: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(meta) = codec::type_meta(json) else { return false };
    let Ok(value) = serde_json::from_slice::<Value>(json) else { return false };
    let mut raw = Vec::with_capacity(json.len());
    if !message(&meta.api_version, &meta.kind, &value, &mut raw) {
        return false;
    }
    protobuf::seal(&meta.api_version, &meta.kind, &raw, out);
    true
}

/// Appends the message of a document of a kind.
fn message(api_version: &str, kind: &str, value: &Value, out: &mut Vec<u8>) -> bool {
    match kind {
        "PartialObjectMetadata" => partial_message(value, out),
        "PartialObjectMetadataList" => {
            list_meta(&value["metadata"], out);
            for item in value["items"].as_array().into_iter().flatten() {
                protobuf::nested(2, out, |out| partial_message(item, out));
            }
        }
        _ => {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            let Some(schema) = catalog().kind(group, version, kind) else { return false };
            if schema.as_object().is_none_or(|object| object.by_proto().is_empty()) {
                return false;
            }
            protobuf::encode(value, &schema, out);
        }
    }
    true
}

/// The message of a PartialObjectMetadata: the object's metadata in field 1.
fn partial_message(object: &Value, out: &mut Vec<u8>) {
    if let Some(schema) = &*OBJECT_META {
        protobuf::nested(1, out, |out| protobuf::encode(&object["metadata"], schema, out));
    }
}

/// As [`partial_message`], from an object's JSON.
pub fn partial_of(json: &[u8], out: &mut Vec<u8>) {
    let metadata = partial::metadata(json).and_then(|text| serde_json::from_str(text).ok());
    partial_message(&serde_json::json!({ "metadata": metadata.unwrap_or(Value::Null) }), out);
}

/// Field 1 of every list: its metadata.
pub fn list_meta(metadata: &Value, out: &mut Vec<u8>) {
    if let Some(schema) = &*LIST_META {
        protobuf::nested(1, out, |out| protobuf::encode(metadata, schema, out));
    }
}

/// Appends a watch event: a length of four bytes, then a bare `WatchEvent` with the object in its envelope.
pub fn frame(kind: &str, object: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    protobuf::text(1, kind, out);
    protobuf::nested(2, out, |out| protobuf::bytes(1, object, out));
    // Objects are limited to a few MiB.
    let len = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

static OBJECT_META: LazyLock<Option<Arc<Schema>>> =
    LazyLock::new(|| catalog().definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
static LIST_META: LazyLock<Option<Arc<Schema>>> =
    LazyLock::new(|| catalog().definition("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"));

#[cfg(test)]
mod tests {
    use super::*;

    fn reopened(json: &[u8], group: &str, kind: &str) -> Value {
        let mut out = Vec::new();
        assert!(body(json, &mut out));
        let envelope = protobuf::open(&out).unwrap();
        assert_eq!(envelope.type_meta.kind, kind);
        protobuf::decode(envelope.raw, &catalog().kind(group, "v1", kind).unwrap()).unwrap()
    }

    #[test]
    fn a_refusal_and_a_discovery_list_have_messages() {
        let status = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"gone","reason":"NotFound","details":{"name":"a","kind":"pods"},"code":404}"#;
        let back = reopened(status, "", "Status");
        assert_eq!(
            (&back["message"], &back["code"], &back["details"]["name"]),
            (&"gone".into(), &404.into(), &"a".into())
        );
        let groups = br#"{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}]}"#;
        assert_eq!(reopened(groups, "", "APIGroupList")["groups"][0]["versions"][0]["version"], "v1");
    }

    #[test]
    fn a_table_has_none() {
        let mut out = Vec::new();
        assert!(!body(br#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","rows":[]}"#, &mut out));
        assert!(!body(br#"{"kind":"Widget","apiVersion":"example.com/v1"}"#, &mut out));
        assert!(!body(b"not json", &mut out));
        assert!(out.is_empty());
    }

    #[test]
    fn a_frame_begins_with_its_length() {
        let mut out = b"before".to_vec();
        frame("ADDED", b"k8s\0x", &mut out);
        let frame = &out[6..];
        assert_eq!(u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, frame.len() - 4);
        assert_eq!(&frame[4..], b"\x0a\x05ADDED\x12\x07\x0a\x05k8s\0x");
    }
}
