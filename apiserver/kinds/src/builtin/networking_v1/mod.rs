//! The rows of networking.k8s.io/v1.

pub mod ingress;
mod ingress_class;
mod ip_address;
mod network_policy;
mod service_cidr;

use crate::row::{KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "networking.k8s.io", version: "v1", ..KindRow::NAMESPACED };
const CLUSTER: KindRow = KindRow { group: "networking.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "IngressClass",
        plural: "ingressclasses",
        singular: "ingressclass",
        generation: true,
        hooks: ingress_class::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "Ingress",
        plural: "ingresses",
        singular: "ingress",
        short_names: &["ing"],
        subresources: &[Subresource::STATUS],
        generation: true,
        hooks: ingress::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "IPAddress",
        plural: "ipaddresses",
        singular: "ipaddress",
        short_names: &["ip"],
        hooks: ip_address::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        singular: "networkpolicy",
        short_names: &["netpol"],
        generation: true,
        hooks: network_policy::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "ServiceCIDR",
        plural: "servicecidrs",
        singular: "servicecidr",
        subresources: &[Subresource::STATUS],
        hooks: service_cidr::HOOKS,
        ..CLUSTER
    },
];
