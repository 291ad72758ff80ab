//! The rows of events.k8s.io/v1.

mod event;

use crate::row::{DefaultDelete, KindRow};

const NAMESPACED: KindRow = KindRow { group: "events.k8s.io", version: "v1", ..KindRow::NAMESPACED };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    storage: Some(("", "v1", "Event")),
    fields: crate::builtin::core_v1::event::NEW_FIELDS,
    create_on_update: true,
    default_delete: DefaultDelete::Unsupported,
    hooks: event::HOOKS,
    ..NAMESPACED
}];
