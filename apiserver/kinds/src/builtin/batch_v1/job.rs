//! Job.

use serde_json::{Value, json};

use super::validate;
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::path::Path;
use crate::pod_template::defaults;
use crate::row::SelectableField;
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME, unix_seconds};
use crate::value::{
    carry_over, child, equal, existing, flag, get, int, is_set, items, items_mut, set, set_default, set_default_text,
    text,
};

/// The labels that tie pods to their Job: the current names and the old ones that clients still select by.
const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];

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
    name: "status.successful",
    value: |job| int(job, "status.succeeded").unwrap_or(0).to_string(),
}];

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Status", "string", "Status of the job."),
        table::field("Completions", "string", "io.k8s.api.batch.v1.JobStatus", "succeeded"),
        table::own("Duration", "string", "Time required to complete the job."),
        AGE,
        CONTAINERS,
        IMAGES,
        table::field("Selector", "string", "io.k8s.api.batch.v1.JobSpec", "selector").wide(),
    ],
    |job, now| {
        let [names, images] = table::containers(job, "spec.template.spec");
        vec![
            table::name(job),
            status(job).into(),
            completions(job).into(),
            duration(job, now).into(),
            table::age(job, now),
            names,
            images,
            table::label_selector(job, "spec.selector").into(),
        ]
    },
);

fn status(job: &Value) -> &'static str {
    let has = |kind: &str| {
        items(job, "status.conditions").iter().any(|c| text(c, "type") == kind && text(c, "status") == "True")
    };
    match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if is_set(job, "metadata.deletionTimestamp") => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(job: &Value) -> String {
    let succeeded = int(job, "status.succeeded").unwrap_or(0);
    match (int(job, "spec.completions"), int(job, "spec.parallelism").unwrap_or(0)) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(job: &Value, now: i64) -> String {
    let Some(start) = unix_seconds(text(job, "status.startTime")) else { return String::new() };
    let end = unix_seconds(text(job, "status.completionTime")).unwrap_or(now);
    kuorum_schema::time::human_duration(end - start)
}

fn default(job: &mut Value) {
    let labels = get(job, "spec.template.metadata.labels").clone();
    if labels.as_object().is_some_and(|l| !l.is_empty())
        && !is_set(job, "metadata.labels")
        && let Some(meta) = child(job, "metadata")
    {
        set(meta, "labels", labels);
    }
    let Some(spec) = child(job, "spec") else { return };
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        set(spec, "completions", 1);
    }
    set_default(spec, "parallelism", 1);
    let per_index = spec.get("backoffLimitPerIndex").is_some();
    set_default(spec, "backoffLimit", if per_index { i64::from(i32::MAX) } else { 6 });
    set_default(spec, "completionMode", "NonIndexed");
    set_default(spec, "suspend", false);
    set_default(spec, "manualSelector", false);
    let failure_policy = spec.get("podFailurePolicy").is_some();
    set_default(spec, "podReplacementPolicy", if failure_policy { "Failed" } else { "TerminatingOrFailed" });
    template(spec);
}

/// The parts of a Job's spec that a CronJob's template gets too.
pub fn template(spec: &mut Value) {
    if let Some(policy) = existing(spec, "podFailurePolicy") {
        for rule in items_mut(policy, "rules") {
            for condition in items_mut(rule, "onPodConditions") {
                set_default_text(condition, "status", "True");
            }
        }
    }
    defaults::template_of(spec);
}

/// Unless told not to, a Job selects its pods by its own uid.
fn prepare_create(job: &mut Value, _: &Context) {
    if flag(job, "spec.manualSelector") {
        return;
    }
    let uid = text(job, "metadata.uid").to_owned();
    let name = text(job, "metadata.name").to_owned();
    let shares_labels = same_labels(job);
    let add = |object: &mut Value| {
        if let Some(meta) = child(object, "metadata")
            && let Some(labels) = child(meta, "labels")
        {
            for label in NAME_LABELS {
                set_default_text(labels, label, &name);
            }
            for label in UID_LABELS {
                set_default_text(labels, label, &uid);
            }
        }
    };
    if shares_labels {
        add(job);
    }
    let Some(spec) = child(job, "spec") else { return };
    if let Some(template) = child(spec, "template") {
        add(template);
    }
    if !is_set(spec, "selector") {
        set(spec, "selector", json!({}));
    }
    if let Some(selector) = child(spec, "selector")
        && let Some(labels) = child(selector, "matchLabels")
    {
        set_default_text(labels, "batch.kubernetes.io/controller-uid", &uid);
    }
}

/// A Job without labels of its own takes those of its template, the generated ones included.
fn same_labels(job: &Value) -> bool {
    !is_set(job, "metadata.labels") || get(job, "metadata.labels") == get(job, "spec.template.metadata.labels")
}

fn validate_create(job: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    validate::generated_selector(job, &mut errors);
    spec_and_selector(job, &mut errors);
    errors
}

fn spec_and_selector(job: &Value, errors: &mut Errors) {
    validate::job_spec(get(job, "spec"), &Path::new("spec"), errors);
    validate::job_selector(job, errors);
}

/// What of a Job never changes, in the order in which it is looked at.
const FIXED: [&str; 8] = [
    "completions",
    "selector",
    "template",
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
];

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    if context.subresource == "status" {
        let mut errors = Errors::new();
        status_counters(new, old, &mut errors);
        return errors;
    }
    // Once as any Job is, once as an update of one.
    let mut errors = validate_create(new, context);
    spec_and_selector(new, &mut errors);
    let suspended = flag(old, "spec.suspend") && !is_set(old, "status.startTime");
    for key in FIXED {
        let (after, before) = (get(get(new, "spec"), key), get(get(old, "spec"), key));
        // An elastic indexed Job changes completions together with parallelism; a suspended one its scheduling.
        let elastic = key == "completions"
            && text(new, "spec.completionMode") == "Indexed"
            && get(new, "spec.completions") == get(new, "spec.parallelism");
        let rescheduled = key == "template" && suspended && equal(after, &with_scheduling_of(before, after));
        if elastic || rescheduled || equal(after, before) {
            continue;
        }
        let shown = match key {
            "selector" if after.is_object() => crate::label_selector::show(after),
            "template" => crate::internal::show("PodTemplateSpec", after),
            _ => after.to_string(),
        };
        errors.push(FieldError::invalid_shown(format!("spec.{key}"), &shown, "field is immutable"));
    }
    errors
}

/// A template with what the other one says about where, when and with how much its pods run.
fn with_scheduling_of(template: &Value, other: &Value) -> Value {
    let mut template = template.clone();
    for (part, keys) in [
        ("metadata", &["annotations", "labels"] as &[&str]),
        ("spec", &["affinity", "nodeSelector", "tolerations", "schedulingGates"]),
    ] {
        let Some(fields) = child(&mut template, part) else { continue };
        for key in keys {
            carry_over(fields, get(other, part), key);
        }
    }
    for list in ["initContainers", "containers"] {
        let Some(spec) = child(&mut template, "spec") else { continue };
        for (container, other) in items_mut(spec, list).iter_mut().zip(items(get(other, "spec"), list)) {
            carry_over(container, other, "resources");
        }
    }
    template
}

fn status_counters(new: &Value, old: &Value, errors: &mut Errors) {
    for counter in ["active", "succeeded", "failed", "ready"] {
        crate::rules::non_negative(get(new, "status"), counter, &Path::new("status"), errors);
    }
    for counter in ["failed", "succeeded"] {
        let of = |job: &Value| int(get(job, "status"), counter).unwrap_or(0);
        if of(new) < of(old) && int(new, "spec.completions").is_some() {
            let detail = format!("cannot decrease the {counter} counter");
            errors.push(FieldError::invalid(format!("status.{counter}"), &of(new).into(), &detail));
        }
    }
}
