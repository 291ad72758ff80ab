//! The rows of resource.k8s.io/v1.

use crate::row::{KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "resource.k8s.io", version: "v1", ..KindRow::NAMESPACED };
const CLUSTER: KindRow = KindRow { group: "resource.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow { kind: "DeviceClass", plural: "deviceclasses", singular: "deviceclass", generation: true, ..CLUSTER },
    KindRow {
        kind: "ResourceClaim",
        plural: "resourceclaims",
        singular: "resourceclaim",
        subresources: &[Subresource::STATUS],
        ..NAMESPACED
    },
    KindRow {
        kind: "ResourceClaimTemplate",
        plural: "resourceclaimtemplates",
        singular: "resourceclaimtemplate",
        ..NAMESPACED
    },
    KindRow { kind: "ResourceSlice", plural: "resourceslices", singular: "resourceslice", generation: true, ..CLUSTER },
];
