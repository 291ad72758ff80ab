//! StorageObjectInUseProtection: claims and volumes get a finalizer, so that a controller can keep them while in use.

use kuorum_kinds::value as json;
use serde_json::Value;

use super::{Attributes, Plugin, Verdict};

pub struct StorageObjectInUseProtection;

/// Group, kind, finalizer.
const PROTECTED: [(&str, &str, &str); 3] = [
    ("", "PersistentVolumeClaim", "kubernetes.io/pvc-protection"),
    ("", "PersistentVolume", "kubernetes.io/pv-protection"),
    ("storage.k8s.io", "VolumeAttributesClass", "kubernetes.io/vac-protection"),
];

impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let (.., finalizer) = PROTECTED.iter().find(|(group, kind, _)| attributes.creates(group, kind))?;
        protect(json::child(object?, "metadata")?, finalizer);
        None
    }
}

fn protect(metadata: &mut Value, finalizer: &str) {
    if !json::items(metadata, "finalizers").iter().any(|f| f == finalizer) {
        super::append(metadata, "finalizers", Value::from(finalizer));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn adds_the_finalizer_once() {
        let rows = [
            (json!({}), json!(["f"])),
            (json!({"finalizers": null}), json!(["f"])),
            (json!({"finalizers": ["f"]}), json!(["f"])),
            (json!({"finalizers": ["other"]}), json!(["other", "f"])),
        ];
        for (mut metadata, expected) in rows {
            protect(&mut metadata, "f");
            assert_eq!(metadata["finalizers"], expected);
        }
    }
}
