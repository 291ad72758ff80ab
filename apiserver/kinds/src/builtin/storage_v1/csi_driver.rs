//! CSIDriver.

use serde_json::{Value, json};

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{child, equal, flag, get, is_set, items, set, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    first_generation: 0,
    desired_state_changed: Some(|new, old| !equal(get(new, "spec"), get(old, "spec"))),
    warnings: Some(warnings),
    table: Some(TABLE),
    ..Hooks::NONE
};

const SPEC: &str = "io.k8s.api.storage.v1.CSIDriverSpec";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("AttachRequired", "boolean", SPEC, "attachRequired"),
        table::field("PodInfoOnMount", "boolean", SPEC, "podInfoOnMount"),
        table::field("StorageCapacity", "boolean", SPEC, "storageCapacity"),
        table::field("TokenRequests", "string", SPEC, "tokenRequests"),
        table::field("RequiresRepublish", "boolean", SPEC, "requiresRepublish"),
        table::field("Modes", "string", SPEC, "volumeLifecycleModes"),
        AGE,
    ],
    |driver, now| {
        let modes = table::join(items(driver, "spec.volumeLifecycleModes").iter().filter_map(Value::as_str));
        let audiences = table::join(items(driver, "spec.tokenRequests").iter().map(|t| text(t, "audience")));
        let audiences: Value = if is_set(driver, "spec.tokenRequests") { audiences.into() } else { "<unset>".into() };
        vec![
            table::name(driver),
            get(driver, "spec.attachRequired").as_bool().unwrap_or(true).into(),
            flag(driver, "spec.podInfoOnMount").into(),
            flag(driver, "spec.storageCapacity").into(),
            audiences,
            flag(driver, "spec.requiresRepublish").into(),
            table::or_none(&modes),
            table::age(driver, now),
        ]
    },
);

fn default(driver: &mut Value) {
    let Some(spec) = child(driver, "spec") else { return };
    set_default(spec, "attachRequired", true);
    for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        set_default(spec, field, false);
    }
    set_default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if !is_set(spec, "volumeLifecycleModes") {
        set(spec, "volumeLifecycleModes", json!(["Persistent"]));
    }
}

fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let new_requests = is_set(new, "spec.tokenRequests") && !old.is_some_and(|old| is_set(old, "spec.tokenRequests"));
    if new_requests && get(new, "spec.serviceAccountTokenInSecrets").is_null() {
        vec![
            "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes".to_owned(),
        ]
    } else {
        Vec::new()
    }
}
