//! The rows of resource.k8s.io/v1.

mod claim;
mod device_class;
mod slice;
mod validate;

use crate::row::{KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "resource.k8s.io", version: "v1", ..KindRow::NAMESPACED };
const CLUSTER: KindRow = KindRow { group: "resource.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "DeviceClass",
        plural: "deviceclasses",
        singular: "deviceclass",
        answers_delete_whole: true,
        generation: true,
        hooks: device_class::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "ResourceClaim",
        plural: "resourceclaims",
        singular: "resourceclaim",
        answers_delete_whole: true,
        subresources: &[Subresource::STATUS],
        hooks: claim::CLAIM,
        ..NAMESPACED
    },
    KindRow {
        kind: "ResourceClaimTemplate",
        plural: "resourceclaimtemplates",
        singular: "resourceclaimtemplate",
        answers_delete_whole: true,
        hooks: claim::TEMPLATE,
        ..NAMESPACED
    },
    KindRow {
        kind: "ResourceSlice",
        plural: "resourceslices",
        singular: "resourceslice",
        unknown_field: |field| format!("field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {field}"),
        answers_delete_whole: true,
        fields: slice::FIELDS,
        generation: true,
        hooks: slice::HOOKS,
        ..CLUSTER
    },
];
