//! What pods and volumes refer to, read from their JSON.

use std::collections::BTreeSet;

use serde_json::Value;

use super::graph::{Referenced, key};

/// Where a pod volume names a secret: its source, and the name in it.
const POD_VOLUME_SECRETS: [(&str, &str); 10] = [
    ("azureFile", "/secretName"),
    ("cephfs", "/secretRef/name"),
    ("cinder", "/secretRef/name"),
    ("csi", "/nodePublishSecretRef/name"),
    ("flexVolume", "/secretRef/name"),
    ("iscsi", "/secretRef/name"),
    ("rbd", "/secretRef/name"),
    ("scaleIO", "/secretRef/name"),
    ("secret", "/secretName"),
    ("storageos", "/secretRef/name"),
];

/// Where a PersistentVolume refers to a secret that kubelets need; what only controllers need is left out.
const VOLUME_SECRETS: [&str; 10] = [
    "/cephfs/secretRef",
    "/cinder/secretRef",
    "/csi/nodeExpandSecretRef",
    "/csi/nodePublishSecretRef",
    "/csi/nodeStageSecretRef",
    "/flexVolume/secretRef",
    "/iscsi/secretRef",
    "/rbd/secretRef",
    "/scaleIO/secretRef",
    "/storageos/secretRef",
];

/// A pod that a kubelet made to show what it runs on its own. It must not lead to anything: else a node could give
/// itself whatever it likes.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// What a pod refers to, by kind and name, in its own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodReferences(BTreeSet<(u8, String)>);

const KINDS: [Referenced; 5] = [
    Referenced::Secret,
    Referenced::ConfigMap,
    Referenced::ServiceAccount,
    Referenced::ResourceClaim,
    Referenced::Claim,
];

impl PodReferences {
    /// Reads a pod.
    pub fn of(pod: &Value) -> Self {
        let mut references = PodReferences::default();
        if pod["metadata"]["annotations"].get(MIRROR_ANNOTATION).is_some() {
            return references;
        }
        references.add(Referenced::ServiceAccount, text(pod, "/spec/serviceAccountName"));
        for secret in items(pod, "/spec/imagePullSecrets") {
            references.add(Referenced::Secret, text(secret, "/name"));
        }
        for list in ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"] {
            items(pod, list).iter().for_each(|container| references.add_container(container));
        }
        let name = text(pod, "/metadata/name").unwrap_or_default();
        items(pod, "/spec/volumes").iter().for_each(|volume| references.add_volume(name, volume));
        references.add_resource_claims(pod);
        references
    }

    pub fn names(&self) -> impl Iterator<Item = (Referenced, &str)> {
        self.0.iter().map(|(kind, name)| (KINDS[usize::from(*kind)], name.as_str()))
    }

    fn add(&mut self, kind: Referenced, name: Option<&str>) {
        let kind = KINDS.iter().position(|k| *k == kind);
        if let (Some(kind), Some(name)) = (kind, name) {
            self.0.insert((kind as u8, name.to_owned()));
        }
    }

    fn add_container(&mut self, container: &Value) {
        for source in items(container, "/envFrom") {
            self.add(Referenced::Secret, text(source, "/secretRef/name"));
            self.add(Referenced::ConfigMap, text(source, "/configMapRef/name"));
        }
        for variable in items(container, "/env") {
            self.add(Referenced::Secret, text(variable, "/valueFrom/secretKeyRef/name"));
            self.add(Referenced::ConfigMap, text(variable, "/valueFrom/configMapKeyRef/name"));
        }
    }

    fn add_volume(&mut self, pod: &str, volume: &Value) {
        self.add(Referenced::ConfigMap, text(volume, "/configMap/name"));
        self.add(Referenced::Claim, text(volume, "/persistentVolumeClaim/claimName"));
        for (source, path) in POD_VOLUME_SECRETS {
            if let Some(source) = volume.get(source) {
                self.add(Referenced::Secret, text(source, path));
            }
        }
        for source in items(volume, "/projected/sources") {
            self.add(Referenced::Secret, text(source, "/secret/name"));
            self.add(Referenced::ConfigMap, text(source, "/configMap/name"));
        }
        if volume.get("ephemeral").is_some_and(Value::is_object)
            && let Some(name) = text(volume, "/name")
        {
            self.add(Referenced::Claim, Some(&format!("{pod}-{name}")));
        }
    }

    /// Claims by name, and those that were made from templates: the pod's status has their names.
    fn add_resource_claims(&mut self, pod: &Value) {
        let made = items(pod, "/status/resourceClaimStatuses");
        for claim in items(pod, "/spec/resourceClaims") {
            let status = made.iter().find(|status| status["name"] == claim["name"]);
            let from_template =
                text(claim, "/resourceClaimTemplateName").and(status).and_then(|s| text(s, "/resourceClaimName"));
            self.add(Referenced::ResourceClaim, text(claim, "/resourceClaimName").or(from_template));
        }
        self.add(Referenced::ResourceClaim, text(pod, "/status/extendedResourceClaimStatus/resourceClaimName"));
    }
}

/// What a PersistentVolume refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeReferences {
    /// `<namespace>/<name>` of the claim that it is bound to.
    pub(super) claim: Box<str>,
    /// `<namespace>/<name>` of the secrets that kubelets need for it.
    pub(super) secrets: Vec<Box<str>>,
}

impl VolumeReferences {
    /// Reads a PersistentVolume; `None` where no claim is bound to it.
    pub fn of(volume: &Value) -> Option<Self> {
        let spec = &volume["spec"];
        let namespace = text(spec, "/claimRef/namespace").unwrap_or_default();
        let claim = key(namespace, text(spec, "/claimRef/name")?);
        let mut secrets = Vec::new();
        if let Some(name) = text(spec, "/azureFile/secretName") {
            secrets.push(key(text(spec, "/azureFile/secretNamespace").unwrap_or(namespace), name));
        }
        for reference in VOLUME_SECRETS.iter().filter_map(|path| spec.pointer(path)) {
            if let Some(name) = text(reference, "/name") {
                secrets.push(key(text(reference, "/namespace").unwrap_or(namespace), name));
            }
        }
        Some(VolumeReferences { claim, secrets })
    }
}
