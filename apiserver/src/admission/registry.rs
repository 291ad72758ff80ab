//! The admission plugins of kube-apiserver 1.36: their names, their order, which are on, and which are here.

use super::Plugin;
use super::certificate_signers::{CertificateApproval, CertificateSigning};
use super::certificate_subject_restriction::CertificateSubjectRestriction;
use super::default_ingress_class::DefaultIngressClass;
use super::default_storage_class::DefaultStorageClass;
use super::default_toleration_seconds::DefaultTolerationSeconds;
use super::lifecycle::NamespaceLifecycle;
use super::persistent_volume_claim_resize::PersistentVolumeClaimResize;
use super::pod_topology_labels::PodTopologyLabels;
use super::priority::Priority;
use super::runtime_class::RuntimeClass;
use super::storage_object_in_use_protection::StorageObjectInUseProtection;
use super::taint_nodes_by_condition::TaintNodesByCondition;
use crate::config::ConfigError;

/// A plugin that the flags may name.
enum Entry {
    /// On unless disabled.
    On(fn() -> Box<dyn Plugin>),
    /// On by default in kube-apiserver and not here yet: known to the flags, so that they work as they are.
    OnElsewhere,
    /// Off by default, and not here yet.
    OffElsewhere,
}
use Entry::{OffElsewhere, On, OnElsewhere};

/// Every plugin, in the order in which they are asked. This is the one list.
const PLUGINS: &[(&str, Entry)] = &[
    ("AlwaysAdmit", OffElsewhere),
    ("NamespaceAutoProvision", OffElsewhere),
    ("NamespaceLifecycle", On(|| Box::new(NamespaceLifecycle))),
    ("NamespaceExists", OffElsewhere),
    ("LimitPodHardAntiAffinityTopology", OffElsewhere),
    ("LimitRanger", OnElsewhere),
    ("ServiceAccount", OnElsewhere),
    ("NodeRestriction", OffElsewhere),
    ("TaintNodesByCondition", On(|| Box::new(TaintNodesByCondition))),
    ("AlwaysPullImages", OffElsewhere),
    ("ImagePolicyWebhook", OffElsewhere),
    ("PodSecurity", OnElsewhere),
    ("PodNodeSelector", OffElsewhere),
    ("Priority", On(|| Box::new(Priority))),
    ("DefaultTolerationSeconds", On(|| Box::new(DefaultTolerationSeconds))),
    ("PodTolerationRestriction", OffElsewhere),
    ("EventRateLimit", OffElsewhere),
    ("ExtendedResourceToleration", OffElsewhere),
    ("DefaultStorageClass", On(|| Box::new(DefaultStorageClass))),
    ("StorageObjectInUseProtection", On(|| Box::new(StorageObjectInUseProtection))),
    // These three wait for feature gates that are off: in kube-apiserver, too, they do nothing.
    ("PodGroupProtection", OnElsewhere),
    ("PodGroupWorkloadExists", OnElsewhere),
    ("JobValidation", OnElsewhere),
    ("OwnerReferencesPermissionEnforcement", OffElsewhere),
    ("PersistentVolumeClaimResize", On(|| Box::new(PersistentVolumeClaimResize))),
    ("RuntimeClass", On(|| Box::new(RuntimeClass))),
    ("CertificateApproval", On(|| Box::new(CertificateApproval))),
    ("CertificateSigning", On(|| Box::new(CertificateSigning))),
    ("ClusterTrustBundleAttest", OnElsewhere),
    ("CertificateSubjectRestriction", On(|| Box::new(CertificateSubjectRestriction))),
    ("DefaultIngressClass", On(|| Box::new(DefaultIngressClass))),
    ("DenyServiceExternalIPs", OffElsewhere),
    ("PodTopologyLabels", On(|| Box::new(PodTopologyLabels))),
    ("NodeDeclaredFeatureValidator", OnElsewhere),
    ("PodResizeValidator", OnElsewhere),
    ("MutatingAdmissionPolicy", OnElsewhere),
    ("MutatingAdmissionWebhook", OnElsewhere),
    ("ValidatingAdmissionPolicy", OnElsewhere),
    ("ValidatingAdmissionWebhook", OnElsewhere),
    ("ResourceQuota", OnElsewhere),
    ("AlwaysDeny", OffElsewhere),
];

/// The plugins that the two flags leave on, in order.
pub fn chosen(enable: &[String], disable: &[String]) -> Result<Vec<Box<dyn Plugin>>, ConfigError> {
    check("enable-admission-plugins", enable)?;
    check("disable-admission-plugins", disable)?;
    if let Some(name) = enable.iter().find(|name| !name.is_empty() && disable.contains(name)) {
        let why = format!("plugin {name:?} is also in --disable-admission-plugins");
        return Err(ConfigError::Invalid { flag: "enable-admission-plugins", why });
    }
    let mut chosen = Vec::new();
    for (name, entry) in PLUGINS {
        match entry {
            On(make) if !disable.iter().any(|d| d == name) => chosen.push(make()),
            OnElsewhere | OffElsewhere if enable.iter().any(|e| e == name) => {
                tracing::warn!(plugin = name, "this admission plugin is not implemented: it checks nothing");
            }
            _ => {}
        }
    }
    Ok(chosen)
}

fn check(flag: &'static str, names: &[String]) -> Result<(), ConfigError> {
    let known = |name: &String| name.is_empty() || PLUGINS.iter().any(|(known, _)| known == name);
    match names.iter().find(|name| !known(name)) {
        Some(name) => Err(ConfigError::Invalid { flag, why: format!("plugin {name:?} is unknown") }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(enable: &[&str], disable: &[&str]) -> Result<Vec<&'static str>, String> {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let chosen = chosen(&owned(enable), &owned(disable)).map_err(|e| e.to_string())?;
        Ok(chosen.iter().map(|p| p.name()).collect())
    }

    #[test]
    fn plugins_go_by_the_names_of_the_list() {
        let listed: Vec<&str> = PLUGINS.iter().filter(|(_, e)| matches!(e, On(_))).map(|(name, _)| *name).collect();
        assert_eq!(names(&[], &[]).unwrap(), listed);
    }

    #[test]
    fn flags_turn_plugins_off() {
        let all = names(&["Priority", "NodeRestriction"], &[]).unwrap();
        let fewer = names(&[], &["Priority", "ServiceAccount", ""]).unwrap();
        assert_eq!(fewer, all.into_iter().filter(|name| *name != "Priority").collect::<Vec<_>>());
    }

    #[test]
    fn unknown_names_and_contradictions_are_refused() {
        let rows: [(&[&str], &[&str], &str); 3] = [
            (&["Nonsense"], &[], "--enable-admission-plugins: plugin \"Nonsense\" is unknown"),
            (&[], &["priority"], "--disable-admission-plugins: plugin \"priority\" is unknown"),
            (&["Priority"], &["Priority"], "--enable-admission-plugins: plugin \"Priority\" is also in"),
        ];
        for (enable, disable, why) in rows {
            let error = names(enable, disable).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
