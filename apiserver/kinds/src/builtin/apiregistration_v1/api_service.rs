//! APIService.

use serde_json::Value;

use crate::hooks::{Context, Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{existing, get, items, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_update: Some(|new, old, context: &Context| {
        if context.subresource == "status" {
            crate::metadata::keep_for_status(new, old);
        }
    }),
    table: Some(TABLE),
    name: |name, _| kuorum_schema::names::path_segment_name(name),
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Service", "string", "The reference to the service that hosts this API endpoint."),
        table::own("Available", "string", "Whether this service is available."),
        AGE,
    ],
    |service, now| {
        let backend = get(service, "spec.service");
        let backend = if backend.is_object() {
            format!("{}/{}", text(backend, "namespace"), text(backend, "name"))
        } else {
            "Local".to_owned()
        };
        vec![table::name(service), backend.into(), available(service).into(), table::age(service, now)]
    },
);

fn available(service: &Value) -> String {
    let condition = items(service, "status.conditions").iter().find(|c| text(c, "type") == "Available");
    match condition {
        None => "Unknown".to_owned(),
        Some(c) if text(c, "status") == "True" => "True".to_owned(),
        Some(c) => format!("{} ({})", text(c, "status"), text(c, "reason")),
    }
}

fn default(service: &mut Value) {
    if let Some(backend) = existing(service, "spec").and_then(|spec| existing(spec, "service")) {
        set_default(backend, "port", 443);
    }
}
