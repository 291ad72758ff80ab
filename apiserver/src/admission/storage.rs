//! Storage: finalizers that keep volumes while they are in use (StorageObjectInUseProtection), and the class of a claim
//! that names none (DefaultStorageClass).

use std::sync::Arc;

use kuorum_cache::Resource;
use kuorum_kinds::value as json;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, Verdict};

pub struct StorageObjectInUseProtection;

/// Group, kind, finalizer.
const PROTECTED: [(&str, &str, &str); 3] = [
    ("", "PersistentVolumeClaim", "kubernetes.io/pvc-protection"),
    ("", "PersistentVolume", "kubernetes.io/pv-protection"),
    ("storage.k8s.io", "VolumeAttributesClass", "kubernetes.io/vac-protection"),
];

impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if attributes.operation != Operation::Create {
            return None;
        }
        let (.., finalizer) = PROTECTED.iter().find(|(group, kind, _)| attributes.is(group, kind))?;
        let meta = json::child(object?, "metadata")?;
        let mut finalizers = json::items(meta, "finalizers").to_vec();
        if !finalizers.iter().any(|f| f == finalizer) {
            finalizers.push(Value::from(*finalizer));
            json::set(meta, "finalizers", finalizers);
        }
        None
    }
}

pub struct DefaultStorageClass;

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const BETA_DEFAULT_CLASS: &str = "storageclass.beta.kubernetes.io/is-default-class";
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.is("", "PersistentVolumeClaim") || attributes.operation != Operation::Create {
            return None;
        }
        let claim = object?;
        let named = !json::get(claim, "spec.storageClassName").is_null()
            || json::get(claim, "metadata.annotations").get(BETA_CLASS).is_some();
        if named {
            return None;
        }
        let (_, classes) = attributes.call.app.resource_named("storage.k8s.io", "v1", "storageclasses").ok()?;
        let class = default_class(&classes, &[DEFAULT_CLASS, BETA_DEFAULT_CLASS])?;
        json::set(json::child(claim, "spec")?, "storageClassName", class);
        None
    }
}

pub struct DefaultIngressClass;

const DEFAULT_INGRESS_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";
const INGRESS_CLASS: &str = "kubernetes.io/ingress.class";

impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.is("networking.k8s.io", "Ingress") || attributes.operation != Operation::Create {
            return None;
        }
        let ingress = object?;
        let named = !json::get(ingress, "spec.ingressClassName").is_null()
            || json::get(ingress, "metadata.annotations").get(INGRESS_CLASS).is_some();
        if named {
            return None;
        }
        let (_, classes) = attributes.call.app.resource_named("networking.k8s.io", "v1", "ingressclasses").ok()?;
        let class = default_class(&classes, &[DEFAULT_INGRESS_CLASS])?;
        json::set(json::child(ingress, "spec")?, "ingressClassName", class);
        None
    }
}

/// The newest class that is annotated as the default; of several made in one second, the first by name.
fn default_class(classes: &Resource, annotations: &[&str]) -> Option<String> {
    let snapshot = classes.snapshot();
    let read = |o: &Arc<kuorum_cache::Object>| serde_json::from_slice::<Value>(o.json()).ok();
    let marked = |class: &Value| {
        let own = json::get(class, "metadata.annotations");
        annotations.iter().any(|a| own.get(*a).and_then(Value::as_str) == Some("true"))
    };
    let mut found: Vec<(String, String)> = snapshot
        .iter()
        .filter_map(read)
        .filter(marked)
        .map(|c| (json::text(&c, "metadata.creationTimestamp").to_owned(), json::text(&c, "metadata.name").to_owned()))
        .collect();
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.into_iter().next().map(|(_, name)| name)
}
