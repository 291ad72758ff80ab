//! What PersistentVolumes and their claims show alike.

use serde_json::Value;

use crate::value::{get, items, text};

/// `RWO,ROX`: the access modes at `path`, each once, in a fixed order.
pub fn access_modes(object: &Value, path: &str) -> String {
    let modes = items(object, path);
    let short: Vec<&str> =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")]
            .iter()
            .filter(|(mode, _)| modes.iter().any(|m| m == mode))
            .map(|(_, short)| *short)
            .collect();
    short.join(",")
}

/// The storage class, which an old annotation can name too.
pub fn class(object: &Value) -> &str {
    match get(object, "metadata.annotations").get("volume.beta.kubernetes.io/storage-class") {
        Some(class) => class.as_str().unwrap_or(""),
        None => text(object, "spec.storageClassName"),
    }
}

/// The annotation that named a class before there was a field.
pub fn class_annotation_warning(object: &Value) -> Option<String> {
    get(object, "metadata.annotations").get("volume.beta.kubernetes.io/storage-class").map(|_| {
        "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead".to_owned()
    })
}
