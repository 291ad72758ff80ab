//! Defaults of volume sources, shared by pods and PersistentVolumes.

use serde_json::{Value, json};

use super::image;
use crate::value::{existing, is_set, items_mut, set, set_default, set_default_text, text};

/// `0644`, the mode of projected files.
const FILE_MODE: i64 = 0o644;
/// Lifetime of a projected service account token, in seconds.
const TOKEN_SECONDS: i64 = 60 * 60;

/// Fills in one entry of `spec.volumes`; without any source it is an emptyDir.
pub fn default(volume: &mut Value) {
    let Some(map) = volume.as_object_mut() else { return };
    if !map.iter().any(|(key, value)| key != "name" && !value.is_null()) {
        map.insert("emptyDir".to_owned(), json!({}));
        return;
    }
    for (source, value) in map.iter_mut() {
        match source.as_str() {
            "secret" | "configMap" => set_default(value, "defaultMode", FILE_MODE),
            "downwardAPI" => {
                set_default(value, "defaultMode", FILE_MODE);
                downward_items(value);
            }
            "projected" => projected(value),
            "ephemeral" => {
                if let Some(spec) = existing(value, "volumeClaimTemplate").and_then(|t| existing(t, "spec")) {
                    claim_spec(spec);
                }
            }
            "image" => {
                if !is_set(value, "pullPolicy") {
                    let policy = image::default_pull_policy(text(value, "reference"));
                    set(value, "pullPolicy", policy);
                }
            }
            other => persistent_source(other, value),
        }
    }
}

/// Fills in a volume source that PersistentVolumes know too.
pub fn persistent_source(source: &str, value: &mut Value) {
    match source {
        "hostPath" => set_default(value, "type", ""),
        "iscsi" => set_default_text(value, "iscsiInterface", "default"),
        "rbd" => {
            set_default_text(value, "pool", "rbd");
            set_default_text(value, "user", "admin");
            set_default_text(value, "keyring", "/etc/ceph/keyring");
        }
        "azureDisk" => {
            set_default(value, "cachingMode", "ReadWrite");
            set_default(value, "kind", "Shared");
            set_default(value, "fsType", "ext4");
            set_default(value, "readOnly", false);
        }
        "scaleIO" => {
            set_default_text(value, "storageMode", "ThinProvisioned");
            set_default_text(value, "fsType", "xfs");
        }
        _ => {}
    }
}

/// Fills in the spec of a PersistentVolumeClaim or of a template of one.
pub fn claim_spec(spec: &mut Value) {
    set_default(spec, "volumeMode", "Filesystem");
}

fn projected(value: &mut Value) {
    set_default(value, "defaultMode", FILE_MODE);
    for source in items_mut(value, "sources") {
        if let Some(downward) = existing(source, "downwardAPI") {
            downward_items(downward);
        }
        if let Some(token) = existing(source, "serviceAccountToken") {
            set_default(token, "expirationSeconds", TOKEN_SECONDS);
        }
    }
}

fn downward_items(source: &mut Value) {
    for item in items_mut(source, "items") {
        if let Some(field) = existing(item, "fieldRef") {
            set_default_text(field, "apiVersion", "v1");
        }
    }
}
