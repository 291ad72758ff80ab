//! The Pod Security Standards: which pods a level allows, in each version. Pure: a pod in, complaints out.
//!
//! Checks are data. A check belongs to a level and has revisions, each from a Kubernetes minor version on; a restricted
//! check may stand in for a weaker baseline one. Ids, versions and texts are those of `pod-security-admission`.

mod baseline;
mod containers;
mod labels;
mod restricted;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

pub use labels::{EnforceChange, LabelError, PREFIX, Policy};

/// How much is allowed. The order is that of strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Level::Privileged),
            "baseline" => Some(Level::Baseline),
            "restricted" => Some(Level::Restricted),
            _ => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        })
    }
}

/// The minor of a Kubernetes version 1.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32);

impl Version {
    pub const LATEST: Version = Version(u32::MAX);

    /// `latest` or `v1.<minor>`, without leading zeros.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Version::LATEST);
        }
        let minor = text.strip_prefix("v1.")?;
        let canonical =
            !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()) && (minor == "0" || !minor.starts_with('0'));
        canonical.then(|| minor.parse().ok().filter(|m| *m < u32::MAX).map(Version)).flatten()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Version::LATEST { f.write_str("latest") } else { write!(f, "v1.{}", self.0) }
    }
}

/// A level as of a version: `baseline:v1.30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelVersion {
    pub level: Level,
    pub version: Version,
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}

/// What checks look at: a pod, or the pod of a template.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a> {
    pub metadata: &'a Value,
    pub spec: &'a Value,
}

/// What a check has against a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// In a few words: `host namespaces`.
    pub reason: &'static str,
    /// Which fields of which containers.
    pub detail: String,
}

/// One complaint, if the check has one.
type CheckPod = fn(&Pod<'_>) -> Option<Violation>;

struct Check {
    id: &'static str,
    level: Level,
    /// Since which minor version, in rising order.
    revisions: &'static [(u32, CheckPod)],
    /// Baseline checks that this one makes redundant, where it applies.
    replaces: &'static [&'static str],
}

impl Check {
    fn revision(&self, version: Version) -> Option<CheckPod> {
        self.revisions.iter().rev().find(|(since, _)| *since <= version.0).map(|(_, check)| *check)
    }
}

const fn baseline(id: &'static str, revisions: &'static [(u32, CheckPod)]) -> Check {
    Check { id, level: Level::Baseline, revisions, replaces: &[] }
}

const fn restricted(
    id: &'static str,
    revisions: &'static [(u32, CheckPod)],
    replaces: &'static [&'static str],
) -> Check {
    Check { id, level: Level::Restricted, revisions, replaces }
}

/// Every check, in the order of complaints: by level, then by id.
const CHECKS: &[Check] = &[
    baseline("appArmorProfile", &[(0, baseline::app_armor)]),
    baseline("capabilities_baseline", &[(0, baseline::capabilities)]),
    baseline("hostNamespaces", &[(0, baseline::host_namespaces)]),
    baseline("hostPathVolumes", &[(0, baseline::host_path_volumes)]),
    baseline("hostPorts", &[(0, baseline::host_ports)]),
    baseline("hostProbesAndHostLifecycle", &[(34, baseline::probe_hosts)]),
    baseline("privileged", &[(0, baseline::privileged)]),
    baseline("procMount", &[(0, baseline::proc_mount), (35, baseline::proc_mount_1_35)]),
    baseline("seLinuxOptions", &[(0, baseline::se_linux), (31, baseline::se_linux_1_31)]),
    baseline("seccompProfile_baseline", &[(0, baseline::seccomp), (19, baseline::seccomp_1_19)]),
    baseline(
        "sysctls",
        &[
            (0, baseline::sysctls),
            (27, baseline::sysctls_1_27),
            (29, baseline::sysctls_1_29),
            (32, baseline::sysctls_1_32),
        ],
    ),
    baseline("windowsHostProcess", &[(0, baseline::windows_host_process)]),
    restricted(
        "allowPrivilegeEscalation",
        &[(8, restricted::privilege_escalation), (25, restricted::privilege_escalation_1_25)],
        &[],
    ),
    restricted(
        "capabilities_restricted",
        &[(22, restricted::capabilities), (25, restricted::capabilities_1_25)],
        &["capabilities_baseline"],
    ),
    restricted("procMount_restricted", &[(35, baseline::proc_mount)], &["procMount"]),
    restricted("restrictedVolumes", &[(0, restricted::volumes)], &["hostPathVolumes"]),
    restricted("runAsNonRoot", &[(0, restricted::run_as_non_root), (35, restricted::run_as_non_root_1_35)], &[]),
    restricted("runAsUser", &[(23, restricted::run_as_user), (35, restricted::run_as_user_1_35)], &[]),
    restricted(
        "seccompProfile_restricted",
        &[(19, restricted::seccomp), (25, restricted::seccomp_1_25)],
        &["seccompProfile_baseline"],
    ),
];

/// What a policy has against a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict(Vec<Violation>);

impl Verdict {
    pub fn allows(&self) -> bool {
        self.0.is_empty()
    }

    /// `host namespaces, privileged`
    pub fn reasons(&self) -> String {
        self.0.iter().map(|v| v.reason).collect::<Vec<_>>().join(", ")
    }

    /// `host namespaces (hostPID=true), privileged (container "a" must not set …)`
    pub fn details(&self) -> String {
        let each = |v: &Violation| match v.detail.as_str() {
            "" => v.reason.to_owned(),
            detail => format!("{} ({detail})", v.reason),
        };
        self.0.iter().map(each).collect::<Vec<_>>().join(", ")
    }
}

/// Holds a pod against a policy.
pub fn evaluate(policy: LevelVersion, pod: &Pod<'_>) -> Verdict {
    let LevelVersion { level, version } = policy;
    if level == Level::Privileged {
        return Verdict::default();
    }
    let in_effect = || CHECKS.iter().filter(|c| c.level <= level && c.revision(version).is_some());
    let complaints = in_effect()
        .filter(|check| !in_effect().any(|other| other.replaces.contains(&check.id)))
        .filter_map(|check| check.revision(version)?(pod));
    Verdict(complaints.collect())
}
