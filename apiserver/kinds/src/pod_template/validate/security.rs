//! Security contexts of pods and containers, and what an operating system does not know.

use kuorum_schema::names;
use serde_json::Value;

use super::Spec;
use crate::field::{Errors, FieldError};
use crate::internal;
use crate::path::Path;
use crate::pod_template::defaults::CONTAINER_LISTS;
use crate::rules::{invalid_each, one_of, optional_one_of};
use crate::value::{flag, get, int, items, text};

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
/// Longest `runAsUserName`: domain, backslash and user.
const WINDOWS_USER_BYTES_MAX: usize = 104;

/// Longest domain of such a name.
const WINDOWS_DOMAIN_BYTES_MAX: usize = 256;
/// Largest credential spec of a group managed service account.
const GMSA_SPEC_KIB_MAX: usize = 64;
/// Longest path of an AppArmor profile: PATH_MAX, less its end.
const PROFILE_BYTES_MAX: usize = 4095;

/// What Windows does not know, in kube-apiserver's order.
const NOT_FOR_WINDOWS_PODS: [&str; 15] = [
    "appArmorProfile",
    "seLinuxOptions",
    "hostUsers",
    "hostPID",
    "hostIPC",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "shareProcessNamespace",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
];

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
    if text(profile, "type").is_empty() {
        errors.push(FieldError::required(path.child("type"), "type is required when seccompProfile is set"));
    } else {
        one_of(profile, "type", &PROFILES, &path, errors);
    }
    let local = get(profile, "localhostProfile");
    let at = path.child("localhostProfile");
    match text(profile, "type") {
        "Localhost" => match local.as_str() {
            None => errors.push(FieldError::required(at, "must be set when seccomp type is Localhost")),
            Some(file) => super::volumes::local_descending_path(file, at, errors),
        },
        _ if !local.is_null() => {
            let shown = internal::show("SeccompProfile", profile);
            errors.push(FieldError::invalid_shown(at, &shown, "can only be set when seccomp type is Localhost"));
        }
        _ => {}
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
                if name.len() > PROFILE_BYTES_MAX {
                    errors.push(FieldError::too_long(at, PROFILE_BYTES_MAX));
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
    let at = path.child("gmsaCredentialSpec");
    match get(options, "gmsaCredentialSpec").as_str() {
        Some("") => {
            errors.push(FieldError::invalid(at, &"".into(), "gmsaCredentialSpec cannot be an empty string"));
        }
        Some(spec) if spec.len() > GMSA_SPEC_KIB_MAX * 1024 => {
            let detail = format!("gmsaCredentialSpec size must be under {GMSA_SPEC_KIB_MAX} KiB");
            errors.push(FieldError::invalid(at, &spec.into(), &detail));
        }
        _ => {}
    }
    if let Some(user) = get(options, "runAsUserName").as_str() {
        windows_user(user, path.child("runAsUserName"), errors);
    }
}

/// `DOMAIN\user`, or a user alone.
fn windows_user(name: &str, path: Path, errors: &mut Errors) {
    let mut complain = |detail: &str| errors.push(FieldError::invalid(path, &name.into(), detail));
    let (domain, user) = match name.split_once('\\') {
        _ if name.is_empty() => return complain("runAsUserName cannot be an empty string"),
        _ if name.bytes().any(|b| b.is_ascii_control()) => {
            return complain("runAsUserName cannot contain control characters");
        }
        Some((_, rest)) if rest.contains('\\') => {
            return complain("runAsUserName cannot contain more than one backslash");
        }
        Some((domain, user)) => (Some(domain), user),
        None => (None, name),
    };
    if domain.is_some_and(|domain| domain.len() >= WINDOWS_DOMAIN_BYTES_MAX) {
        complain(&format!("runAsUserName's Domain length must be under {WINDOWS_DOMAIN_BYTES_MAX} characters"));
    }
    if domain.is_some_and(|domain| !is_net_bios_name(domain) && !is_windows_dns_name(domain)) {
        complain("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
    }
    if user.is_empty() {
        complain("runAsUserName's User cannot be empty");
    } else if user.len() > WINDOWS_USER_BYTES_MAX {
        complain(&format!("runAsUserName's User length must not be longer than {WINDOWS_USER_BYTES_MAX} characters"));
    }
    if !user.is_empty() && user.bytes().all(|b| b == b'.' || b == b' ') {
        complain("runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        complain("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
    }
}

/// At most 15 characters, none of them special, the first not a dot.
fn is_net_bios_name(name: &str) -> bool {
    (1..=15).contains(&name.chars().count())
        && !name.starts_with('.')
        && !name.contains(['\\', '/', ':', '*', '?', '"', '<', '>', '|'])
}

fn is_windows_dns_name(name: &str) -> bool {
    name.split('.').all(|label| {
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        label.len() <= 63
            && edge(label.as_bytes().first())
            && edge(label.as_bytes().last())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
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
    if flag(pod.spec, "shareProcessNamespace") && flag(pod.spec, "hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(path.child("shareProcessNamespace"), &true.into(), detail));
    }
    sysctls(pod.spec, context, &path, errors);
    optional_one_of(context, "fsGroupChangePolicy", &["Always", "OnRootMismatch"], &path, errors);
    seccomp(context, &path, errors);
    windows(context, &path, errors);
    app_armor(context, &path, errors);
    optional_one_of(context, "supplementalGroupsPolicy", &["Merge", "Strict"], &path, errors);
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
}

fn escalation(context: &Value, path: &Path, errors: &mut Errors) {
    if get(context, "allowPrivilegeEscalation") != &Value::Bool(false) {
        return;
    }
    if flag(context, "privileged") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(FieldError::invalid_shown(path, &internal::show("SecurityContext", context), detail));
    }
    if items(context, "capabilities.add").iter().any(|c| c == "CAP_SYS_ADMIN") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.push(FieldError::invalid_shown(path, &internal::show("SecurityContext", context), detail));
    }
}

/// Host-process containers need the host's network, and do not share a pod with others.
pub fn windows_host_process(spec: &Value, path: &Path, errors: &mut Errors) {
    let wanted = |object: &Value| get(object, "securityContext.windowsOptions.hostProcess").as_bool();
    let of_pod = wanted(spec);
    let (mut all, mut host) = (0, 0);
    for list in CONTAINER_LISTS {
        let at = path.child(list);
        for (i, container) in items(spec, list).iter().enumerate() {
            all += 1;
            let own = wanted(container);
            if let (Some(pod), Some(own)) = (of_pod, own)
                && pod != own
            {
                let detail = format!("pod hostProcess value must be identical if both are specified, was {pod}");
                let item = at.index(i);
                let field = item.child("securityContext.windowsOptions.hostProcess");
                errors.push(FieldError::invalid(field, &own.into(), &detail));
            }
            host += usize::from(own.or(of_pod) == Some(true));
        }
    }
    if host == 0 {
        return;
    }
    if host != all {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(FieldError::invalid(path, &"".into(), detail));
    }
    if !flag(spec, "hostNetwork") {
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
    for list in CONTAINER_LISTS {
        let containers = path.child(list);
        for (i, container) in items(spec, list).iter().enumerate() {
            if !get(container, "securityContext.windowsOptions").is_null() {
                errors.push(FieldError::forbidden(containers.index(i).child("securityContext.windowsOptions"), detail));
            }
        }
    }
}

fn windows_only(spec: &Value, path: &Path, errors: &mut Errors) {
    let detail = "cannot be set for a windows pod";
    let context = get(spec, "securityContext");
    let at = path.child("securityContext");
    for key in NOT_FOR_WINDOWS_PODS {
        // The host's namespaces are fields of the spec, and of the security context inside the server.
        let (object, at) =
            if key.starts_with("host") || key == "shareProcessNamespace" { (spec, path) } else { (context, &at) };
        let set = match get(object, key) {
            Value::Bool(false) if matches!(key, "hostPID" | "hostIPC") => false,
            Value::Array(list) => !list.is_empty(),
            other => !other.is_null(),
        };
        if set {
            errors.push(FieldError::forbidden(at.child(key), detail));
        }
    }
    for list in CONTAINER_LISTS {
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
