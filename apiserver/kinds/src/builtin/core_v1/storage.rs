//! What PersistentVolumes and their claims have alike.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
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

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Complaints about access modes: known ones, and the one for a single pod alone.
pub fn access_mode_rules(modes: &[Value], path: &Path, errors: &mut Errors) {
    let known = |mode: &&Value| ACCESS_MODES.contains(&mode.as_str().unwrap_or(""));
    for mode in modes.iter().filter(|mode| !known(mode)) {
        errors.push(FieldError::not_supported(path.child("accessModes"), mode, &ACCESS_MODES));
    }
    let single = |mode: &&Value| *mode == "ReadWriteOncePod";
    if modes.iter().any(|mode| single(&mode)) && modes.iter().filter(known).any(|mode| !single(&mode)) {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(path.child("accessModes"), detail));
    }
}
