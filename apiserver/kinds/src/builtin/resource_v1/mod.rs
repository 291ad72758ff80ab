//! The rows of resource.k8s.io/v1.

mod claim;
mod device_class;
mod slice;

use crate::row::{KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "resource.k8s.io", version: "v1", ..KindRow::NAMESPACED };
const CLUSTER: KindRow = KindRow { group: "resource.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "DeviceClass",
        plural: "deviceclasses",
        singular: "deviceclass",
        generation: true,
        hooks: device_class::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "ResourceClaim",
        plural: "resourceclaims",
        singular: "resourceclaim",
        subresources: &[Subresource::STATUS],
        hooks: claim::CLAIM,
        ..NAMESPACED
    },
    KindRow {
        kind: "ResourceClaimTemplate",
        plural: "resourceclaimtemplates",
        singular: "resourceclaimtemplate",
        hooks: claim::TEMPLATE,
        ..NAMESPACED
    },
    KindRow {
        kind: "ResourceSlice",
        plural: "resourceslices",
        singular: "resourceslice",
        fields: slice::FIELDS,
        generation: true,
        hooks: slice::HOOKS,
        ..CLUSTER
    },
];
