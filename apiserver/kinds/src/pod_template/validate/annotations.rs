//! Annotations of old that pods and their templates still understand, and that must agree with the fields that
//! replaced them.

use serde_json::Value;

use super::scheduling;
use super::volumes::local_descending_path;
use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::pod_template::defaults::CONTAINER_LISTS;
use crate::value::{entries, get, is_set, items, text};

const MIRROR: &str = "kubernetes.io/config.mirror";
const TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/tolerations";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Whether the pod stands for a static pod of a kubelet.
pub fn is_mirror(pod: &Value) -> bool {
    get(pod, "metadata.annotations").get(MIRROR).is_some()
}

/// Complaints about the annotations in `meta`, at `path`, of a pod or template with `spec`.
pub fn validate(meta: &Value, spec: &Value, path: &Path, errors: &mut Errors) {
    let annotations = get(meta, "annotations");
    let annotation = |key: &str| annotations.get(key);
    if let Some(value) = annotation(MIRROR)
        && !is_set(spec, "nodeName")
    {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(FieldError::invalid(path.key(MIRROR), value, detail));
    }
    if let Some(list) = annotation(TOLERATIONS).and_then(Value::as_str).filter(|list| !list.is_empty()) {
        match serde_json::from_str::<Vec<Value>>(list) {
            Ok(list) => scheduling::tolerations(&list, &path.child(TOLERATIONS), errors),
            Err(error) => errors.push(FieldError::invalid(path, &TOLERATIONS.into(), &error.to_string())),
        }
    }
    if let Some(value) = annotation(DELETION_COST)
        && !is_deletion_cost(value.as_str().unwrap_or(""))
    {
        errors.push(FieldError::invalid(path.key(DELETION_COST), value, "must be a 32bit integer"));
    }
    if let Some(profile) = annotation(SECCOMP_POD) {
        seccomp(profile, path.child(SECCOMP_POD), errors);
    }
    for (key, profile) in entries(meta, "annotations").filter(|(key, _)| key.starts_with(SECCOMP_CONTAINER)) {
        seccomp(profile, path.child(key), errors);
    }
    for (key, profile) in entries(meta, "annotations") {
        let Some(name) = key.strip_prefix(APPARMOR) else { continue };
        if !containers(spec).any(|(.., container)| text(container, "name") == name) {
            errors.push(FieldError::invalid(path.key(key), &name.into(), "container not found"));
        }
        let shown = profile.as_str().unwrap_or("");
        if !matches!(shown, "" | "runtime/default" | "unconfined") && !shown.starts_with("localhost/") {
            let detail = format!("invalid AppArmor profile name: {shown:?}");
            errors.push(FieldError::invalid(path.key(key), profile, &detail));
        }
    }
}

/// A 32-bit integer without a plus sign or leading zeros.
fn is_deletion_cost(text: &str) -> bool {
    (text == "0" || text.starts_with(['-', '1', '2', '3', '4', '5', '6', '7', '8', '9'])) && text.parse::<i32>().is_ok()
}

fn seccomp(profile: &Value, path: Path, errors: &mut Errors) {
    let name = profile.as_str().unwrap_or("");
    match name.strip_prefix("localhost/") {
        _ if matches!(name, "runtime/default" | "docker/default" | "unconfined") => {}
        Some(file) => local_descending_path(file, path, errors),
        None => errors.push(FieldError::invalid(path, profile, "must be a valid seccomp profile")),
    }
}

/// Complaints about profiles that an annotation and a field give differently.
pub fn agree_with_fields(meta: &Value, spec: &Value, path: &Path, errors: &mut Errors) {
    let annotation = |key: String| get(meta, "annotations").get(&key).and_then(Value::as_str);
    let of_pod = get(spec, "securityContext.seccompProfile");
    if let Some(given) = annotation(SECCOMP_POD.to_owned()).filter(|_| of_pod.is_object()) {
        let words = &["runtime/default", "docker/default"];
        agree(given, of_pod, words, "seccomp", &path.child("securityContext.seccompProfile"), errors);
    }
    for (list, i, container) in containers(spec) {
        let profile = get(container, "securityContext.seccompProfile");
        let Some(given) = annotation(format!("{SECCOMP_CONTAINER}{}", text(container, "name"))) else { continue };
        if profile.is_object() {
            let list = path.child(list);
            let at = list.index(i);
            let words = &["runtime/default", "docker/default"];
            agree(given, profile, words, "seccomp", &at.child("securityContext.seccompProfile"), errors);
        }
    }
    if text(spec, "os.name") == "windows" {
        return;
    }
    let of_pod = get(spec, "securityContext.appArmorProfile");
    for (list, i, container) in containers(spec) {
        let own = get(container, "securityContext.appArmorProfile");
        let profile = if own.is_object() { own } else { of_pod };
        let Some(given) = annotation(format!("{APPARMOR}{}", text(container, "name"))) else { continue };
        if profile.is_object() {
            let list = path.child(list);
            let at = list.index(i);
            agree(
                given,
                profile,
                &["runtime/default"],
                "apparmor",
                &at.child("securityContext.appArmorProfile"),
                errors,
            );
        }
    }
}

/// `given` is the annotation, `defaults` are its words for the runtime's own profile.
fn agree(given: &str, profile: &Value, defaults: &[&str], what: &str, path: &Path, errors: &mut Errors) {
    let file = given.strip_prefix("localhost/");
    let same_kind = match text(profile, "type") {
        "Unconfined" => given == "unconfined",
        "RuntimeDefault" => defaults.contains(&given),
        "Localhost" => file.is_some(),
        _ => true,
    };
    if !same_kind {
        let detail = format!("{what} type in annotation and field must match");
        errors.push(FieldError::forbidden(path.child("type"), &detail));
    } else if text(profile, "type") == "Localhost" && file != get(profile, "localhostProfile").as_str() {
        let detail = format!("{what} profile in annotation and field must match");
        errors.push(FieldError::forbidden(path.child("localhostProfile"), &detail));
    }
}

/// Complaints about annotations that only a new pod may have.
pub fn unchanged(new: &Value, old: &Value, errors: &mut Errors) {
    let path = Path::new("metadata.annotations");
    for (key, before) in entries(old, "metadata.annotations") {
        if get(new, "metadata.annotations").get(key) != Some(before) {
            refuse(key, "may not remove or update", &path, errors);
        }
    }
    for (key, _) in entries(new, "metadata.annotations") {
        if get(old, "metadata.annotations").get(key).is_none() {
            refuse(key, "may not add", &path, errors);
        }
    }
}

fn refuse(key: &str, verb: &str, path: &Path, errors: &mut Errors) {
    if key.starts_with(APPARMOR) {
        errors.push(FieldError::forbidden(path.key(key), &format!("{verb} AppArmor annotations")));
    }
    if key == MIRROR {
        errors.push(FieldError::forbidden(path.key(key), &format!("{verb} mirror pod annotation")));
    }
}

/// All containers, with the list that they are in and their place there.
fn containers(spec: &Value) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    CONTAINER_LISTS
        .into_iter()
        .flat_map(move |list| items(spec, list).iter().enumerate().map(move |(i, container)| (list, i, container)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn complaints(meta: &Value, spec: &Value) -> Vec<String> {
        let mut errors = Errors::new();
        validate(meta, spec, &Path::new("metadata.annotations"), &mut errors);
        agree_with_fields(meta, spec, &Path::new("spec"), &mut errors);
        errors.iter().map(crate::field::FieldError::full).collect()
    }

    #[test]
    fn deletion_costs_are_plain_integers() {
        for (text, good) in [("0", true), ("-7", true), ("10", true), ("+10", false), ("008", false), ("", false)] {
            assert_eq!(is_deletion_cost(text), good, "{text}");
        }
        assert!(!is_deletion_cost("2147483648"));
    }

    #[test]
    fn annotations_agree_with_fields() {
        let spec = json!({"containers": [{"name": "c", "securityContext": {"seccompProfile": {"type": "RuntimeDefault"},
            "appArmorProfile": {"type": "Localhost", "localhostProfile": "a"}}}]});
        let meta = |seccomp: &str, apparmor: &str| {
            json!({"annotations": {
                "container.seccomp.security.alpha.kubernetes.io/c": seccomp,
                "container.apparmor.security.beta.kubernetes.io/c": apparmor,
            }})
        };
        assert_eq!(complaints(&meta("docker/default", "localhost/a"), &spec), Vec::<String>::new());
        assert_eq!(
            complaints(&meta("unconfined", "localhost/b"), &spec),
            [
                "spec.containers[0].securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match",
                "spec.containers[0].securityContext.appArmorProfile.localhostProfile: Forbidden: apparmor profile in annotation and field must match",
            ]
        );
    }

    #[test]
    fn a_mirror_has_a_node() {
        let meta = json!({"annotations": {MIRROR: "x"}});
        assert_eq!(
            complaints(&meta, &json!({})),
            [
                "metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set spec.nodeName if mirror pod annotation is set"
            ]
        );
        assert!(complaints(&meta, &json!({"nodeName": "n"})).is_empty());
    }
}
