//! Security contexts of pods and containers, and what an operating system does not know.

use kuorum_schema::names;
use serde_json::Value;

use super::{Spec, annotated};
use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::rules::{invalid_each, one_of, optional_one_of};
use crate::value::{flag, get, int, is_set, items, text};

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
/// Longest `runAsUserName`: domain, backslash and user.
const WINDOWS_USER_BYTES_MAX: usize = 104;

fn user_ids(context: &Value, keys: &[&str], path: &Path, errors: &mut Errors) {
    for key in keys {
        if let Some(id) = int(context, key) {
            for complaint in names::unix_id(id) {
                errors.push(FieldError::invalid(path.child(key), &id.into(), &complaint));
            }
        }
    }
}

fn seccomp(context: &Value, path: &Path, errors: &mut Errors) {
    let profile = get(context, "seccompProfile");
    if !profile.is_object() {
        return;
    }
    let path = path.child("seccompProfile");
    let local = get(profile, "localhostProfile");
    let at = path.child("localhostProfile");
    match text(profile, "type") {
        "Localhost" => match local.as_str() {
            None => errors.push(FieldError::required(at, "must be set when seccomp type is Localhost")),
            Some(file) => super::volumes::local_descending_path(file, at, errors),
        },
        _ if !local.is_null() => {
            let shown = format!("{{\"Type\":{},\"LocalhostProfile\":{local}}}", get(profile, "type"));
            errors.push(FieldError::invalid_shown(at, &shown, "can only be set when seccomp type is Localhost"));
        }
        _ => {}
    }
    if text(profile, "type").is_empty() {
        errors.push(FieldError::required(path.child("type"), "type is required when seccompProfile is set"));
    } else {
        one_of(profile, "type", &PROFILES, &path, errors);
    }
}

fn app_armor(context: &Value, path: &Path, errors: &mut Errors) {
    let profile = get(context, "appArmorProfile");
    if !profile.is_object() {
        return;
    }
    let path = path.child("appArmorProfile");
    let at = path.child("localhostProfile");
    let local = get(profile, "localhostProfile");
    match text(profile, "type") {
        "Localhost" => match local.as_str() {
            None => errors.push(FieldError::required(at, "must be set when AppArmor type is Localhost")),
            Some(name) => {
                let trimmed = name.trim();
                if trimmed != name {
                    errors.push(FieldError::invalid(at, local, "must not be padded with whitespace"));
                } else if trimmed.is_empty() {
                    errors.push(FieldError::required(at, "must be set when AppArmor type is Localhost"));
                }
            }
        },
        "RuntimeDefault" | "Unconfined" => {
            if !local.is_null() {
                errors.push(FieldError::invalid(at, local, "can only be set when AppArmor type is Localhost"));
            }
        }
        "" => errors.push(FieldError::required(path.child("type"), "type is required when appArmorProfile is set")),
        other => errors.push(FieldError::not_supported(path.child("type"), &other.into(), &PROFILES)),
    }
}

fn windows(context: &Value, path: &Path, errors: &mut Errors) {
    let options = get(context, "windowsOptions");
    if !options.is_object() {
        return;
    }
    let path = path.child("windowsOptions");
    if let Some(name) = get(options, "gmsaCredentialSpecName").as_str() {
        invalid_each(path.child("gmsaCredentialSpecName"), name, names::dns1123_subdomain(name), errors);
    }
    if get(options, "gmsaCredentialSpec").as_str() == Some("") {
        let detail = "gmsaCredentialSpec cannot be an empty string";
        errors.push(FieldError::invalid(path.child("gmsaCredentialSpec"), &"".into(), detail));
    }
    let Some(user) = get(options, "runAsUserName").as_str() else { return };
    let at = path.child("runAsUserName");
    let complaint = |detail: &str| FieldError::invalid(at, &user.into(), detail);
    match user {
        "" => errors.push(complaint("runAsUserName cannot be an empty string")),
        _ if user.bytes().any(|b| b.is_ascii_control()) => {
            errors.push(complaint("runAsUserName cannot contain control characters"));
        }
        _ => {}
    }
    let parts: Vec<&str> = user.split('\\').collect();
    if parts.len() > 2 {
        errors.push(complaint("runAsUserName cannot contain more than one backslash"));
    } else if !user.is_empty() {
        let name = parts[parts.len() - 1];
        if name.len() > WINDOWS_USER_BYTES_MAX {
            let detail =
                format!("runAsUserName's User length must not be longer than {WINDOWS_USER_BYTES_MAX} characters");
            errors.push(complaint(&detail));
        }
        if name.chars().all(|c| c == '.' || c == ' ') {
            errors.push(complaint("runAsUserName's User cannot contain only periods or spaces"));
        }
        if name.contains(['"', '/', '\\', '[', ']', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@']) {
            errors.push(complaint("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"));
        }
    }
}

/// The pod's own security context.
pub fn pod(pod: &Spec, path: &Path, errors: &mut Errors) {
    let context = get(pod.spec, "securityContext");
    let path = path.child("securityContext");
    if !context.is_object() {
        return;
    }
    user_ids(context, &["fsGroup", "runAsUser", "runAsGroup"], &path, errors);
    for (i, group) in items(context, "supplementalGroups").iter().enumerate() {
        for complaint in names::unix_id(group.as_i64().unwrap_or(0)) {
            errors.push(FieldError::invalid(path.child("supplementalGroups").index(i), group, &complaint));
        }
    }
    optional_one_of(context, "fsGroupChangePolicy", &["Always", "OnRootMismatch"], &path, errors);
    optional_one_of(context, "supplementalGroupsPolicy", &["Merge", "Strict"], &path, errors);
    seccomp(context, &path, errors);
    windows(context, &path, errors);
    app_armor(context, &path, errors);
    sysctls(pod.spec, context, &path, errors);
    // MountOption is behind a feature gate that is off.
    optional_one_of(context, "seLinuxChangePolicy", &["Recursive"], &path, errors);
}

fn sysctls(spec: &Value, context: &Value, path: &Path, errors: &mut Errors) {
    let path = path.child("sysctls");
    let mut seen: Vec<String> = Vec::new();
    for (i, sysctl) in items(context, "sysctls").iter().enumerate() {
        let at = path.index(i);
        let at = at.child("name");
        let name = text(sysctl, "name");
        let good = |part: &str| {
            let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
            edge(part.as_bytes().first())
                && edge(part.as_bytes().last())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        };
        if name.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else if name.len() > 253 || !name.split(['.', '/']).all(good) {
            let detail = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.push(FieldError::invalid(at, &name.into(), detail));
        } else if seen.contains(&name.replace('/', ".")) {
            errors.push(FieldError::duplicate(at, &name.into()));
        }
        seen.push(name.replace('/', "."));
        let dotted = name.replace('/', ".");
        let host = [("hostNetwork", dotted.starts_with("net.")), ("hostIPC", is_ipc_sysctl(&dotted))];
        for (key, applies) in host {
            if applies && flag(spec, key) {
                let detail = format!("may not be specified when '{key}' is true");
                errors.push(FieldError::invalid(at, &name.into(), &detail));
            }
        }
    }
}

fn is_ipc_sysctl(name: &str) -> bool {
    name.starts_with("kernel.shm")
        || name.starts_with("kernel.msg")
        || name == "kernel.sem"
        || name.starts_with("fs.mqueue.")
}

/// A container's security context.
pub fn container(pod: &Spec, container: &Value, field: &Path, errors: &mut Errors) {
    let context = get(container, "securityContext");
    if !context.is_object() {
        return;
    }
    let path = field.child("securityContext");
    user_ids(context, &["runAsUser", "runAsGroup"], &path, errors);
    if let Some(kind) = get(context, "procMount").as_str() {
        if !matches!(kind, "Default" | "Unmasked") {
            let known = ["Default", "Unmasked"];
            errors.push(FieldError::not_supported(path.child("procMount"), &kind.into(), &known));
        } else if kind == "Unmasked" && get(pod.spec, "hostUsers") != &Value::Bool(false) {
            let detail = "`hostUsers` must be false to use `Unmasked`";
            errors.push(FieldError::invalid(path.child("procMount"), &kind.into(), detail));
        }
    }
    seccomp(context, &path, errors);
    escalation(context, &path, errors);
    windows(context, &path, errors);
    app_armor(context, &path, errors);
    let kind = text(context, "appArmorProfile.type");
    let matching = annotated(pod.meta, APPARMOR_ANNOTATION).find(|(_, name, _)| *name == text(container, "name"));
    if let Some((_, _, value)) = matching
        && !kind.is_empty()
    {
        let annotated = match value.as_str().unwrap_or("") {
            "runtime/default" => "RuntimeDefault",
            "unconfined" => "Unconfined",
            _ => "Localhost",
        };
        if annotated != kind {
            let detail = "apparmor type in annotation and field must match";
            errors.push(FieldError::forbidden(path.child("appArmorProfile.type"), detail));
        }
    }
}

fn escalation(context: &Value, path: &Path, errors: &mut Errors) {
    if get(context, "allowPrivilegeEscalation") != &Value::Bool(false) {
        return;
    }
    if flag(context, "privileged") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(FieldError::invalid_shown(path, &show(context), detail));
    }
    if items(context, "capabilities.add").iter().any(|c| c == "CAP_SYS_ADMIN") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.push(FieldError::invalid_shown(path, &show(context), detail));
    }
}

/// A security context as Go prints the internal type.
fn show(context: &Value) -> String {
    let capabilities = get(context, "capabilities");
    let capabilities = if capabilities.is_object() {
        format!("{{\"Add\":{},\"Drop\":{}}}", get(capabilities, "add"), get(capabilities, "drop"))
    } else {
        "null".to_owned()
    };
    let mut parts = vec![format!("\"Capabilities\":{capabilities}")];
    for (shown, key) in [
        ("Privileged", "privileged"),
        ("SELinuxOptions", "seLinuxOptions"),
        ("WindowsOptions", "windowsOptions"),
        ("RunAsUser", "runAsUser"),
        ("RunAsGroup", "runAsGroup"),
        ("RunAsNonRoot", "runAsNonRoot"),
        ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
        ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"),
        ("ProcMount", "procMount"),
        ("SeccompProfile", "seccompProfile"),
        ("AppArmorProfile", "appArmorProfile"),
    ] {
        parts.push(format!("\"{shown}\":{}", get(context, key)));
    }
    format!("{{{}}}", parts.join(","))
}

/// Host-process containers need the host's network.
pub fn windows_host_process(spec: &Value, path: &Path, errors: &mut Errors) {
    let wants = |context: &Value| flag(get(context, "windowsOptions"), "hostProcess");
    let pod_wants = wants(get(spec, "securityContext"));
    let any = pod_wants || items(spec, "containers").iter().any(|c| wants(get(c, "securityContext")));
    if any && !flag(spec, "hostNetwork") {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(FieldError::invalid(path.child("hostNetwork"), &false.into(), detail));
    }
}

/// With a user namespace of its own a pod cannot share the host's other namespaces.
pub fn host_users(spec: &Value, path: &Path, errors: &mut Errors) {
    if get(spec, "hostUsers") != &Value::Bool(false) {
        return;
    }
    for (key, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if flag(spec, key) {
            errors.push(FieldError::forbidden(path.child(shown), "when `hostUsers` is false"));
        }
    }
}

/// Fields that the pod's operating system does not know.
pub fn os(spec: &Value, path: &Path, errors: &mut Errors) {
    let os = get(spec, "os");
    if !os.is_object() {
        return;
    }
    match text(os, "name") {
        "" => errors.push(FieldError::required(path.child("os.name"), "")),
        "linux" => linux_only(spec, path, errors),
        "windows" => windows_only(spec, path, errors),
        other => errors.push(FieldError::not_supported(path.child("os"), &other.into(), &["linux", "windows"])),
    }
}

fn linux_only(spec: &Value, path: &Path, errors: &mut Errors) {
    let detail = "windows options cannot be set for a linux pod";
    if !get(spec, "securityContext.windowsOptions").is_null() {
        errors.push(FieldError::forbidden(path.child("securityContext.windowsOptions"), detail));
    }
    for (i, container) in items(spec, "containers").iter().enumerate() {
        if !get(container, "securityContext.windowsOptions").is_null() {
            let containers = path.child("containers");
            errors.push(FieldError::forbidden(containers.index(i).child("securityContext.windowsOptions"), detail));
        }
    }
}

fn windows_only(spec: &Value, path: &Path, errors: &mut Errors) {
    let detail = "cannot be set for a windows pod";
    let context = get(spec, "securityContext");
    let at = path.child("securityContext");
    for key in ["appArmorProfile", "seLinuxOptions"] {
        if !get(context, key).is_null() {
            errors.push(FieldError::forbidden(at.child(key), detail));
        }
    }
    for key in ["hostPID", "hostIPC"] {
        if flag(spec, key) {
            errors.push(FieldError::forbidden(path.child(key), detail));
        }
    }
    for key in [
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
        "shareProcessNamespace",
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
        "supplementalGroupsPolicy",
    ] {
        if key == "shareProcessNamespace" {
            if !get(spec, key).is_null() {
                errors.push(FieldError::forbidden(path.child(key), detail));
            }
        } else if is_set(context, key) {
            errors.push(FieldError::forbidden(at.child(key), detail));
        }
    }
    for list in super::super::defaults::CONTAINER_LISTS {
        for (i, container) in items(spec, list).iter().enumerate() {
            let containers = path.child(list);
            let item = containers.index(i);
            let at = item.child("securityContext");
            for key in [
                "appArmorProfile",
                "seLinuxOptions",
                "seccompProfile",
                "capabilities",
                "readOnlyRootFilesystem",
                "privileged",
                "allowPrivilegeEscalation",
                "procMount",
                "runAsUser",
                "runAsGroup",
            ] {
                if !get(get(container, "securityContext"), key).is_null() {
                    errors.push(FieldError::forbidden(at.child(key), detail));
                }
            }
        }
    }
}
