//! What the built-in types and their fields mean, taken out of crate `k8s-openapi` by the build script.

use std::collections::HashMap;

/// zstd of `{definition: {"": text, field: text}}`.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.zst"));

/// The texts, unpacked. Takes some megabytes: made for the time in which documents are built, and dropped.
pub(super) struct Descriptions(HashMap<String, HashMap<String, String>>);

impl Descriptions {
    pub(super) fn unpack() -> Self {
        // The build wrote this data: if it cannot be read, the documents just have no texts.
        let json = zstd::decode_all(PACKED).unwrap_or_default();
        Descriptions(serde_json::from_slice(&json).unwrap_or_default())
    }

    /// Of a type.
    pub(super) fn definition(&self, name: &str) -> Option<&str> {
        self.field(name, "")
    }

    /// Of a field of a type.
    pub(super) fn field(&self, definition: &str, field: &str) -> Option<&str> {
        let found = self.0.get(definition).and_then(|texts| texts.get(field));
        found.map(String::as_str).or_else(|| common_field(definition, field))
    }
}

/// The fields that many types share and that `k8s-openapi` does not describe everywhere (its lists are generic).
fn common_field(definition: &str, field: &str) -> Option<&'static str> {
    match field {
        "apiVersion" => Some(
            "The versioned schema of this representation of an object: group/version. \
             More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
        ),
        "kind" => Some(
            "The name of the type that this object has, in CamelCase. Cannot be updated. \
             More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
        ),
        "metadata" if definition.ends_with("List") => Some("Standard list metadata."),
        "items" if definition.ends_with("List") => Some("The objects of the list."),
        _ => None,
    }
}
