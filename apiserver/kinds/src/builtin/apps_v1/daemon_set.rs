//! DaemonSet.

use serde_json::Value;

use crate::hooks::{Context, Hooks, TablePrinter};
use crate::pod_template::defaults;
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME};
use crate::value::{child, equal, get, set, set_default, set_default_text, text};

/// Counts changes of the template: a field of extensions/v1beta1 that lives on as an annotation.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare_create),
    prepare_update: Some(prepare_update),
    table: Some(TABLE),
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
    let Some(spec) = child(daemon_set, "spec") else { return };
    if let Some(strategy) = child(spec, "updateStrategy") {
        set_default_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            set_default(rolling, "maxUnavailable", 1);
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
