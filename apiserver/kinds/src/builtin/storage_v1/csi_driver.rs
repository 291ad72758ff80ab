//! CSIDriver.

use serde_json::{Value, json};

use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::path::Path;
use crate::table::{self, AGE, NAME};
use crate::value::{child, equal, flag, get, is_set, items, set, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    first_generation: 0,
    desired_state_changed: Some(|new, old| !equal(get(new, "spec"), get(old, "spec"))),
    warnings: Some(warnings),
    validate_create: Some(|driver, _| validate(driver)),
    validate_update: Some(|new, old, _| validate_change(new, old)),
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

/// Shortest time between updates of a node's capacity, in seconds.
const UPDATE_SECONDS_MIN: i64 = 10;

fn validate(driver: &Value) -> Errors {
    let mut errors = Errors::new();
    let name = text(driver, "metadata.name");
    crate::pod_template::validate::volumes::csi_driver_name(name, Path::new("metadata.name"), &mut errors);
    let spec = get(driver, "spec");
    let path = Path::new("spec");
    let list = path.child("tokenRequests");
    let requests = items(spec, "tokenRequests");
    for (i, request) in requests.iter().enumerate() {
        let path = list.index(i);
        let audience = text(request, "audience");
        if requests[..i].iter().any(|earlier| text(earlier, "audience") == audience) {
            errors.push(FieldError::duplicate(path.child("audience"), &audience.into()));
            continue;
        }
        if let Some(seconds) = crate::value::int(request, "expirationSeconds")
            && seconds < 600
        {
            let detail = "may not specify a duration less than 10 minutes";
            errors.push(FieldError::invalid(path.child("expirationSeconds"), &seconds.into(), detail));
        }
    }
    if let Some(seconds) = crate::value::int(spec, "nodeAllocatableUpdatePeriodSeconds")
        && seconds < UPDATE_SECONDS_MIN
    {
        let detail = format!("must be greater than or equal to {UPDATE_SECONDS_MIN} seconds");
        errors.push(FieldError::invalid(path.child("nodeAllocatableUpdatePeriodSeconds"), &seconds.into(), &detail));
    }
    for mode in items(spec, "volumeLifecycleModes") {
        if mode != "Persistent" && mode != "Ephemeral" {
            let known = ["Persistent", "Ephemeral"];
            errors.push(FieldError::not_supported(path.child("volumeLifecycleModes"), mode, &known));
        }
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    crate::rules::optional_one_of(spec, "fsGroupPolicy", &policies, &path, &mut errors);
    errors
}

fn validate_change(new: &Value, old: &Value) -> Errors {
    let mut errors = validate(new);
    // The first name is kube-apiserver's own misspelling.
    for (shown, key) in [("attachedRequired", "attachRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")] {
        let (after, before) = (get(get(new, "spec"), key), get(get(old, "spec"), key));
        if after != before {
            errors.push(FieldError::invalid(format!("spec.{shown}"), after, "field is immutable"));
        }
    }
    errors
}
