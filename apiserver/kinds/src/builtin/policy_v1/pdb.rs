//! PodDisruptionBudget.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::path::Path;
use crate::rules::{at_most_all, int_or_percent, non_negative, optional_one_of};
use crate::table::{self, AGE, NAME};
use crate::value::{get, items};

pub const HOOKS: Hooks = Hooks {
    validate_create: Some(|budget, _| validate(budget)),
    validate_update: Some(
        |new, _, context: &Context| if context.subresource == "status" { status(new) } else { validate(new) },
    ),
    table: Some(TABLE),
    // Its registry checks names for paths only.
    name: |name, prefix| {
        if prefix {
            kuorum_schema::names::path_segment_prefix(name)
        } else {
            kuorum_schema::names::path_segment_name(name)
        }
    },
    update_metadata: &[],
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Min Available", "string", "The minimum number of pods that must be available."),
        table::own("Max Unavailable", "string", "The maximum number of pods that may be unavailable."),
        table::own("Allowed Disruptions", "integer", "Calculated number of pods that may be disrupted at this time."),
        AGE,
    ],
    |budget, now| {
        let bound = |path: &str| match get(budget, path) {
            Value::Null => "N/A".to_owned(),
            value => table::scalar(value),
        };
        vec![
            table::name(budget),
            bound("spec.minAvailable").into(),
            bound("spec.maxUnavailable").into(),
            table::count(budget, "status.disruptionsAllowed"),
            table::age(budget, now),
        ]
    },
);

fn validate(budget: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = get(budget, "spec");
    let path = Path::new("spec");
    let both = ["minAvailable", "maxUnavailable"];
    if both.iter().all(|key| !get(spec, key).is_null()) {
        let shown = format!(
            "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
            get(spec, "minAvailable"),
            get(spec, "selector"),
            get(spec, "maxUnavailable"),
            get(spec, "unhealthyPodEvictionPolicy"),
        );
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid_shown(path, &shown, detail));
    }
    for key in both {
        int_or_percent(get(spec, key), path.child(key), &mut errors);
        at_most_all(get(spec, key), path.child(key), &mut errors);
    }
    if get(spec, "selector").is_object() {
        crate::label_selector::validate(get(spec, "selector"), &path.child("selector"), &mut errors);
    }
    let policies = ["AlwaysAllow", "IfHealthyBudget"];
    optional_one_of(spec, "unhealthyPodEvictionPolicy", &policies, &path, &mut errors);
    errors
}

fn status(budget: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("status");
    crate::conditions::validate(items(budget, "status.conditions"), &path.child("conditions"), &mut errors);
    for key in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        non_negative(get(budget, "status"), key, &path, &mut errors);
    }
    errors
}
