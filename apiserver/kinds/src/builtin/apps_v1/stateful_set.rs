//! StatefulSet.

use serde_json::{Value, json};

use crate::builtin::core_v1::persistent_volume_claim;
use crate::hooks::{Hooks, TablePrinter};
use crate::pod_template::defaults;
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME};
use crate::value::{child, int, items_mut, set, set_default, set_default_text, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    table: Some(TABLE),
    name: |name, prefix| {
        kuorum_schema::names::dns1123_label(if prefix { name.strip_suffix('-').unwrap_or(name) } else { name })
    },
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::own("Ready", "string", "Number of the pod with ready state"), AGE, CONTAINERS, IMAGES],
    |set, now| {
        let [names, images] = table::containers(set, "spec.template.spec");
        let ready = int(set, "status.readyReplicas").unwrap_or(0);
        let desired = int(set, "spec.replicas").unwrap_or(0);
        vec![table::name(set), format!("{ready}/{desired}").into(), table::age(set, now), names, images]
    },
);

fn default(stateful_set: &mut Value) {
    let Some(spec) = child(stateful_set, "spec") else { return };
    set_default_text(spec, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = child(spec, "updateStrategy") {
        set_default_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            set_default(rolling, "partition", 0);
        }
    }
    if let Some(retention) = child(spec, "persistentVolumeClaimRetentionPolicy") {
        set_default_text(retention, "whenDeleted", "Retain");
        set_default_text(retention, "whenScaled", "Retain");
    }
    set_default(spec, "replicas", 1);
    set_default(spec, "revisionHistoryLimit", 10);
    defaults::template_of(spec);
    for claim in items_mut(spec, "volumeClaimTemplates") {
        persistent_volume_claim::default(claim);
        set(claim, "apiVersion", "v1");
        set(claim, "kind", "PersistentVolumeClaim");
        if !claim.get("metadata").is_some_and(Value::is_object) {
            set(claim, "metadata", json!({}));
        }
    }
}
