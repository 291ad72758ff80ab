//! The rows of storage.k8s.io/v1.

mod csi_driver;
mod csi_node;
pub mod storage_class;
mod volume_attachment;
mod volume_attributes_class;

use crate::row::{KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "storage.k8s.io", version: "v1", ..KindRow::NAMESPACED };
const CLUSTER: KindRow = KindRow { group: "storage.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "CSIDriver",
        plural: "csidrivers",
        singular: "csidriver",
        generation: true,
        unconditional_update: false,
        hooks: csi_driver::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "CSINode",
        plural: "csinodes",
        singular: "csinode",
        unconditional_update: false,
        hooks: csi_node::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "CSIStorageCapacity",
        plural: "csistoragecapacities",
        singular: "csistoragecapacity",
        unconditional_update: false,
        ..NAMESPACED
    },
    KindRow {
        kind: "StorageClass",
        plural: "storageclasses",
        singular: "storageclass",
        short_names: &["sc"],
        hooks: storage_class::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "VolumeAttachment",
        plural: "volumeattachments",
        singular: "volumeattachment",
        subresources: &[Subresource::STATUS],
        unconditional_update: false,
        hooks: volume_attachment::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "VolumeAttributesClass",
        plural: "volumeattributesclasses",
        singular: "volumeattributesclass",
        short_names: &["vac"],
        hooks: volume_attributes_class::HOOKS,
        ..CLUSTER
    },
];
