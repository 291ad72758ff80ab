//! Every built-in kind that is served by default: one table of rows per group version.

pub mod admissionregistration_v1;
pub mod apiextensions_v1;
pub mod apiregistration_v1;
pub mod apps_v1;
pub mod authentication_v1;
pub mod authorization_v1;
pub mod autoscaling_v1;
pub mod autoscaling_v2;
pub mod batch_v1;
pub mod certificates_v1;
pub mod coordination_v1;
pub mod core_v1;
pub mod discovery_v1;
pub mod events_v1;
pub mod flowcontrol_v1;
pub mod networking_v1;
pub mod node_v1;
pub mod policy_v1;
pub mod rbac_v1;
pub mod resource_v1;
pub mod scheduling_v1;
pub mod storage_v1;

use crate::row::KindRow;

/// One group version as discovery orders it: higher priorities first, then by name.
#[derive(Clone, Copy)]
pub struct GroupVersionRow {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    /// `groupPriorityMinimum` of its APIService.
    pub group_priority: i32,
    /// `versionPriority` of its APIService; the highest of a group is the preferred version.
    pub version_priority: i32,
    /// In discovery order (by plural).
    pub kinds: &'static [KindRow],
}

const fn gv(
    group: &'static str,
    version: &'static str,
    group_priority: i32,
    version_priority: i32,
    kinds: &'static [KindRow],
) -> GroupVersionRow {
    GroupVersionRow { group, version, group_priority, version_priority, kinds }
}

/// All group versions, in discovery order.
pub const GROUP_VERSIONS: &[GroupVersionRow] = &[
    gv("", "v1", 18000, 1, core_v1::KINDS),
    // The aggregator puts its own group before all others; it has no APIService.
    gv("apiregistration.k8s.io", "v1", 20000, 18, apiregistration_v1::KINDS),
    gv("apps", "v1", 17800, 15, apps_v1::KINDS),
    gv("events.k8s.io", "v1", 17750, 15, events_v1::KINDS),
    gv("authentication.k8s.io", "v1", 17700, 15, authentication_v1::KINDS),
    gv("authorization.k8s.io", "v1", 17600, 15, authorization_v1::KINDS),
    gv("autoscaling", "v2", 17500, 30, autoscaling_v2::KINDS),
    gv("autoscaling", "v1", 17500, 15, autoscaling_v1::KINDS),
    gv("batch", "v1", 17400, 15, batch_v1::KINDS),
    gv("certificates.k8s.io", "v1", 17300, 15, certificates_v1::KINDS),
    gv("networking.k8s.io", "v1", 17200, 15, networking_v1::KINDS),
    gv("policy", "v1", 17100, 15, policy_v1::KINDS),
    gv("rbac.authorization.k8s.io", "v1", 17000, 15, rbac_v1::KINDS),
    gv("storage.k8s.io", "v1", 16800, 15, storage_v1::KINDS),
    gv("admissionregistration.k8s.io", "v1", 16700, 15, admissionregistration_v1::KINDS),
    gv("apiextensions.k8s.io", "v1", 16700, 15, apiextensions_v1::KINDS),
    gv("scheduling.k8s.io", "v1", 16600, 15, scheduling_v1::KINDS),
    gv("coordination.k8s.io", "v1", 16500, 15, coordination_v1::KINDS),
    gv("node.k8s.io", "v1", 16300, 15, node_v1::KINDS),
    gv("discovery.k8s.io", "v1", 16200, 15, discovery_v1::KINDS),
    gv("resource.k8s.io", "v1", 16200, 21, resource_v1::KINDS),
    gv("flowcontrol.apiserver.k8s.io", "v1", 16100, 21, flowcontrol_v1::KINDS),
];
