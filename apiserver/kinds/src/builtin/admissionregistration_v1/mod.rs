//! The rows of admissionregistration.k8s.io/v1.

mod policy;
mod policy_rules;
mod rules;
mod webhook;
pub mod webhook_client;

use crate::row::{KindRow, Subresource};

const CLUSTER: KindRow = KindRow { group: "admissionregistration.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "MutatingAdmissionPolicy",
        plural: "mutatingadmissionpolicies",
        singular: "mutatingadmissionpolicy",
        categories: &["api-extensions"],
        hash_version: Some("v1beta1"),
        generation: true,
        unconditional_update: false,
        hooks: policy::MUTATING,
        ..CLUSTER
    },
    KindRow {
        kind: "MutatingAdmissionPolicyBinding",
        plural: "mutatingadmissionpolicybindings",
        singular: "mutatingadmissionpolicybinding",
        categories: &["api-extensions"],
        hash_version: Some("v1beta1"),
        generation: true,
        unconditional_update: false,
        hooks: policy::BINDING,
        ..CLUSTER
    },
    KindRow {
        kind: "MutatingWebhookConfiguration",
        plural: "mutatingwebhookconfigurations",
        singular: "mutatingwebhookconfiguration",
        categories: &["api-extensions"],
        generation: true,
        unconditional_update: false,
        hooks: webhook::MUTATING,
        ..CLUSTER
    },
    KindRow {
        kind: "ValidatingAdmissionPolicy",
        plural: "validatingadmissionpolicies",
        singular: "validatingadmissionpolicy",
        categories: &["api-extensions"],
        subresources: &[Subresource::STATUS],
        generation: true,
        unconditional_update: false,
        hooks: policy::VALIDATING,
        ..CLUSTER
    },
    KindRow {
        kind: "ValidatingAdmissionPolicyBinding",
        plural: "validatingadmissionpolicybindings",
        singular: "validatingadmissionpolicybinding",
        categories: &["api-extensions"],
        generation: true,
        unconditional_update: false,
        hooks: policy::BINDING,
        ..CLUSTER
    },
    KindRow {
        kind: "ValidatingWebhookConfiguration",
        plural: "validatingwebhookconfigurations",
        singular: "validatingwebhookconfiguration",
        categories: &["api-extensions"],
        generation: true,
        unconditional_update: false,
        hooks: webhook::VALIDATING,
        ..CLUSTER
    },
];
