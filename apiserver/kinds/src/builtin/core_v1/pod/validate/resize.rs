//! Resizing a pod in place: CPU and memory of its containers and sidecars, within its class of service.

use serde_json::Value;

use super::template;
use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::pod_template::resources::qos_class;
use crate::value::{child, entries, equal, get, is_set, items, set, text};

const LISTS: [&str; 2] = ["requests", "limits"];
const RESIZABLE: [&str; 2] = ["cpu", "memory"];

pub fn update(new: &Value, old: &Value, errors: &mut Errors) {
    template::pod(new, errors);
    if template::annotations::is_mirror(old) {
        *errors = vec![FieldError::forbidden("[]", "static pods cannot be resized")];
        return;
    }
    if text(old, "spec.os.name") == "windows" {
        *errors = vec![FieldError::forbidden("[]", "windows pods cannot be resized")];
        return;
    }
    let path = Path::new("spec");
    let class = match text(old, "status.qosClass") {
        "" => qos_class(old),
        class => class,
    };
    if class != qos_class(new) {
        let shown = text(new, "status.qosClass").into();
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid(path, &shown, detail));
    }
    if !is_supported(old) {
        errors.push(FieldError::forbidden(path, "Pod running on node without support for resize"));
    }
    let (after, before) = (get(new, "spec"), get(old, "spec"));
    for list in ["containers", "initContainers"] {
        let names = |spec| items(spec, list).iter().map(|c| text(c, "name"));
        if !names(after).eq(names(before)) {
            let detail = "containers may not be added or removed on resize";
            errors.push(FieldError::forbidden(path.child(list), detail));
            return;
        }
    }
    for list in ["initContainers", "containers"] {
        let at = path.child(list);
        for (i, (container, old)) in items(after, list).iter().zip(items(before, list)).enumerate() {
            if list == "containers" || is_sidecar(old) {
                nothing_removed(container, old, &at.index(i).child("resources"), errors);
            }
        }
    }
    for (list, resized) in [
        ("containers", "only cpu and memory resources are mutable"),
        ("initContainers", "only cpu and memory resources for sidecar containers are mutable"),
    ] {
        for (container, old) in items(after, list).iter().zip(items(before, list)) {
            if list == "containers" || is_sidecar(container) {
                if !equal(&with_old_sizes(container, old), old) {
                    errors.push(FieldError::forbidden(path, resized));
                }
            } else if !equal(container, old) {
                errors.push(FieldError::forbidden(path, "resources for non-sidecar init containers are immutable"));
            }
        }
    }
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

/// A node that can resize tells the resources of running containers.
fn is_supported(pod: &Value) -> bool {
    items(pod, "status.containerStatuses")
        .iter()
        .find(|status| get(status, "state.running").is_object())
        .is_none_or(|status| get(status, "resources").is_object())
}

fn nothing_removed(container: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    for list in LISTS {
        let (after, before) = (get(get(container, "resources"), list), get(old, "resources"));
        if entries(before, list).any(|(name, _)| after.get(name).is_none()) {
            let detail = format!("resource {list} cannot be removed");
            errors.push(FieldError::forbidden(path.child(list), &detail));
        }
    }
}

/// The container with the CPU and memory that it had.
fn with_old_sizes(container: &Value, old: &Value) -> Value {
    let mut rest = container.clone();
    let Some(resources) = child(&mut rest, "resources") else { return rest };
    for list in LISTS {
        let before = get(get(old, "resources"), list);
        if before.is_null() {
            // What was not limited may be now, in any resource: the list is dropped whole, as kube-apiserver does.
            crate::value::remove(resources, list);
            continue;
        }
        let Some(after) = child(resources, list) else { continue };
        for name in RESIZABLE {
            match before.get(name) {
                Some(size) => set(after, name, size.clone()),
                None => {
                    crate::value::remove(after, name);
                }
            }
        }
    }
    if !is_set(&rest, "resources") && old.get("resources").is_none() {
        crate::value::remove(&mut rest, "resources");
    }
    rest
}
