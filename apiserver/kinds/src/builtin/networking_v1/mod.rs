//! The rows of networking.k8s.io/v1.

use crate::row::{KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "networking.k8s.io", version: "v1", ..KindRow::NAMESPACED };
const CLUSTER: KindRow = KindRow { group: "networking.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow { kind: "IngressClass", plural: "ingressclasses", singular: "ingressclass", generation: true, ..CLUSTER },
    KindRow {
        kind: "Ingress",
        plural: "ingresses",
        singular: "ingress",
        short_names: &["ing"],
        subresources: &[Subresource::STATUS],
        generation: true,
        ..NAMESPACED
    },
    KindRow { kind: "IPAddress", plural: "ipaddresses", singular: "ipaddress", short_names: &["ip"], ..CLUSTER },
    KindRow {
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        singular: "networkpolicy",
        short_names: &["netpol"],
        generation: true,
        ..NAMESPACED
    },
    KindRow {
        kind: "ServiceCIDR",
        plural: "servicecidrs",
        singular: "servicecidr",
        subresources: &[Subresource::STATUS],
        ..CLUSTER
    },
];
