//! Checks of the baseline level: nothing that is known to lead out of a container.

use std::collections::BTreeSet;

use kuorum_kinds::value as json;
use serde_json::Value;

use super::containers::{self, plural, quoted};
use super::{Pod, Violation};

const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";

pub fn app_armor(pod: &Pod<'_>) -> Option<Violation> {
    let allowed = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
    let found = containers::settings(pod, "appArmorProfile", "type", |kind| !allowed(kind));
    let annotations: BTreeSet<String> = json::entries(pod.metadata, "annotations")
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(key, _)| key.starts_with(APP_ARMOR_ANNOTATION))
        .filter(|(_, v)| !(v.is_empty() || *v == "runtime/default" || v.starts_with("localhost/")))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    let mut setters = found.setters();
    if !annotations.is_empty() {
        setters.push(plural("annotation", "annotations", annotations.len()).to_owned());
    }
    let values: Vec<&str> = found.values.into_iter().chain(annotations.iter().map(String::as_str)).collect();
    (!setters.is_empty()).then(|| Violation {
        reason: plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len()),
        detail: format!("{} must not set AppArmor profile type to {}", setters.join(" and "), quoted(&values)),
    })
}

/// Capabilities that container runtimes give by themselves.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

pub fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    let mut added = BTreeSet::new();
    let bad = containers::names(pod, |c| add_capabilities(c, &CAPABILITIES, &mut added));
    (!bad.is_empty()).then(|| Violation { reason: "non-default capabilities", detail: adds_too_much(&bad, &added) })
}

/// Collects what a container adds beyond `allowed`; whether there was anything.
pub fn add_capabilities<'a>(container: &'a Value, allowed: &[&str], added: &mut BTreeSet<&'a str>) -> bool {
    let extra = json::items(container, "securityContext.capabilities.add").iter().filter_map(Value::as_str);
    let mut any = false;
    for capability in extra.filter(|c| !allowed.contains(c)) {
        added.insert(capability);
        any = true;
    }
    any
}

pub fn adds_too_much(bad: &[&str], added: &BTreeSet<&str>) -> String {
    format!("{} must not include {} in securityContext.capabilities.add", containers::list(bad), quoted(added))
}

pub fn host_namespaces(pod: &Pod<'_>) -> Option<Violation> {
    let shared: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|field| json::flag(pod.spec, field))
        .map(|field| format!("{field}=true"))
        .collect();
    (!shared.is_empty()).then(|| Violation { reason: "host namespaces", detail: shared.join(", ") })
}

pub fn host_path_volumes(pod: &Pod<'_>) -> Option<Violation> {
    let volumes: Vec<&str> = json::items(pod.spec, "volumes")
        .iter()
        .filter(|volume| json::get(volume, "hostPath").is_object())
        .map(|volume| json::text(volume, "name"))
        .collect();
    (!volumes.is_empty()).then(|| Violation {
        reason: "hostPath volumes",
        detail: format!("{} {}", plural("volume", "volumes", volumes.len()), quoted(&volumes)),
    })
}

pub fn host_ports(pod: &Pod<'_>) -> Option<Violation> {
    // Sorted as texts, which is how they are shown.
    let mut ports: BTreeSet<String> = BTreeSet::new();
    let bad = containers::names(pod, |container| {
        let own = json::items(container, "ports").iter().filter_map(|p| json::int(p, "hostPort")).filter(|p| *p != 0);
        let own: Vec<String> = own.map(|port| port.to_string()).collect();
        let any = !own.is_empty();
        ports.extend(own);
        any
    });
    (!bad.is_empty()).then(|| Violation {
        reason: "hostPort",
        detail: format!(
            "{} {} {} {}",
            containers::list(&bad),
            plural("uses", "use", bad.len()),
            plural("hostPort", "hostPorts", ports.len()),
            ports.into_iter().collect::<Vec<_>>().join(", ")
        ),
    })
}

/// Where a container may name another host to be called by the kubelet.
const HANDLERS: [&str; 5] =
    ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop"];

pub fn probe_hosts(pod: &Pod<'_>) -> Option<Violation> {
    let mut hosts: BTreeSet<&str> = BTreeSet::new();
    let bad: BTreeSet<&str> = containers::names(pod, |container| {
        let own: Vec<&str> = HANDLERS
            .iter()
            .map(|handler| json::get(container, handler))
            .flat_map(|handler| [json::text(handler, "httpGet.host"), json::text(handler, "tcpSocket.host")])
            .filter(|host| !host.is_empty())
            .collect();
        hosts.extend(&own);
        !own.is_empty()
    })
    .into_iter()
    .collect();
    let bad: Vec<&str> = bad.into_iter().collect();
    (!bad.is_empty()).then(|| Violation {
        reason: "probe or lifecycle host",
        detail: format!(
            "{} {} {} {}",
            containers::list(&bad),
            plural("uses", "use", bad.len()),
            plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.len()),
            quoted(&hosts)
        ),
    })
}

pub fn privileged(pod: &Pod<'_>) -> Option<Violation> {
    let bad = containers::names(pod, |c| json::flag(c, "securityContext.privileged"));
    (!bad.is_empty()).then(|| Violation {
        reason: "privileged",
        detail: format!("{} must not set securityContext.privileged=true", containers::list(&bad)),
    })
}

pub fn proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    let mut types = BTreeSet::new();
    let bad = containers::names(pod, |container| {
        let other = json::get(container, "securityContext.procMount").as_str().filter(|t| *t != "Default");
        types.extend(other);
        other.is_some()
    });
    (!bad.is_empty()).then(|| Violation {
        reason: "procMount",
        detail: format!("{} must not set securityContext.procMount to {}", containers::list(&bad), quoted(&types)),
    })
}

pub fn proc_mount_1_35(pod: &Pod<'_>) -> Option<Violation> {
    if in_user_namespace(pod) { None } else { proc_mount(pod) }
}

/// In a user namespace of its own, root is nobody outside.
pub fn in_user_namespace(pod: &Pod<'_>) -> bool {
    json::get(pod.spec, "hostUsers").as_bool() == Some(false)
}

pub fn se_linux(pod: &Pod<'_>) -> Option<Violation> {
    se_linux_types(pod, &["", "container_t", "container_init_t", "container_kvm_t"])
}

pub fn se_linux_1_31(pod: &Pod<'_>) -> Option<Violation> {
    se_linux_types(pod, &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"])
}

fn se_linux_types(pod: &Pod<'_>, allowed: &[&str]) -> Option<Violation> {
    let (mut types, mut user, mut role) = (BTreeSet::new(), false, false);
    let mut is_bad = |owner| {
        let options = json::get(owner, "securityContext.seLinuxOptions");
        let kind = json::text(options, "type");
        let bad_type = !allowed.contains(&kind);
        if bad_type {
            types.insert(kind);
        }
        let (has_user, has_role) = (json::is_set(options, "user"), json::is_set(options, "role"));
        user |= has_user;
        role |= has_role;
        bad_type || has_user || has_role
    };
    let of_pod = is_bad(pod.spec);
    let setters = containers::setters(of_pod, &containers::names(pod, &mut is_bad));
    if setters.is_empty() {
        return None;
    }
    let mut complaints = Vec::new();
    if !types.is_empty() {
        complaints.push(format!("{} {}", plural("type", "types", types.len()), quoted(&types)));
    }
    if user {
        complaints.push("user may not be set".to_owned());
    }
    if role {
        complaints.push("role may not be set".to_owned());
    }
    Some(Violation {
        reason: "seLinuxOptions",
        detail: format!(
            "{} set forbidden securityContext.seLinuxOptions: {}",
            setters.join(" and "),
            complaints.join("; ")
        ),
    })
}

/// Before 1.19 seccomp profiles were annotations.
pub fn seccomp(pod: &Pod<'_>) -> Option<Violation> {
    let annotations = json::get(pod.metadata, "annotations");
    let allowed = |v: &str| matches!(v, "runtime/default" | "docker/default") || v.starts_with("localhost/");
    let keys = std::iter::once(SECCOMP_POD_ANNOTATION.to_owned())
        .chain(containers::all(pod).map(|c| format!("{SECCOMP_CONTAINER_ANNOTATION}{}", json::text(c, "name"))));
    let bad: BTreeSet<String> = keys
        .filter_map(|key| annotations.get(&key).and_then(Value::as_str).map(|value| (key, value)))
        .filter(|(_, value)| !allowed(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    (!bad.is_empty()).then(|| Violation {
        reason: "seccompProfile",
        detail: format!(
            "forbidden {} {}",
            plural("annotation", "annotations", bad.len()),
            bad.into_iter().collect::<Vec<_>>().join(", ")
        ),
    })
}

pub fn is_seccomp_allowed(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

pub fn seccomp_1_19(pod: &Pod<'_>) -> Option<Violation> {
    let found = containers::settings(pod, "seccompProfile", "type", |kind| !is_seccomp_allowed(kind));
    let setters = found.setters();
    (!setters.is_empty()).then(|| Violation {
        reason: "seccompProfile",
        detail: format!(
            "{} must not set securityContext.seccompProfile.type to {}",
            setters.join(" and "),
            quoted(&found.values)
        ),
    })
}

/// Kernel settings that touch nothing outside of the pod, with the minor version since which that is agreed on.
const SYSCTLS: [(u32, &str); 12] = [
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_keepalive_time"),
    (29, "net.ipv4.tcp_fin_timeout"),
    (29, "net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (32, "net.ipv4.tcp_rmem"),
    (32, "net.ipv4.tcp_wmem"),
];

pub fn sysctls(pod: &Pod<'_>) -> Option<Violation> {
    sysctls_as_of(pod, 0)
}

pub fn sysctls_1_27(pod: &Pod<'_>) -> Option<Violation> {
    sysctls_as_of(pod, 27)
}

pub fn sysctls_1_29(pod: &Pod<'_>) -> Option<Violation> {
    sysctls_as_of(pod, 29)
}

pub fn sysctls_1_32(pod: &Pod<'_>) -> Option<Violation> {
    sysctls_as_of(pod, 32)
}

fn sysctls_as_of(pod: &Pod<'_>, minor: u32) -> Option<Violation> {
    let allowed = |name: &str| SYSCTLS.iter().any(|(since, known)| *since <= minor && *known == name);
    let bad: Vec<&str> = json::items(pod.spec, "securityContext.sysctls")
        .iter()
        .map(|sysctl| json::text(sysctl, "name"))
        .filter(|name| !allowed(name))
        .collect();
    (!bad.is_empty()).then(|| Violation { reason: "forbidden sysctls", detail: bad.join(", ") })
}

pub fn windows_host_process(pod: &Pod<'_>) -> Option<Violation> {
    let is_set = |owner| json::flag(owner, "securityContext.windowsOptions.hostProcess");
    let setters = containers::setters(is_set(pod.spec), &containers::names(pod, is_set));
    (!setters.is_empty()).then(|| Violation {
        reason: "hostProcess",
        detail: format!("{} must not set securityContext.windowsOptions.hostProcess=true", setters.join(" and ")),
    })
}
