//! ReplicaSet.

use serde_json::Value;

use crate::hooks::{Context, Hooks, TablePrinter};
use crate::pod_template::defaults;
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME};
use crate::value::{child, set_default};

pub const HOOKS: Hooks =
    Hooks { default: Some(default), prepare_create: Some(prepare_create), table: Some(TABLE), ..Hooks::NONE };

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
