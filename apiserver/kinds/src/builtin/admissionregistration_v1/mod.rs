//! The rows of admissionregistration.k8s.io/v1.

use crate::row::{KindRow, Subresource};

const CLUSTER: KindRow = KindRow { group: "admissionregistration.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "MutatingAdmissionPolicy",
        plural: "mutatingadmissionpolicies",
        singular: "mutatingadmissionpolicy",
        categories: &["api-extensions"],
        generation: true,
        unconditional_update: false,
        ..CLUSTER
    },
    KindRow {
        kind: "MutatingAdmissionPolicyBinding",
        plural: "mutatingadmissionpolicybindings",
        singular: "mutatingadmissionpolicybinding",
        categories: &["api-extensions"],
        generation: true,
        unconditional_update: false,
        ..CLUSTER
    },
    KindRow {
        kind: "MutatingWebhookConfiguration",
        plural: "mutatingwebhookconfigurations",
        singular: "mutatingwebhookconfiguration",
        categories: &["api-extensions"],
        generation: true,
        unconditional_update: false,
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
        ..CLUSTER
    },
    KindRow {
        kind: "ValidatingAdmissionPolicyBinding",
        plural: "validatingadmissionpolicybindings",
        singular: "validatingadmissionpolicybinding",
        categories: &["api-extensions"],
        generation: true,
        unconditional_update: false,
        ..CLUSTER
    },
    KindRow {
        kind: "ValidatingWebhookConfiguration",
        plural: "validatingwebhookconfigurations",
        singular: "validatingwebhookconfiguration",
        categories: &["api-extensions"],
        generation: true,
        unconditional_update: false,
        ..CLUSTER
    },
];
