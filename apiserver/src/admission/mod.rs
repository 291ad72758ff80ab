//! Admission: what may be written, beyond what is valid. Plugins in one list, in the order in which they are asked.
//!
//! Mutating plugins run after decoding and defaulting, validating ones on the object as it would be written.

pub mod lifecycle;
pub mod priority;
pub mod storage;
pub mod tolerations;

use std::future::Future;
use std::pin::Pin;

use kuorum_kinds::kind::Kind;
use serde_json::Value;

use crate::app::Call;
use crate::config::{Config, ConfigError};
use crate::status::ApiError;

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
}

/// What a plugin may know about a request.
pub struct Attributes<'a> {
    pub call: &'a Call<'a>,
    pub kind: &'a Kind,
    pub operation: Operation,
    pub dry_run: bool,
    /// Empty for a create with a generated name, and for a whole collection.
    pub name: &'a str,
    pub namespace: &'a str,
    pub subresource: &'a str,
}

impl<'a> Attributes<'a> {
    pub fn new(call: &'a Call<'a>, operation: Operation, dry_run: bool) -> Self {
        let info = call.info;
        Attributes {
            call,
            kind: call.kind,
            operation,
            dry_run,
            name: info.name,
            namespace: info.namespace,
            subresource: info.subresource,
        }
    }

    /// Whether the object is of this kind.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.kind.row.group == group && self.kind.row.kind == kind
    }

    /// The refusal of a plugin: `pods "x" is forbidden: <why>`.
    pub fn forbidden(&self, why: impl std::fmt::Display) -> ApiError {
        ApiError::forbidden(self.kind.row.group, self.kind.row.plural, self.name, why)
    }

    /// For an object that the path does not name.
    pub fn named(self, name: &'a str) -> Self {
        Attributes { name, ..self }
    }
}

/// A plugin's answer, which may have to wait (webhooks).
pub type Verdict<'a> = Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send + 'a>>;

/// A refusal that needs no waiting.
pub fn refuse<'a>(error: ApiError) -> Verdict<'a> {
    Box::pin(std::future::ready(Err(error)))
}

/// One admission plugin.
pub trait Plugin: Send + Sync {
    /// As `--enable-admission-plugins` spells it.
    fn name(&self) -> &'static str;

    /// May change the object. `None` means that the plugin changes nothing and has nothing against this.
    fn admit<'a>(
        &'a self,
        _attributes: &'a mut Attributes<'_>,
        _object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        None
    }

    /// May refuse. `None` means that it does not.
    fn validate<'a>(
        &'a self,
        _attributes: &'a Attributes<'_>,
        _object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        None
    }
}

/// The plugins that exist, in order. This is the one list.
fn all() -> Vec<Box<dyn Plugin>> {
    vec![
        Box::new(lifecycle::NamespaceLifecycle),
        Box::new(tolerations::TaintNodesByCondition),
        Box::new(priority::Priority),
        Box::new(tolerations::DefaultTolerationSeconds),
        Box::new(storage::DefaultStorageClass),
        Box::new(storage::StorageObjectInUseProtection),
        Box::new(storage::DefaultIngressClass),
    ]
}

/// Names of kube-apiserver 1.36 that are accepted although the plugin comes later, so that its flags work as they are.
const KNOWN: &[&str] = &[
    "AlwaysAdmit",
    "AlwaysDeny",
    "AlwaysPullImages",
    "CertificateApproval",
    "CertificateSigning",
    "CertificateSubjectRestriction",
    "ClusterTrustBundleAttest",
    "DefaultIngressClass",
    "DefaultStorageClass",
    "DefaultTolerationSeconds",
    "DenyServiceExternalIPs",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "ImagePolicyWebhook",
    "LimitPodHardAntiAffinityTopology",
    "LimitRanger",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "NamespaceAutoProvision",
    "NamespaceExists",
    "NamespaceLifecycle",
    "NodeDeclaredFeatureValidator",
    "NodeRestriction",
    "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize",
    "PersistentVolumeLabel",
    "PodNodeSelector",
    "PodSecurity",
    "PodTolerationRestriction",
    "PodTopologyLabels",
    "Priority",
    "ResourceQuota",
    "RuntimeClass",
    "ServiceAccount",
    "StorageObjectInUseProtection",
    "TaintNodesByCondition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
];

/// The plugins of this process.
pub struct Chain(Vec<Box<dyn Plugin>>);

impl Chain {
    pub fn from_config(config: &Config) -> Result<Self, ConfigError> {
        for (flag, names) in [
            ("enable-admission-plugins", &config.enable_admission_plugins),
            ("disable-admission-plugins", &config.disable_admission_plugins),
        ] {
            if let Some(name) = names.iter().find(|n| !n.is_empty() && !KNOWN.contains(&n.as_str())) {
                return Err(ConfigError::Invalid { flag, why: format!("unknown plugin {name:?}") });
            }
        }
        let off = |name: &str| config.disable_admission_plugins.iter().any(|d| d == name);
        Ok(Chain(all().into_iter().filter(|p| !off(p.name())).collect()))
    }

    /// Asks the mutating side of every plugin.
    pub async fn admit(
        &self,
        attributes: &mut Attributes<'_>,
        mut object: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        for plugin in &self.0 {
            if let Some(verdict) = plugin.admit(attributes, object.as_deref_mut(), old) {
                verdict.await?;
            }
        }
        Ok(())
    }

    /// Asks the validating side of every plugin.
    pub async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        for plugin in &self.0 {
            if let Some(verdict) = plugin.validate(attributes, object, old) {
                verdict.await?;
            }
        }
        Ok(())
    }
}
