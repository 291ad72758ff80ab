//! Deployment.

use serde_json::Value;

use super::workload::{self, PATH};
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::pod_template::defaults;
use crate::rules::{at_most_all, int_or_percent, is_zero, non_negative};
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME};
use crate::value::{carry_over, child, equal, get, int, set_default, set_default_text, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_update: Some(|new, old, context: &Context| {
        // The status of a Deployment is written without its labels.
        if context.subresource == "status"
            && let Some(meta) = child(new, "metadata")
        {
            carry_over(meta, get(old, "metadata"), "labels");
        }
    }),
    desired_state_changed: Some(desired_state_changed),
    validate_create: Some(validate_create),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    ..Hooks::NONE
};

const STATUS: &str = "io.k8s.api.apps.v1.DeploymentStatus";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Ready", "string", "Number of the pod with ready state"),
        table::field("Up-to-date", "string", STATUS, "updatedReplicas"),
        table::field("Available", "string", STATUS, "availableReplicas"),
        AGE,
        CONTAINERS,
        IMAGES,
        table::field("Selector", "string", "io.k8s.api.apps.v1.DeploymentSpec", "selector").wide(),
    ],
    |deployment, now| {
        let [names, images] = table::containers(deployment, "spec.template.spec");
        let ready = int(deployment, "status.readyReplicas").unwrap_or(0);
        let desired = int(deployment, "spec.replicas").unwrap_or(0);
        vec![
            table::name(deployment),
            format!("{ready}/{desired}").into(),
            table::count(deployment, "status.updatedReplicas"),
            table::count(deployment, "status.availableReplicas"),
            table::age(deployment, now),
            names,
            images,
            table::label_selector(deployment, "spec.selector").into(),
        ]
    },
);

fn default(deployment: &mut Value) {
    let Some(spec) = child(deployment, "spec") else { return };
    set_default(spec, "replicas", 1);
    if let Some(strategy) = child(spec, "strategy") {
        set_default_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            set_default(rolling, "maxUnavailable", "25%");
            set_default(rolling, "maxSurge", "25%");
        }
    }
    set_default(spec, "revisionHistoryLimit", 10);
    set_default(spec, "progressDeadlineSeconds", 600);
    defaults::template_of(spec);
}

/// Annotations count too: the controller copies them to ReplicaSets.
fn desired_state_changed(new: &Value, old: &Value) -> bool {
    !equal(get(new, "spec"), get(old, "spec"))
        || !equal(get(new, "metadata.annotations"), get(old, "metadata.annotations"))
}

fn validate_create(deployment: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    validate_spec(deployment, &mut errors);
    errors
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource == "status" {
        let counters = [
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "terminatingReplicas",
            "collisionCount",
        ];
        let capped = ["updatedReplicas", "readyReplicas", "availableReplicas"];
        workload::status(new, &counters, &capped, &mut errors);
        workload::available_within_ready(new, "cannot be greater than readyReplicas", &mut errors);
        workload::collisions_grow(new, old, &mut errors);
        return errors;
    }
    validate_spec(new, &mut errors);
    workload::selector_unchanged(new, old, &mut errors);
    errors
}

fn validate_spec(deployment: &Value, errors: &mut Errors) {
    let spec = get(deployment, "spec");
    non_negative(spec, "replicas", &PATH, errors);
    workload::selector(deployment, "deployment", true, errors);
    if !workload::unusable_selector(deployment, errors) {
        workload::template_labels(deployment, errors);
        workload::template(deployment, "ReplicaSet", errors);
    }
    strategy(get(spec, "strategy"), errors);
    for key in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        non_negative(spec, key, &PATH, errors);
    }
    if let Some(deadline) = int(spec, "progressDeadlineSeconds")
        && deadline <= int(spec, "minReadySeconds").unwrap_or(0)
    {
        let detail = "must be greater than minReadySeconds";
        errors.push(FieldError::invalid(PATH.child("progressDeadlineSeconds"), &deadline.into(), detail));
    }
}

fn strategy(strategy: &Value, errors: &mut Errors) {
    let path = PATH.child("strategy");
    let rolling = get(strategy, "rollingUpdate");
    match text(strategy, "type") {
        "Recreate" => {
            if rolling.is_object() {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                errors.push(FieldError::forbidden(path.child("rollingUpdate"), detail));
            }
        }
        "RollingUpdate" => {
            let path = path.child("rollingUpdate");
            let (unavailable, surge) = (get(rolling, "maxUnavailable"), get(rolling, "maxSurge"));
            int_or_percent(unavailable, path.child("maxUnavailable"), errors);
            int_or_percent(surge, path.child("maxSurge"), errors);
            if is_zero(unavailable) && is_zero(surge) {
                let detail = "may not be 0 when `maxSurge` is 0";
                errors.push(FieldError::invalid(path.child("maxUnavailable"), unavailable, detail));
            }
            at_most_all(unavailable, path.child("maxUnavailable"), errors);
        }
        other => {
            let known = ["Recreate", "RollingUpdate"];
            errors.push(FieldError::not_supported(path.child("type"), &other.into(), &known));
        }
    }
}
