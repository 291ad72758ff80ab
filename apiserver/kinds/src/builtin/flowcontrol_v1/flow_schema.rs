//! FlowSchema.

use serde_json::Value;

use crate::hooks::{Context, Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{child, items, set_default_int, text};

pub const HOOKS: Hooks =
    Hooks { default: Some(default), prepare_update: Some(prepare_update), table: Some(TABLE), ..Hooks::NONE };

const SPEC: &str = "io.k8s.api.flowcontrol.v1.FlowSchemaSpec";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field(
            "PriorityLevel",
            "string",
            "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationReference",
            "name",
        ),
        table::field("MatchingPrecedence", "string", SPEC, "matchingPrecedence"),
        table::field("DistinguisherMethod", "string", SPEC, "distinguisherMethod"),
        AGE,
        table::own("MissingPL", "string", "references a broken or non-existent PriorityLevelConfiguration"),
    ],
    |schema, now| {
        let dangling = items(schema, "status.conditions").iter().find(|c| text(c, "type") == "Dangling");
        vec![
            table::name(schema),
            text(schema, "spec.priorityLevelConfiguration.name").into(),
            table::count(schema, "spec.matchingPrecedence"),
            table::or_none(text(schema, "spec.distinguisherMethod.type")),
            table::age(schema, now),
            dangling.map_or("?", |c| text(c, "status")).into(),
        ]
    },
);

fn default(schema: &mut Value) {
    if let Some(spec) = child(schema, "spec") {
        set_default_int(spec, "matchingPrecedence", 1000);
    }
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource == "status" {
        crate::metadata::keep_for_status(new, old);
    }
}
