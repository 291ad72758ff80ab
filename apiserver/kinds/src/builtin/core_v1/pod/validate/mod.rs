//! What is wrong with a Pod that is created, and which changes of one are allowed.

mod resize;
mod status;
mod update;

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::Context;
use crate::path::Path;
use crate::pod_template::validate as template;
use crate::value::{equal, get, is_set, items, text};
use crate::{diff, internal};

pub fn create(pod: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    template::pod(pod, &mut errors);
    let spec = get(pod, "spec");
    if is_set(spec, "ephemeralContainers") {
        errors.push(FieldError::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    }
    if is_set(spec, "nodeName") && is_set(spec, "schedulingGates") {
        errors
            .push(FieldError::forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"));
    }
    template::annotations::agree_with_fields(get(pod, "metadata"), spec, &Path::new("spec"), &mut errors);
    errors
}

pub fn update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    match context.subresource {
        "" => update::plain(new, old, &mut errors),
        "status" => status::update(new, old, &mut errors),
        "ephemeralcontainers" => ephemeral(new, old, &mut errors),
        "resize" => resize::update(new, old, &mut errors),
        _ => {}
    }
    errors
}

/// What changed between two values of an internal type, as lines.
fn changes(kind: &'static str, before: &Value, after: &Value) -> String {
    diff::unified(&internal::show_indented(kind, before), &internal::show_indented(kind, after))
}

/// Ephemeral containers can be added, and never changed.
fn ephemeral(new: &Value, old: &Value, errors: &mut Errors) {
    template::pod(new, errors);
    template::annotations::unchanged(new, old, errors);
    if template::annotations::is_mirror(old) {
        *errors = vec![FieldError::forbidden("[]", "static pods do not support ephemeral containers")];
        return;
    }
    let after = items(new, "spec.ephemeralContainers");
    for container in items(old, "spec.ephemeralContainers") {
        let name = text(container, "name");
        let detail = match after.iter().rfind(|c| text(c, "name") == name) {
            None => format!("existing ephemeral containers {name:?} may not be removed\n"),
            Some(found) if !equal(found, container) => {
                let changes = changes("EphemeralContainer", container, found);
                format!("existing ephemeral containers {name:?} may not be changed\n{changes}")
            }
            Some(_) => continue,
        };
        errors.push(FieldError::forbidden("spec.ephemeralContainers", &detail));
    }
}
