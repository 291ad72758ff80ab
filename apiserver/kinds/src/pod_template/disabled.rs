//! Fields behind feature gates that are off in this version: dropped on the way in, unless an object has them already.

use serde_json::Value;

use super::defaults::CONTAINER_LISTS;
use crate::value::{existing, get, items, items_mut, remove};

/// Drops them from a pod spec; `old` is the spec before an update.
pub fn drop_from_spec(spec: &mut Value, old: Option<&Value>) {
    let had = |probe: &dyn Fn(&Value) -> bool| old.is_some_and(probe);
    let any_container = |old: &Value, test: &dyn Fn(&Value) -> bool| {
        CONTAINER_LISTS.iter().any(|list| items(old, list).iter().any(test))
    };
    // ContainerStopSignals
    let stop_signal = |c: &Value| !get(c, "lifecycle.stopSignal").is_null();
    if !had(&|old| any_container(old, &stop_signal)) {
        for list in CONTAINER_LISTS {
            for container in items_mut(spec, list) {
                if let Some(lifecycle) = existing(container, "lifecycle") {
                    remove(lifecycle, "stopSignal");
                    if lifecycle.as_object().is_some_and(|l| l.is_empty()) {
                        remove(container, "lifecycle");
                    }
                }
            }
        }
    }
    // PodCertificateRequest
    let certificate = |volume: &Value| {
        items(volume, "projected.sources").iter().any(|source| !get(source, "podCertificate").is_null())
    };
    if !had(&|old| items(old, "volumes").iter().any(certificate)) {
        for volume in items_mut(spec, "volumes") {
            if let Some(projected) = existing(volume, "projected") {
                for source in items_mut(projected, "sources") {
                    remove(source, "podCertificate");
                }
            }
        }
    }
}
