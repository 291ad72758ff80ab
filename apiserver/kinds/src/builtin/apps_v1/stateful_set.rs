//! StatefulSet.

use serde_json::{Value, json};

use super::workload::{self, PATH};
use crate::builtin::core_v1::persistent_volume_claim;
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::pod_template::defaults;
use crate::rules::non_negative;
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME};
use crate::value::{child, equal, get, int, items, items_mut, set, set_default, set_default_text, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(|set, _| drop_disabled(set, None)),
    prepare_update: Some(|new, old, _| drop_disabled(new, Some(old))),
    validate_create: Some(validate_create),
    validate_update: Some(validate_update),
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

fn validate_create(set: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    validate_spec(set, &mut errors);
    errors
}

/// What an update may change.
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource == "status" {
        let counters = [
            "replicas",
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
            "observedGeneration",
            "collisionCount",
        ];
        let capped = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
        workload::status(new, &counters, &capped, &mut errors);
        workload::available_within_ready(new, "cannot be greater than status.readyReplicas", &mut errors);
        workload::collisions_grow(new, old, &mut errors);
        return errors;
    }
    validate_spec(new, &mut errors);
    let (after, before) = (get(new, "spec"), get(old, "spec"));
    let rest = |spec: &Value| {
        let mut rest = spec.clone();
        for key in MUTABLE {
            crate::value::remove(&mut rest, key);
        }
        rest
    };
    if !equal(&rest(after), &rest(before)) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(FieldError::forbidden("spec", detail));
    }
    errors
}

fn validate_spec(set: &Value, errors: &mut Errors) {
    let spec = get(set, "spec");
    match text(spec, "podManagementPolicy") {
        "" => errors.push(FieldError::required(PATH.child("podManagementPolicy"), "")),
        "OrderedReady" | "Parallel" => {}
        other => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            errors.push(FieldError::invalid(PATH.child("podManagementPolicy"), &other.into(), detail));
        }
    }
    update_strategy(get(spec, "updateStrategy"), errors);
    retention(get(spec, "persistentVolumeClaimRetentionPolicy"), errors);
    non_negative(spec, "replicas", &PATH, errors);
    non_negative(spec, "minReadySeconds", &PATH, errors);
    non_negative(get(spec, "ordinals"), "start", &PATH.child("ordinals"), errors);
    let service = text(spec, "serviceName");
    if !service.is_empty() {
        let complaints = kuorum_schema::names::dns1123_label(service);
        crate::rules::invalid_each(PATH.child("serviceName"), service, complaints, errors);
    }
    workload::selector(set, "statefulset", true, errors);
    let list = PATH.child("volumeClaimTemplates");
    for (i, claim) in items(spec, "volumeClaimTemplates").iter().enumerate() {
        let path = list.index(i);
        persistent_volume_claim::validate_spec(get(claim, "spec"), &path.child("spec"), errors);
    }
    if !workload::unusable_selector(set, errors) {
        workload::template_labels(set, errors);
        workload::template(&with_claim_volumes(set), "StatefulSet", errors);
    }
}

/// The pods get a volume for each claim template, so containers may mount them.
fn with_claim_volumes(set: &Value) -> Value {
    let claims = items(set, "spec.volumeClaimTemplates");
    let mut template = get(set, "spec.template").clone();
    if !claims.is_empty()
        && let Some(spec) = child(&mut template, "spec")
    {
        let mut volumes: Vec<Value> = claims
            .iter()
            .map(|claim| {
                let name = get(claim, "metadata.name");
                json!({"name": name, "persistentVolumeClaim": {"claimName": name}})
            })
            .collect();
        let taken: Vec<Value> = volumes.iter().map(|v| get(v, "name").clone()).collect();
        volumes.extend(items(spec, "volumes").iter().filter(|v| !taken.contains(get(v, "name"))).cloned());
        volumes.dedup_by(|a, b| get(a, "name") == get(b, "name"));
        crate::value::set(spec, "volumes", volumes);
    }
    json!({"spec": {"template": template}})
}

fn update_strategy(strategy: &Value, errors: &mut Errors) {
    let path = PATH.child("updateStrategy");
    let rolling = get(strategy, "rollingUpdate");
    let shown = || {
        format!("{{\"Partition\":{},\"MaxUnavailable\":{}}}", get(rolling, "partition"), get(rolling, "maxUnavailable"))
    };
    match text(strategy, "type") {
        "" => errors.push(FieldError::required(path, "")),
        "OnDelete" => {
            if rolling.is_object() {
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                errors.push(FieldError::invalid_shown(path.child("rollingUpdate"), &shown(), detail));
            }
        }
        "RollingUpdate" => {
            if rolling.is_object() {
                non_negative(rolling, "partition", &path.child("rollingUpdate"), errors);
            }
        }
        other => {
            let rolling = if rolling.is_object() { shown() } else { "null".to_owned() };
            let shown = format!("{{\"Type\":{other:?},\"RollingUpdate\":{rolling}}}");
            errors.push(FieldError::invalid_shown(path, &shown, "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
}

fn retention(policy: &Value, errors: &mut Errors) {
    if policy.is_object() {
        let path = PATH.child("persistentVolumeClaimRetentionPolicy");
        for key in ["whenDeleted", "whenScaled"] {
            crate::rules::one_of(policy, key, &["Delete", "Retain"], &path, errors);
        }
    }
}

/// `maxUnavailable` is behind a feature gate that is off.
fn drop_disabled(set: &mut Value, old: Option<&Value>) {
    let field = "spec.updateStrategy.rollingUpdate.maxUnavailable";
    if old.is_none_or(|old| get(old, field).is_null())
        && let Some(rolling) = crate::value::get_mut(set, "spec.updateStrategy.rollingUpdate")
    {
        crate::value::remove(rolling, "maxUnavailable");
    }
}
