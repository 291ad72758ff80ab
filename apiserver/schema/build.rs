//! Takes the descriptions of the built-in types out of crate `k8s-openapi`, for the OpenAPI documents.
//!
//! Writes `descriptions.zst` into `OUT_DIR`: zstd of a JSON object `{definition: {"": text, field: text}}`.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::schemars::SchemaGenerator;
use k8s_openapi::schemars::generate::SchemaSettings;
use serde_json::Value;

/// zstd's strongest level without extra memory for the reader; a build takes a second longer for it.
const LEVEL: i32 = 19;

/// Adds the schemas of types; what they refer to comes along.
macro_rules! describe {
    ($generator:expr; $($($module:ident)::+::{$($kind:ident),+};)+) => {
        $({
            use k8s_openapi::$($module)::+::{$($kind),+};
            $($generator.subschema_for::<$kind>();)+
        })+
    };
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut generator = SchemaGenerator::new(SchemaSettings::default());
    // The served kinds of all versions; list kinds have no text of their own.
    roots(&mut generator);
    let mut descriptions: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for (definition, schema) in generator.take_definitions(true) {
        let mut texts = BTreeMap::new();
        if let Some(text) = schema.get("description") {
            texts.insert(String::new(), text.clone());
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (field, property) in properties.into_iter().flatten() {
            if let Some(text) = property.get("description") {
                texts.insert(field.clone(), text.clone());
            }
        }
        descriptions.insert(definition, texts);
    }
    let json = serde_json::to_vec(&descriptions).expect("maps of strings are JSON");
    let packed = zstd::encode_all(json.as_slice(), LEVEL).expect("zstd can compress to memory");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("descriptions.zst"), packed).expect("OUT_DIR can be written");
}

#[rustfmt::skip]
fn roots(generator: &mut SchemaGenerator) {
    describe! { generator;
        api::admissionregistration::v1::{MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration};
        api::admissionregistration::v1alpha1::{MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding};
        api::admissionregistration::v1beta1::{MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding};
        api::apiserverinternal::v1alpha1::{StorageVersion};
        api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
        api::authentication::v1::{SelfSubjectReview, TokenRequest, TokenReview};
        api::authorization::v1::{LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview};
        api::autoscaling::v1::{HorizontalPodAutoscaler, Scale};
        api::autoscaling::v2::{HorizontalPodAutoscaler};
        api::batch::v1::{CronJob, Job};
        api::certificates::v1::{CertificateSigningRequest};
        api::certificates::v1alpha1::{ClusterTrustBundle};
        api::certificates::v1beta1::{ClusterTrustBundle, PodCertificateRequest};
        api::coordination::v1::{Lease};
        api::coordination::v1alpha2::{LeaseCandidate};
        api::coordination::v1beta1::{LeaseCandidate};
        api::core::v1::{Binding, ComponentStatus, ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodTemplate, ReplicationController, ResourceQuota, Secret, Service, ServiceAccount};
        api::discovery::v1::{EndpointSlice};
        api::events::v1::{Event};
        api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
        api::networking::v1::{IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR};
        api::networking::v1beta1::{IPAddress, ServiceCIDR};
        api::node::v1::{RuntimeClass};
        api::policy::v1::{Eviction, PodDisruptionBudget};
        api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
        api::resource::v1::{DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice};
        api::resource::v1alpha3::{DeviceTaintRule, ResourcePoolStatusRequest};
        api::resource::v1beta1::{DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice};
        api::resource::v1beta2::{DeviceClass, DeviceTaintRule, ResourceClaim, ResourceClaimTemplate, ResourceSlice};
        api::scheduling::v1::{PriorityClass};
        api::scheduling::v1alpha2::{PodGroup, Workload};
        api::storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass};
        api::storage::v1beta1::{VolumeAttributesClass};
        api::storagemigration::v1beta1::{StorageVersionMigration};
        apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition};
        apimachinery::pkg::apis::meta::v1::{APIGroup, APIVersions, DeleteOptions, Status};
        kube_aggregator::pkg::apis::apiregistration::v1::{APIService};
    }
}
