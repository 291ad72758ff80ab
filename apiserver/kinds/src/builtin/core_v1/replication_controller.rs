//! ReplicationController, the ancestor of ReplicaSet: its selector is a plain map.

use serde_json::Value;

use crate::builtin::apps_v1::workload::{self, PATH};
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::pod_template::defaults;
use crate::row::SelectableField;
use crate::rules::{non_negative, show_labels};
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME};
use crate::value::{child, entries, get, int, is_set, set, set_default};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare_create),
    validate_create: Some(validate_create),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    update_metadata: &[Pass::Create, Pass::Update],
    ..Hooks::NONE
};

pub const FIELDS: &[SelectableField] = &[SelectableField {
    name: "status.replicas",
    value: |controller| int(controller, "status.replicas").unwrap_or(0).to_string(),
}];

const SPEC: &str = "io.k8s.api.core.v1.ReplicationControllerSpec";
const STATUS: &str = "io.k8s.api.core.v1.ReplicationControllerStatus";

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
    |controller, now| {
        let [names, images] = table::containers(controller, "spec.template.spec");
        vec![
            table::name(controller),
            table::count(controller, "spec.replicas"),
            table::count(controller, "status.replicas"),
            table::count(controller, "status.readyReplicas"),
            table::age(controller, now),
            names,
            images,
            table::labels(controller, "spec.selector").into(),
        ]
    },
);

fn default(controller: &mut Value) {
    let labels = get(controller, "spec.template.metadata.labels").clone();
    let has_labels = labels.as_object().is_some_and(|l| !l.is_empty());
    if let Some(spec) = child(controller, "spec") {
        if has_labels && !is_set(spec, "selector") {
            set(spec, "selector", labels.clone());
        }
        set_default(spec, "replicas", 1);
        if crate::value::existing(spec, "template").is_some() {
            defaults::template_of(spec);
        }
    }
    if has_labels
        && !is_set(controller, "metadata.labels")
        && let Some(meta) = child(controller, "metadata")
    {
        set(meta, "labels", labels);
    }
}

fn prepare_create(controller: &mut Value, _: &Context) {
    crate::builtin::apps_v1::clear_replica_status(controller);
}

fn validate_create(controller: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    validate_spec(controller, &mut errors);
    errors
}

fn validate_update(new: &Value, _: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource == "status" {
        let counters = ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"];
        let capped = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
        workload::status(new, &counters, &capped, &mut errors);
        workload::available_within_ready(new, "cannot be greater than readyReplicas", &mut errors);
        return errors;
    }
    validate_spec(new, &mut errors);
    errors
}

fn validate_spec(controller: &Value, errors: &mut Errors) {
    let spec = get(controller, "spec");
    non_negative(spec, "minReadySeconds", &PATH, errors);
    if !is_set(spec, "selector") {
        errors.push(FieldError::required("spec.selector", ""));
    }
    non_negative(spec, "replicas", &PATH, errors);
    if !get(spec, "template").is_object() {
        errors.push(FieldError::required("spec.template", ""));
        return;
    }
    let labels = get(spec, "template.metadata.labels");
    let matched = entries(spec, "selector").all(|(key, value)| labels.get(key) == Some(value));
    if is_set(spec, "selector") && !matched {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid_shown("spec.template.metadata.labels", &show_labels(labels), detail));
    }
    workload::template(controller, "ReplicationController", errors);
}
