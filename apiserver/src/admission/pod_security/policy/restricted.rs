//! Checks that the restricted level adds: what good practice for hardening asks for.

use std::collections::BTreeSet;

use kuorum_kinds::value as json;
use serde_json::Value;

use super::baseline::{add_capabilities, adds_too_much, in_user_namespace, is_seccomp_allowed};
use super::containers::{self, plural, quoted};
use super::{Pod, Violation};

/// Linux settings say nothing about a pod for Windows.
fn is_windows(pod: &Pod<'_>) -> bool {
    json::text(pod.spec, "os.name") == "windows"
}

pub fn privilege_escalation(pod: &Pod<'_>) -> Option<Violation> {
    let refuses = |c: &Value| json::get(c, "securityContext.allowPrivilegeEscalation").as_bool() == Some(false);
    let bad = containers::names(pod, |c| !refuses(c));
    (!bad.is_empty()).then(|| Violation {
        reason: "allowPrivilegeEscalation != false",
        detail: format!("{} must set securityContext.allowPrivilegeEscalation=false", containers::list(&bad)),
    })
}

pub fn privilege_escalation_1_25(pod: &Pod<'_>) -> Option<Violation> {
    if is_windows(pod) { None } else { privilege_escalation(pod) }
}

pub fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    let keeps = |c: &Value| !json::items(c, "securityContext.capabilities.drop").iter().any(|d| d == "ALL");
    let keeping = containers::names(pod, keeps);
    let mut added = BTreeSet::new();
    let adding = containers::names(pod, |c| add_capabilities(c, &["NET_BIND_SERVICE"], &mut added));
    let mut complaints = Vec::new();
    if !keeping.is_empty() {
        let who = containers::list(&keeping);
        complaints.push(format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    if !adding.is_empty() {
        complaints.push(adds_too_much(&adding, &added));
    }
    (!complaints.is_empty()).then(|| Violation { reason: "unrestricted capabilities", detail: complaints.join("; ") })
}

pub fn capabilities_1_25(pod: &Pod<'_>) -> Option<Violation> {
    if is_windows(pod) { None } else { capabilities(pod) }
}

/// Volume types that hold nothing of the host.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
/// Volume types that the check knows by name.
const OTHER_VOLUMES: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

pub fn volumes(pod: &Pod<'_>) -> Option<Violation> {
    let mut types = BTreeSet::new();
    let mut names = Vec::new();
    for volume in json::items(pod.spec, "volumes") {
        let has = |kind: &&&str| json::get(volume, kind).is_object();
        if VOLUMES.iter().any(|kind| has(&kind)) {
            continue;
        }
        types.insert(OTHER_VOLUMES.iter().find(has).copied().unwrap_or("unknown"));
        names.push(json::text(volume, "name"));
    }
    (!names.is_empty()).then(|| Violation {
        reason: "restricted volume types",
        detail: format!(
            "{} {} {} {} {}",
            plural("volume", "volumes", names.len()),
            quoted(&names),
            plural("uses", "use", names.len()),
            plural("restricted volume type", "restricted volume types", types.len()),
            quoted(&types)
        ),
    })
}

pub fn run_as_non_root(pod: &Pod<'_>) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    let setting = |owner| json::get(owner, "securityContext.runAsNonRoot").as_bool();
    let of_pod = setting(pod.spec);
    let refusing = containers::names(pod, |c| setting(c) == Some(false));
    let setters = containers::setters(of_pod == Some(false), &refusing);
    if !setters.is_empty() {
        let detail = format!("{} must not set securityContext.runAsNonRoot=false", setters.join(" and "));
        return Some(Violation { reason: REASON, detail });
    }
    let silent = containers::names(pod, |c| of_pod != Some(true) && setting(c).is_none());
    (!silent.is_empty()).then(|| Violation {
        reason: REASON,
        detail: format!("pod or {} must set securityContext.runAsNonRoot=true", containers::list(&silent)),
    })
}

pub fn run_as_non_root_1_35(pod: &Pod<'_>) -> Option<Violation> {
    if in_user_namespace(pod) { None } else { run_as_non_root(pod) }
}

pub fn run_as_user(pod: &Pod<'_>) -> Option<Violation> {
    let is_root = |owner| json::int(owner, "securityContext.runAsUser") == Some(0);
    let setters = containers::setters(is_root(pod.spec), &containers::names(pod, is_root));
    (!setters.is_empty()).then(|| Violation {
        reason: "runAsUser=0",
        detail: format!("{} must not set runAsUser=0", setters.join(" and ")),
    })
}

pub fn run_as_user_1_35(pod: &Pod<'_>) -> Option<Violation> {
    if in_user_namespace(pod) { None } else { run_as_user(pod) }
}

pub fn seccomp(pod: &Pod<'_>) -> Option<Violation> {
    if let Some(set) = super::baseline::seccomp_1_19(pod) {
        return Some(set);
    }
    let profile = |owner| json::get(owner, "securityContext.seccompProfile");
    let of_pod = is_seccomp_allowed(json::text(profile(pod.spec), "type"));
    let silent = containers::names(pod, |c| !of_pod && !profile(c).is_object());
    (!silent.is_empty()).then(|| Violation {
        reason: "seccompProfile",
        detail: format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            containers::list(&silent)
        ),
    })
}

pub fn seccomp_1_25(pod: &Pod<'_>) -> Option<Violation> {
    if is_windows(pod) { None } else { seccomp(pod) }
}
