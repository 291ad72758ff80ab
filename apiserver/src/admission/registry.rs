//! The admission plugins of kube-apiserver 1.36: their names, their order, which are on, and how they are made.

use serde_json::Value;

use super::Plugin;
use super::always::{AlwaysDeny, Inert};
use super::always_pull_images::AlwaysPullImages;
use super::certificate_signers;
use super::certificate_subject_restriction::CertificateSubjectRestriction;
use super::cluster_trust_bundle_attest::ClusterTrustBundleAttest;
use super::default_class;
use super::default_toleration_seconds::DefaultTolerationSeconds;
use super::deny_service_external_ips::DenyServiceExternalIps;
use super::event_rate_limit::EventRateLimit;
use super::extended_resource_toleration::ExtendedResourceToleration;
use super::lifecycle::NamespaceLifecycle;
use super::limit_pod_hard_anti_affinity_topology::LimitPodHardAntiAffinityTopology;
use super::limit_ranger::LimitRanger;
use super::namespace_existence::{NamespaceAutoProvision, NamespaceExists};
use super::node_restriction::NodeRestriction;
use super::owner_references::OwnerReferencesPermissionEnforcement;
use super::persistent_volume_claim_resize::PersistentVolumeClaimResize;
use super::pod_node_selector::PodNodeSelector;
use super::pod_resize::{NodeDeclaredFeatureValidator, PodResizeValidator};
use super::pod_security::PodSecurity;
use super::pod_toleration_restriction::PodTolerationRestriction;
use super::pod_topology_labels::PodTopologyLabels;
use super::priority::Priority;
use super::resource_quota::ResourceQuota;
use super::runtime_class::RuntimeClass;
use super::service_account::ServiceAccount;
use super::settings::Settings;
use super::storage_object_in_use_protection::StorageObjectInUseProtection;
use super::taint_nodes_by_condition::TaintNodesByCondition;
use crate::config::ConfigError;

/// Makes a plugin from its settings, if there are any.
type Make = fn(Option<&Value>) -> Result<Box<dyn Plugin>, String>;

/// A plugin that the flags may name.
#[derive(Clone, Copy)]
enum Entry {
    /// On unless disabled.
    On(Make),
    /// Off unless enabled.
    Off(Make),
    /// On by default in kube-apiserver and not here yet: known to the flags, so that they work as they are.
    OnElsewhere,
    /// Off by default, and not here yet.
    OffElsewhere,
}
use Entry::{Off, OffElsewhere, On, OnElsewhere};

/// A plugin without settings.
macro_rules! plain {
    ($plugin:expr) => {
        |_| Ok(Box::new($plugin))
    };
}

/// A plugin that reads its settings.
macro_rules! set_up {
    ($plugin:ty) => {
        |settings| Ok(Box::new(<$plugin>::new(settings)?))
    };
}

/// Every plugin, in the order in which they are asked. This is the one list.
const PLUGINS: &[(&str, Entry)] = &[
    ("AlwaysAdmit", Off(plain!(Inert("AlwaysAdmit")))),
    ("NamespaceAutoProvision", Off(plain!(NamespaceAutoProvision))),
    ("NamespaceLifecycle", On(plain!(NamespaceLifecycle))),
    ("NamespaceExists", Off(plain!(NamespaceExists))),
    ("LimitPodHardAntiAffinityTopology", Off(plain!(LimitPodHardAntiAffinityTopology))),
    ("LimitRanger", On(plain!(LimitRanger))),
    ("ServiceAccount", On(plain!(ServiceAccount))),
    ("NodeRestriction", Off(plain!(NodeRestriction))),
    ("TaintNodesByCondition", On(plain!(TaintNodesByCondition))),
    ("AlwaysPullImages", Off(plain!(AlwaysPullImages))),
    ("ImagePolicyWebhook", OffElsewhere),
    ("PodSecurity", On(set_up!(PodSecurity))),
    ("PodNodeSelector", Off(set_up!(PodNodeSelector))),
    ("Priority", On(plain!(Priority))),
    ("DefaultTolerationSeconds", On(plain!(DefaultTolerationSeconds))),
    ("PodTolerationRestriction", Off(set_up!(PodTolerationRestriction))),
    ("EventRateLimit", Off(set_up!(EventRateLimit))),
    ("ExtendedResourceToleration", Off(plain!(ExtendedResourceToleration))),
    ("DefaultStorageClass", On(plain!(default_class::STORAGE))),
    ("StorageObjectInUseProtection", On(plain!(StorageObjectInUseProtection))),
    // These three wait for feature gates that are off: in kube-apiserver, too, they do nothing.
    ("PodGroupProtection", On(plain!(Inert("PodGroupProtection")))),
    ("PodGroupWorkloadExists", On(plain!(Inert("PodGroupWorkloadExists")))),
    ("JobValidation", On(plain!(Inert("JobValidation")))),
    ("OwnerReferencesPermissionEnforcement", Off(plain!(OwnerReferencesPermissionEnforcement))),
    ("PersistentVolumeClaimResize", On(plain!(PersistentVolumeClaimResize))),
    ("RuntimeClass", On(plain!(RuntimeClass))),
    ("CertificateApproval", On(plain!(certificate_signers::APPROVAL))),
    ("CertificateSigning", On(plain!(certificate_signers::SIGNING))),
    ("ClusterTrustBundleAttest", On(plain!(ClusterTrustBundleAttest))),
    ("CertificateSubjectRestriction", On(plain!(CertificateSubjectRestriction))),
    ("DefaultIngressClass", On(plain!(default_class::INGRESS))),
    ("DenyServiceExternalIPs", Off(plain!(DenyServiceExternalIps))),
    ("PodTopologyLabels", On(plain!(PodTopologyLabels))),
    ("NodeDeclaredFeatureValidator", On(plain!(NodeDeclaredFeatureValidator))),
    ("PodResizeValidator", On(plain!(PodResizeValidator))),
    // Webhooks and CEL policies join here: mutating ones ask for another pass with `Attributes::ask_again`.
    ("MutatingAdmissionPolicy", OnElsewhere),
    ("MutatingAdmissionWebhook", OnElsewhere),
    ("ValidatingAdmissionPolicy", OnElsewhere),
    ("ValidatingAdmissionWebhook", OnElsewhere),
    ("ResourceQuota", On(set_up!(ResourceQuota))),
    ("AlwaysDeny", Off(plain!(AlwaysDeny))),
];

/// The plugins that the two flags leave on, in order.
pub fn chosen(enable: &[String], disable: &[String], settings: &Settings) -> Result<Vec<Box<dyn Plugin>>, ConfigError> {
    check("enable-admission-plugins", enable)?;
    check("disable-admission-plugins", disable)?;
    if let Some(name) = enable.iter().find(|name| !name.is_empty() && disable.contains(name)) {
        let why = format!("plugin {name:?} is also in --disable-admission-plugins");
        return Err(ConfigError::Invalid { flag: "enable-admission-plugins", why });
    }
    let named = |list: &[String], name: &str| list.iter().any(|n| n == name);
    let mut chosen = Vec::new();
    for (name, entry) in PLUGINS {
        let make = match entry {
            On(make) if !named(disable, name) => make,
            Off(make) if named(enable, name) => make,
            OnElsewhere | OffElsewhere if named(enable, name) => {
                tracing::warn!(plugin = name, "this admission plugin is not implemented: it checks nothing");
                continue;
            }
            _ => continue,
        };
        let plugin = make(settings.of(name)).map_err(|why| ConfigError::Invalid {
            flag: "admission-control-config-file",
            why: format!("{name}: {why}"),
        })?;
        chosen.push(plugin);
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
        let chosen = chosen(&owned(enable), &owned(disable), &Settings::default()).map_err(|e| e.to_string())?;
        Ok(chosen.iter().map(|p| p.name()).collect())
    }

    #[test]
    fn plugins_go_by_the_names_of_the_list() {
        let every = |pick: fn(&Entry) -> bool| -> Vec<&str> {
            PLUGINS.iter().filter(|(_, entry)| pick(entry)).map(|(name, _)| *name).collect()
        };
        assert_eq!(PLUGINS.len(), 41);
        assert_eq!(names(&[], &[]).unwrap(), every(|e| matches!(e, On(_))));
        let off = every(|e| matches!(e, Off(_)));
        assert_eq!(names(&off, &[]).unwrap(), every(|e| matches!(e, On(_) | Off(_))));
    }

    #[test]
    fn flags_turn_plugins_on_and_off() {
        let usual = names(&[], &[]).unwrap();
        let more = names(&["Priority", "NodeRestriction"], &[]).unwrap();
        assert_eq!(more.len(), usual.len() + 1);
        let at = |name| more.iter().position(|n| *n == name).unwrap();
        assert!(at("ServiceAccount") < at("NodeRestriction") && at("NodeRestriction") < at("Priority"));
        let fewer = names(&[], &["Priority", "ServiceAccount", ""]).unwrap();
        let without = |name: &&str| !["Priority", "ServiceAccount"].contains(name);
        assert_eq!(fewer, usual.into_iter().filter(without).collect::<Vec<_>>());
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
