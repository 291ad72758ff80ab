//! The encoder against an independent codec: what is written here, prost decodes by the published .proto files (crate
//! `k8s-pb`) and writes again. A wrong number would be dropped on that way, a wrong type refused.

use prost::Message;

use super::*;
use crate::protobuf::tests::Dice;

/// Decodes a message and writes it again.
type Rewrite = fn(&[u8]) -> Result<Vec<u8>, prost::DecodeError>;

fn rewrite<M: Message + Default>(message: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {
    M::decode(message).map(|decoded| decoded.encode_to_vec())
}

#[rustfmt::skip]
const KINDS: &[(&str, &str, &str, Rewrite)] = &[
    ("", "v1", "Binding", rewrite::<k8s_pb::api::core::v1::Binding>),
    ("", "v1", "ComponentStatus", rewrite::<k8s_pb::api::core::v1::ComponentStatus>),
    ("", "v1", "ConfigMap", rewrite::<k8s_pb::api::core::v1::ConfigMap>),
    ("", "v1", "Endpoints", rewrite::<k8s_pb::api::core::v1::Endpoints>),
    ("", "v1", "Event", rewrite::<k8s_pb::api::core::v1::Event>),
    ("", "v1", "LimitRange", rewrite::<k8s_pb::api::core::v1::LimitRange>),
    ("", "v1", "Namespace", rewrite::<k8s_pb::api::core::v1::Namespace>),
    ("", "v1", "Node", rewrite::<k8s_pb::api::core::v1::Node>),
    ("", "v1", "NodeProxyOptions", rewrite::<k8s_pb::api::core::v1::NodeProxyOptions>),
    ("", "v1", "PersistentVolume", rewrite::<k8s_pb::api::core::v1::PersistentVolume>),
    ("", "v1", "PersistentVolumeClaim", rewrite::<k8s_pb::api::core::v1::PersistentVolumeClaim>),
    ("", "v1", "Pod", rewrite::<k8s_pb::api::core::v1::Pod>),
    ("", "v1", "PodAttachOptions", rewrite::<k8s_pb::api::core::v1::PodAttachOptions>),
    ("", "v1", "PodExecOptions", rewrite::<k8s_pb::api::core::v1::PodExecOptions>),
    ("", "v1", "PodLogOptions", rewrite::<k8s_pb::api::core::v1::PodLogOptions>),
    ("", "v1", "PodPortForwardOptions", rewrite::<k8s_pb::api::core::v1::PodPortForwardOptions>),
    ("", "v1", "PodProxyOptions", rewrite::<k8s_pb::api::core::v1::PodProxyOptions>),
    ("", "v1", "PodTemplate", rewrite::<k8s_pb::api::core::v1::PodTemplate>),
    ("", "v1", "RangeAllocation", rewrite::<k8s_pb::api::core::v1::RangeAllocation>),
    ("", "v1", "ReplicationController", rewrite::<k8s_pb::api::core::v1::ReplicationController>),
    ("", "v1", "ResourceQuota", rewrite::<k8s_pb::api::core::v1::ResourceQuota>),
    ("", "v1", "Secret", rewrite::<k8s_pb::api::core::v1::Secret>),
    ("", "v1", "SerializedReference", rewrite::<k8s_pb::api::core::v1::SerializedReference>),
    ("", "v1", "Service", rewrite::<k8s_pb::api::core::v1::Service>),
    ("", "v1", "ServiceAccount", rewrite::<k8s_pb::api::core::v1::ServiceAccount>),
    ("", "v1", "ServiceProxyOptions", rewrite::<k8s_pb::api::core::v1::ServiceProxyOptions>),
    ("admission.k8s.io", "v1", "AdmissionReview", rewrite::<k8s_pb::api::admission::v1::AdmissionReview>),
    ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", rewrite::<k8s_pb::api::admissionregistration::v1::MutatingWebhookConfiguration>),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", rewrite::<k8s_pb::api::admissionregistration::v1::ValidatingAdmissionPolicy>),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", rewrite::<k8s_pb::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding>),
    ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", rewrite::<k8s_pb::api::admissionregistration::v1::ValidatingWebhookConfiguration>),
    ("admissionregistration.k8s.io", "v1alpha1", "MutatingAdmissionPolicy", rewrite::<k8s_pb::api::admissionregistration::v1alpha1::MutatingAdmissionPolicy>),
    ("admissionregistration.k8s.io", "v1alpha1", "MutatingAdmissionPolicyBinding", rewrite::<k8s_pb::api::admissionregistration::v1alpha1::MutatingAdmissionPolicyBinding>),
    ("admissionregistration.k8s.io", "v1beta1", "MutatingAdmissionPolicy", rewrite::<k8s_pb::api::admissionregistration::v1beta1::MutatingAdmissionPolicy>),
    ("admissionregistration.k8s.io", "v1beta1", "MutatingAdmissionPolicyBinding", rewrite::<k8s_pb::api::admissionregistration::v1beta1::MutatingAdmissionPolicyBinding>),
    ("apidiscovery.k8s.io", "v2", "APIGroupDiscovery", rewrite::<k8s_pb::api::apidiscovery::v2::APIGroupDiscovery>),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", rewrite::<k8s_pb::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>),
    ("apiregistration.k8s.io", "v1", "APIService", rewrite::<k8s_pb::kube_aggregator::pkg::apis::apiregistration::v1::APIService>),
    ("apps", "v1", "ControllerRevision", rewrite::<k8s_pb::api::apps::v1::ControllerRevision>),
    ("apps", "v1", "DaemonSet", rewrite::<k8s_pb::api::apps::v1::DaemonSet>),
    ("apps", "v1", "Deployment", rewrite::<k8s_pb::api::apps::v1::Deployment>),
    ("apps", "v1", "ReplicaSet", rewrite::<k8s_pb::api::apps::v1::ReplicaSet>),
    ("apps", "v1", "StatefulSet", rewrite::<k8s_pb::api::apps::v1::StatefulSet>),
    ("authentication.k8s.io", "v1", "SelfSubjectReview", rewrite::<k8s_pb::api::authentication::v1::SelfSubjectReview>),
    ("authentication.k8s.io", "v1", "TokenRequest", rewrite::<k8s_pb::api::authentication::v1::TokenRequest>),
    ("authentication.k8s.io", "v1", "TokenReview", rewrite::<k8s_pb::api::authentication::v1::TokenReview>),
    ("authorization.k8s.io", "v1", "LocalSubjectAccessReview", rewrite::<k8s_pb::api::authorization::v1::LocalSubjectAccessReview>),
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview", rewrite::<k8s_pb::api::authorization::v1::SelfSubjectAccessReview>),
    ("authorization.k8s.io", "v1", "SelfSubjectRulesReview", rewrite::<k8s_pb::api::authorization::v1::SelfSubjectRulesReview>),
    ("authorization.k8s.io", "v1", "SubjectAccessReview", rewrite::<k8s_pb::api::authorization::v1::SubjectAccessReview>),
    ("autoscaling", "v1", "HorizontalPodAutoscaler", rewrite::<k8s_pb::api::autoscaling::v1::HorizontalPodAutoscaler>),
    ("autoscaling", "v1", "Scale", rewrite::<k8s_pb::api::autoscaling::v1::Scale>),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", rewrite::<k8s_pb::api::autoscaling::v2::HorizontalPodAutoscaler>),
    ("batch", "v1", "CronJob", rewrite::<k8s_pb::api::batch::v1::CronJob>),
    ("batch", "v1", "Job", rewrite::<k8s_pb::api::batch::v1::Job>),
    ("certificates.k8s.io", "v1", "CertificateSigningRequest", rewrite::<k8s_pb::api::certificates::v1::CertificateSigningRequest>),
    ("certificates.k8s.io", "v1alpha1", "ClusterTrustBundle", rewrite::<k8s_pb::api::certificates::v1alpha1::ClusterTrustBundle>),
    ("certificates.k8s.io", "v1beta1", "ClusterTrustBundle", rewrite::<k8s_pb::api::certificates::v1beta1::ClusterTrustBundle>),
    ("certificates.k8s.io", "v1beta1", "PodCertificateRequest", rewrite::<k8s_pb::api::certificates::v1beta1::PodCertificateRequest>),
    ("coordination.k8s.io", "v1", "Lease", rewrite::<k8s_pb::api::coordination::v1::Lease>),
    ("coordination.k8s.io", "v1alpha2", "LeaseCandidate", rewrite::<k8s_pb::api::coordination::v1alpha2::LeaseCandidate>),
    ("coordination.k8s.io", "v1beta1", "LeaseCandidate", rewrite::<k8s_pb::api::coordination::v1beta1::LeaseCandidate>),
    ("discovery.k8s.io", "v1", "EndpointSlice", rewrite::<k8s_pb::api::discovery::v1::EndpointSlice>),
    ("events.k8s.io", "v1", "Event", rewrite::<k8s_pb::api::events::v1::Event>),
    ("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", rewrite::<k8s_pb::api::flowcontrol::v1::FlowSchema>),
    ("flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration", rewrite::<k8s_pb::api::flowcontrol::v1::PriorityLevelConfiguration>),
    ("internal.apiserver.k8s.io", "v1alpha1", "StorageVersion", rewrite::<k8s_pb::api::apiserverinternal::v1alpha1::StorageVersion>),
    ("networking.k8s.io", "v1", "IPAddress", rewrite::<k8s_pb::api::networking::v1::IPAddress>),
    ("networking.k8s.io", "v1", "Ingress", rewrite::<k8s_pb::api::networking::v1::Ingress>),
    ("networking.k8s.io", "v1", "IngressClass", rewrite::<k8s_pb::api::networking::v1::IngressClass>),
    ("networking.k8s.io", "v1", "NetworkPolicy", rewrite::<k8s_pb::api::networking::v1::NetworkPolicy>),
    ("networking.k8s.io", "v1", "ServiceCIDR", rewrite::<k8s_pb::api::networking::v1::ServiceCIDR>),
    ("networking.k8s.io", "v1beta1", "IPAddress", rewrite::<k8s_pb::api::networking::v1beta1::IPAddress>),
    ("networking.k8s.io", "v1beta1", "ServiceCIDR", rewrite::<k8s_pb::api::networking::v1beta1::ServiceCIDR>),
    ("node.k8s.io", "v1", "RuntimeClass", rewrite::<k8s_pb::api::node::v1::RuntimeClass>),
    ("policy", "v1", "Eviction", rewrite::<k8s_pb::api::policy::v1::Eviction>),
    ("policy", "v1", "PodDisruptionBudget", rewrite::<k8s_pb::api::policy::v1::PodDisruptionBudget>),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", rewrite::<k8s_pb::api::rbac::v1::ClusterRole>),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", rewrite::<k8s_pb::api::rbac::v1::ClusterRoleBinding>),
    ("rbac.authorization.k8s.io", "v1", "Role", rewrite::<k8s_pb::api::rbac::v1::Role>),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", rewrite::<k8s_pb::api::rbac::v1::RoleBinding>),
    ("resource.k8s.io", "v1", "DeviceClass", rewrite::<k8s_pb::api::resource::v1::DeviceClass>),
    ("resource.k8s.io", "v1", "ResourceClaim", rewrite::<k8s_pb::api::resource::v1::ResourceClaim>),
    ("resource.k8s.io", "v1", "ResourceClaimTemplate", rewrite::<k8s_pb::api::resource::v1::ResourceClaimTemplate>),
    ("resource.k8s.io", "v1", "ResourceSlice", rewrite::<k8s_pb::api::resource::v1::ResourceSlice>),
    ("resource.k8s.io", "v1alpha3", "DeviceTaintRule", rewrite::<k8s_pb::api::resource::v1alpha3::DeviceTaintRule>),
    ("resource.k8s.io", "v1beta1", "DeviceClass", rewrite::<k8s_pb::api::resource::v1beta1::DeviceClass>),
    ("resource.k8s.io", "v1beta1", "ResourceClaim", rewrite::<k8s_pb::api::resource::v1beta1::ResourceClaim>),
    ("resource.k8s.io", "v1beta1", "ResourceClaimTemplate", rewrite::<k8s_pb::api::resource::v1beta1::ResourceClaimTemplate>),
    ("resource.k8s.io", "v1beta1", "ResourceSlice", rewrite::<k8s_pb::api::resource::v1beta1::ResourceSlice>),
    ("resource.k8s.io", "v1beta2", "DeviceClass", rewrite::<k8s_pb::api::resource::v1beta2::DeviceClass>),
    ("resource.k8s.io", "v1beta2", "ResourceClaim", rewrite::<k8s_pb::api::resource::v1beta2::ResourceClaim>),
    ("resource.k8s.io", "v1beta2", "ResourceClaimTemplate", rewrite::<k8s_pb::api::resource::v1beta2::ResourceClaimTemplate>),
    ("resource.k8s.io", "v1beta2", "ResourceSlice", rewrite::<k8s_pb::api::resource::v1beta2::ResourceSlice>),
    ("scheduling.k8s.io", "v1", "PriorityClass", rewrite::<k8s_pb::api::scheduling::v1::PriorityClass>),
    ("storage.k8s.io", "v1", "CSIDriver", rewrite::<k8s_pb::api::storage::v1::CSIDriver>),
    ("storage.k8s.io", "v1", "CSINode", rewrite::<k8s_pb::api::storage::v1::CSINode>),
    ("storage.k8s.io", "v1", "CSIStorageCapacity", rewrite::<k8s_pb::api::storage::v1::CSIStorageCapacity>),
    ("storage.k8s.io", "v1", "StorageClass", rewrite::<k8s_pb::api::storage::v1::StorageClass>),
    ("storage.k8s.io", "v1", "VolumeAttachment", rewrite::<k8s_pb::api::storage::v1::VolumeAttachment>),
    ("storage.k8s.io", "v1", "VolumeAttributesClass", rewrite::<k8s_pb::api::storage::v1::VolumeAttributesClass>),
    ("storage.k8s.io", "v1beta1", "VolumeAttributesClass", rewrite::<k8s_pb::api::storage::v1beta1::VolumeAttributesClass>),
    ("storagemigration.k8s.io", "v1beta1", "StorageVersionMigration", rewrite::<k8s_pb::api::storagemigration::v1beta1::StorageVersionMigration>),
    ("", "v1", "Status", rewrite::<k8s_pb::apimachinery::pkg::apis::meta::v1::Status>),
    ("", "v1", "DeleteOptions", rewrite::<k8s_pb::apimachinery::pkg::apis::meta::v1::DeleteOptions>),
    ("", "v1", "APIGroupList", rewrite::<k8s_pb::apimachinery::pkg::apis::meta::v1::APIGroupList>),
    ("", "v1", "APIResourceList", rewrite::<k8s_pb::apimachinery::pkg::apis::meta::v1::APIResourceList>),
    ("", "v1", "APIVersions", rewrite::<k8s_pb::apimachinery::pkg::apis::meta::v1::APIVersions>),
];

/// Fields that Kubernetes 1.36 has and the crate's older files do not.
const NEWER: &[&str] = &[
    "schedulingGroup",
    "nodeAllocatableResourceClaimStatuses",
    "nodeAllocatableResourceMappings",
    "preventPodSchedulingIfMissing",
    "shardInfo",
    // The lists of a DeviceAttribute.
    "strings",
    "ints",
    "bools",
    "stubPKCS10Request",
    "volumeStatus",
];

fn without_newer(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !NEWER.contains(&name.as_str()));
            members.values_mut().for_each(without_newer);
        }
        Value::Array(items) => items.iter_mut().for_each(without_newer),
        _ => {}
    }
}

#[test]
fn every_kind_survives_prost() {
    let mut dice = Dice::new(7);
    for (group, version, name, rewrite) in KINDS {
        let schema = crate::catalog().kind(group, version, name).unwrap();
        for _ in 0..20 {
            let mut value = dice.value(&schema, 0);
            without_newer(&mut value);
            let object = crate::codec::decode_value(&value, &schema).unwrap().value;
            let mut message = Vec::new();
            encode(&object, &schema, &mut message);
            let again = rewrite(&message).unwrap_or_else(|e| panic!("{group}/{version} {name}: {e}: {object}"));
            let back = crate::codec::decode_value(&decode(&again, &schema).unwrap(), &schema).unwrap().value;
            assert_eq!(back, object, "{group}/{version} {name}");
        }
    }
}
