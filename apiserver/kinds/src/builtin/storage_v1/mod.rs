//! The rows of storage.k8s.io/v1.

mod csi_driver;
mod csi_node;
mod csi_storage_capacity;
pub mod storage_class;
mod volume_attachment;
mod volume_attributes_class;

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::row::{KindRow, Subresource};
use crate::value::entries;

const NAMESPACED: KindRow = KindRow { group: "storage.k8s.io", version: "v1", ..KindRow::NAMESPACED };
const CLUSTER: KindRow = KindRow { group: "storage.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "CSIDriver",
        plural: "csidrivers",
        singular: "csidriver",
        answers_delete_whole: true,
        generation: true,
        unconditional_update: false,
        hooks: csi_driver::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "CSINode",
        plural: "csinodes",
        singular: "csinode",
        answers_delete_whole: true,
        unconditional_update: false,
        hooks: csi_node::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "CSIStorageCapacity",
        plural: "csistoragecapacities",
        singular: "csistoragecapacity",
        unconditional_update: false,
        hooks: csi_storage_capacity::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "StorageClass",
        plural: "storageclasses",
        singular: "storageclass",
        answers_delete_whole: true,
        short_names: &["sc"],
        hooks: storage_class::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "VolumeAttachment",
        plural: "volumeattachments",
        singular: "volumeattachment",
        answers_delete_whole: true,
        subresources: &[Subresource::STATUS],
        unconditional_update: false,
        hooks: volume_attachment::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "VolumeAttributesClass",
        plural: "volumeattributesclasses",
        singular: "volumeattributesclass",
        answers_delete_whole: true,
        short_names: &["vac"],
        hooks: volume_attributes_class::HOOKS,
        ..CLUSTER
    },
];

/// Most parameters of a class, and most bytes of them all.
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;

/// Complaints about the parameters of a class of storage or of its attributes.
fn parameters(class: &Value, errors: &mut Errors) {
    let count = entries(class, "parameters").count();
    if count > PARAMETERS_MAX {
        errors.push(FieldError::too_long("parameters", PARAMETERS_MAX));
        return;
    }
    let mut bytes = 0;
    for (key, value) in entries(class, "parameters") {
        if key.is_empty() {
            errors.push(FieldError::invalid("parameters", &key.into(), "field can not be empty."));
        }
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > PARAMETERS_BYTES_MAX {
        errors.push(FieldError::too_long("parameters", PARAMETERS_BYTES_MAX));
    }
}
