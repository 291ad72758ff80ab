//! DaemonSet.

use serde_json::Value;

use super::workload::{self, PATH};
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::pod_template::defaults;
use crate::rules::{at_most_all, int_or_percent, is_zero, non_negative, percent_of};
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME};
use crate::value::{child, equal, get, set, set_default, set_default_text, text};

/// Counts changes of the template: a field of extensions/v1beta1 that lives on as an annotation.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare_create),
    prepare_update: Some(prepare_update),
    validate_create: Some(validate_create),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    update_metadata: &[Pass::Create, Pass::Update],
    ..Hooks::NONE
};

const STATUS: &str = "io.k8s.api.apps.v1.DaemonSetStatus";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Desired", "integer", STATUS, "desiredNumberScheduled"),
        table::field("Current", "integer", STATUS, "currentNumberScheduled"),
        table::field("Ready", "integer", STATUS, "numberReady"),
        table::field("Up-to-date", "integer", STATUS, "updatedNumberScheduled"),
        table::field("Available", "integer", STATUS, "numberAvailable"),
        table::field("Node Selector", "string", "io.k8s.api.core.v1.PodSpec", "nodeSelector"),
        AGE,
        CONTAINERS,
        IMAGES,
        table::field("Selector", "string", "io.k8s.api.apps.v1.DaemonSetSpec", "selector").wide(),
    ],
    |set, now| {
        let [names, images] = table::containers(set, "spec.template.spec");
        vec![
            table::name(set),
            table::count(set, "status.desiredNumberScheduled"),
            table::count(set, "status.currentNumberScheduled"),
            table::count(set, "status.numberReady"),
            table::count(set, "status.updatedNumberScheduled"),
            table::count(set, "status.numberAvailable"),
            table::labels(set, "spec.template.spec.nodeSelector").into(),
            table::age(set, now),
            names,
            images,
            table::label_selector(set, "spec.selector").into(),
        ]
    },
);

fn default(daemon_set: &mut Value) {
    // The conversion always writes it; who sends no count has set it to 0.
    if get(daemon_set, "metadata.annotations").get(TEMPLATE_GENERATION).is_none() {
        set_template_generation(daemon_set, 0);
    }
    let Some(spec) = child(daemon_set, "spec") else { return };
    if let Some(strategy) = child(spec, "updateStrategy") {
        set_default_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            set_default(rolling, "maxUnavailable", 1);
            set_default(rolling, "maxSurge", 0);
        } else if let Some(rolling) = crate::value::existing(strategy, "rollingUpdate") {
            // Without a pointer in the internal type, what is unset comes back as zero.
            set_default(rolling, "maxUnavailable", 0);
            set_default(rolling, "maxSurge", 0);
        }
    }
    set_default(spec, "revisionHistoryLimit", 10);
    defaults::template_of(spec);
}

fn template_generation(daemon_set: &Value) -> i64 {
    let annotation = get(daemon_set, "metadata.annotations").get(TEMPLATE_GENERATION);
    annotation.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn set_template_generation(daemon_set: &mut Value, generation: i64) {
    if let Some(meta) = child(daemon_set, "metadata")
        && let Some(annotations) = child(meta, "annotations")
    {
        set(annotations, TEMPLATE_GENERATION, generation.to_string());
    }
}

fn prepare_create(daemon_set: &mut Value, _: &Context) {
    set_template_generation(daemon_set, template_generation(daemon_set).max(1));
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    let changed = context.subresource.is_empty() && !equal(get(new, "spec.template"), get(old, "spec.template"));
    set_template_generation(new, template_generation(old) + i64::from(changed));
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
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
            "collisionCount",
        ];
        workload::status(new, &counters, &[], &mut errors);
        workload::collisions_grow(new, old, &mut errors);
        return errors;
    }
    workload::selector_unchanged(new, old, &mut errors);
    validate_spec(new, &mut errors);
    errors
}

fn validate_spec(set: &Value, errors: &mut Errors) {
    let spec = get(set, "spec");
    workload::selector(set, "daemonset", false, errors);
    workload::template_labels(set, errors);
    workload::template(set, "DaemonSet", errors);
    non_negative(spec, "minReadySeconds", &PATH, errors);
    update_strategy(get(spec, "updateStrategy"), errors);
    non_negative(spec, "revisionHistoryLimit", &PATH, errors);
}

fn update_strategy(strategy: &Value, errors: &mut Errors) {
    let path = PATH.child("updateStrategy");
    match text(strategy, "type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = get(strategy, "rollingUpdate");
            let path = path.child("rollingUpdate");
            let (unavailable, surge) = (get(rolling, "maxUnavailable"), get(rolling, "maxSurge"));
            let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
            int_or_percent(surge, surge_path, errors);
            at_most_all(surge, surge_path, errors);
            int_or_percent(unavailable, unavailable_path, errors);
            at_most_all(unavailable, unavailable_path, errors);
            let set =
                |value: &Value| value.as_i64().is_some_and(|n| n != 0) || percent_of(value).is_some_and(|n| n != 0);
            if set(unavailable) && set(surge) {
                let detail = "may not be set when maxUnavailable is non-zero";
                errors.push(FieldError::invalid(surge_path, surge, detail));
            }
            if is_zero(unavailable) && is_zero(surge) {
                errors.push(FieldError::required(unavailable_path, "cannot be 0 when maxSurge is 0"));
            }
        }
        other => {
            let known = ["RollingUpdate", "OnDelete"];
            errors.push(FieldError::not_supported(path.child("type"), &other.into(), &known));
        }
    }
}
