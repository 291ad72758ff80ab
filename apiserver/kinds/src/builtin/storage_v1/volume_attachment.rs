//! VolumeAttachment.

use crate::hooks::{Column, Context, Doc, Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{flag, text};

pub const HOOKS: Hooks = Hooks {
    prepare_update: Some(|new, old, context: &Context| {
        if context.subresource == "status" {
            crate::metadata::keep_for_status(new, old);
        }
    }),
    table: Some(TABLE),
    ..Hooks::NONE
};

const SPEC: &str = "io.k8s.api.storage.v1.VolumeAttachmentSpec";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        Column { name: "Attacher", kind: "string", format: "name", doc: Doc::Field(SPEC, "attacher"), priority: 0 },
        table::field("PV", "string", "io.k8s.api.storage.v1.VolumeAttachmentSource", "persistentVolumeName"),
        table::field("Node", "string", SPEC, "nodeName"),
        table::field("Attached", "boolean", "io.k8s.api.storage.v1.VolumeAttachmentStatus", "attached"),
        AGE,
    ],
    |attachment, now| {
        vec![
            table::name(attachment),
            text(attachment, "spec.attacher").into(),
            text(attachment, "spec.source.persistentVolumeName").into(),
            text(attachment, "spec.nodeName").into(),
            flag(attachment, "status.attached").into(),
            table::age(attachment, now),
        ]
    },
);
