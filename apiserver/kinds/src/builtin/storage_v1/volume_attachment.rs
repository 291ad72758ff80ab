//! VolumeAttachment.

use crate::builtin::core_v1::persistent_volume;
use crate::field::{Errors, FieldError};
use crate::hooks::{Column, Context, Doc, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::table::{self, AGE, NAME};
use crate::value::{flag, get, text};
use serde_json::Value;

pub const HOOKS: Hooks = Hooks {
    prepare_update: Some(|new, old, context: &Context| {
        if context.subresource == "status" {
            crate::metadata::keep_for_status(new, old);
        }
    }),
    validate_create: Some(|attachment, _| validate(attachment)),
    validate_update: Some(|new, old, _| validate_change(new, old)),
    table: Some(TABLE),
    update_metadata: &[Pass::Create, Pass::Create],
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

fn validate(attachment: &Value) -> Errors {
    let mut errors = Errors::new();
    let attacher = text(attachment, "spec.attacher");
    crate::pod_template::validate::volumes::csi_driver_name(
        attacher,
        crate::path::Path::new("spec.attacher"),
        &mut errors,
    );
    let source = get(attachment, "spec.source");
    match (get(source, "persistentVolumeName").is_null(), get(source, "inlineVolumeSpec").is_null()) {
        (true, true) => {
            let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            errors.push(FieldError::required("spec.source", detail));
        }
        (false, false) => {
            let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            errors.push(FieldError::forbidden("spec.source", detail));
        }
        (false, true) if text(source, "persistentVolumeName").is_empty() => {
            let detail = "must specify non empty persistentVolumeName";
            errors.push(FieldError::required("spec.source.persistentVolumeName", detail));
        }
        (false, true) => {}
        (true, false) => persistent_volume::inline_spec(
            get(source, "inlineVolumeSpec"),
            &crate::path::Path::new("spec.source.inlineVolumeSpec"),
            &mut errors,
        ),
    }
    let node = text(attachment, "spec.nodeName");
    let complaints = kuorum_schema::names::dns1123_subdomain(node);
    crate::rules::invalid_each(crate::path::Path::new("spec.nodeName"), node, complaints, &mut errors);
    status(get(attachment, "status"), &mut errors);
    errors
}

/// Most bytes of what a driver tells of an attachment, and of an error's text.
const METADATA_BYTES_MAX: usize = 256 * 1024;
const MESSAGE_BYTES_MAX: usize = 1024;

fn status(status: &Value, errors: &mut Errors) {
    let bytes: usize = crate::value::entries(status, "attachmentMetadata")
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if bytes > METADATA_BYTES_MAX {
        errors.push(FieldError::too_long("status.attachmentMetadata", METADATA_BYTES_MAX));
    }
    for key in ["attachError", "detachError"] {
        let error = get(status, key);
        if text(error, "message").len() > MESSAGE_BYTES_MAX {
            errors.push(FieldError::too_long(format!("status.{key}.message"), MESSAGE_BYTES_MAX));
        }
        let path = crate::path::Path::new("status");
        crate::rules::non_negative(error, "errorCode", &path.child(key), errors);
    }
}

fn validate_change(new: &Value, old: &Value) -> Errors {
    let mut errors = validate(new);
    let spec = get(new, "spec");
    if !crate::value::equal(spec, get(old, "spec")) {
        let shown = format!(
            "{{\"Attacher\":{},\"Source\":{{\"PersistentVolumeName\":{},\"InlineVolumeSpec\":{}}},\"NodeName\":{}}}",
            get(spec, "attacher"),
            get(spec, "source.persistentVolumeName"),
            get(spec, "source.inlineVolumeSpec"),
            get(spec, "nodeName"),
        );
        errors.push(FieldError::invalid_shown("spec", &shown, "field is immutable"));
    }
    errors
}
