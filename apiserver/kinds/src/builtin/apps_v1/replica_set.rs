//! ReplicaSet.

use serde_json::Value;

use super::workload::{self, PATH};
use crate::field::Errors;
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::pod_template::defaults;
use crate::rules::non_negative;
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME};
use crate::value::{child, set_default};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare_create),
    validate_create: Some(validate_create),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    update_metadata: &[Pass::Create, Pass::Update],
    ..Hooks::NONE
};

const SPEC: &str = "io.k8s.api.apps.v1.ReplicaSetSpec";
const STATUS: &str = "io.k8s.api.apps.v1.ReplicaSetStatus";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Desired", "integer", SPEC, "replicas"),
        table::field("Current", "integer", STATUS, "replicas"),
        table::field("Ready", "integer", STATUS, "readyReplicas"),
        AGE,
        CONTAINERS,
        IMAGES,
        table::field("Selector", "string", SPEC, "selector").wide(),
    ],
    |set, now| {
        let [names, images] = table::containers(set, "spec.template.spec");
        vec![
            table::name(set),
            table::count(set, "spec.replicas"),
            table::count(set, "status.replicas"),
            table::count(set, "status.readyReplicas"),
            table::age(set, now),
            names,
            images,
            table::label_selector(set, "spec.selector").into(),
        ]
    },
);

fn default(replica_set: &mut Value) {
    if let Some(spec) = child(replica_set, "spec") {
        set_default(spec, "replicas", 1);
        defaults::template_of(spec);
    }
}

fn prepare_create(replica_set: &mut Value, _: &Context) {
    super::clear_replica_status(replica_set);
}

fn validate_create(set: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    validate_spec(set, &mut errors);
    errors
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource == "status" {
        let counters = [
            "replicas",
            "fullyLabeledReplicas",
            "readyReplicas",
            "availableReplicas",
            "terminatingReplicas",
            "observedGeneration",
        ];
        let capped = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
        workload::status(new, &counters, &capped, &mut errors);
        workload::available_within_ready(new, "cannot be greater than readyReplicas", &mut errors);
        return errors;
    }
    validate_spec(new, &mut errors);
    workload::selector_unchanged(new, old, &mut errors);
    errors
}

fn validate_spec(set: &Value, errors: &mut Errors) {
    let spec = crate::value::get(set, "spec");
    non_negative(spec, "replicas", &PATH, errors);
    non_negative(spec, "minReadySeconds", &PATH, errors);
    workload::selector(set, "deployment", true, errors);
    if !workload::unusable_selector(set, errors) {
        workload::template_labels(set, errors);
        workload::template(set, "ReplicaSet", errors);
    }
}
