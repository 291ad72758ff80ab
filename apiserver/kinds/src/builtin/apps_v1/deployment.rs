//! Deployment.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::pod_template::defaults;
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME};
use crate::value::{child, equal, get, int, set_default, set_default_text, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    desired_state_changed: Some(desired_state_changed),
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
