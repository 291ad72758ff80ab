//! PriorityLevelConfiguration.

use serde_json::Value;

use crate::hooks::{Context, Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{child, existing, get, set_default, set_default_int, text};

pub const HOOKS: Hooks =
    Hooks { default: Some(default), prepare_update: Some(prepare_update), table: Some(TABLE), ..Hooks::NONE };

const QUEUING: &str = "io.k8s.api.flowcontrol.v1.QueuingConfiguration";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Type", "string", "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec", "type"),
        table::field(
            "NominalConcurrencyShares",
            "string",
            "io.k8s.api.flowcontrol.v1.LimitedPriorityLevelConfiguration",
            "nominalConcurrencyShares",
        ),
        table::field("Queues", "string", QUEUING, "queues"),
        table::field("HandSize", "string", QUEUING, "handSize"),
        table::field("QueueLengthLimit", "string", QUEUING, "queueLengthLimit"),
        AGE,
    ],
    |level, now| {
        let or_none = |path: &str| match get(level, path) {
            Value::Null => "<none>".into(),
            value => value.clone(),
        };
        vec![
            table::name(level),
            text(level, "spec.type").into(),
            or_none("spec.limited.nominalConcurrencyShares"),
            or_none("spec.limited.limitResponse.queuing.queues"),
            or_none("spec.limited.limitResponse.queuing.handSize"),
            or_none("spec.limited.limitResponse.queuing.queueLengthLimit"),
            table::age(level, now),
        ]
    },
);

fn default(level: &mut Value) {
    let Some(spec) = child(level, "spec") else { return };
    if let Some(exempt) = existing(spec, "exempt") {
        set_default(exempt, "nominalConcurrencyShares", 0);
        set_default(exempt, "lendablePercent", 0);
    }
    if let Some(limited) = existing(spec, "limited") {
        set_default(limited, "nominalConcurrencyShares", 30);
        set_default(limited, "lendablePercent", 0);
        if let Some(queuing) = existing(limited, "limitResponse").and_then(|response| existing(response, "queuing")) {
            set_default_int(queuing, "queues", 64);
            set_default_int(queuing, "handSize", 8);
            set_default_int(queuing, "queueLengthLimit", 50);
        }
    }
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource == "status" {
        crate::metadata::keep_for_status(new, old);
    }
}
