//! CronJob.

use serde_json::Value;

use super::{job, schedule, validate};
use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::path::Path;
use crate::rules::{non_negative, required_one_of};
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME};
use crate::value::{child, get, is_set, items, set_default, set_default_text, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    validate_create: Some(|cron, _| validate_cron(cron, None)),
    validate_update: Some(|new, old, _| validate_cron(new, Some(old))),
    table: Some(TABLE),
    ..Hooks::NONE
};

const SPEC: &str = "io.k8s.api.batch.v1.CronJobSpec";
const STATUS: &str = "io.k8s.api.batch.v1.CronJobStatus";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Schedule", "string", SPEC, "schedule"),
        table::field("Timezone", "string", SPEC, "timeZone"),
        table::field("Suspend", "boolean", SPEC, "suspend"),
        table::field("Active", "integer", STATUS, "active"),
        table::field("Last Schedule", "string", STATUS, "lastScheduleTime"),
        AGE,
        CONTAINERS,
        IMAGES,
        table::field("Selector", "string", "io.k8s.api.batch.v1.JobSpec", "selector").wide(),
    ],
    |cron, now| {
        let [names, images] = table::containers(cron, "spec.jobTemplate.spec.template.spec");
        let last = if is_set(cron, "status.lastScheduleTime") {
            table::since(text(cron, "status.lastScheduleTime"), now).into()
        } else {
            "<none>".into()
        };
        vec![
            table::name(cron),
            text(cron, "spec.schedule").into(),
            table::or_none(text(cron, "spec.timeZone")),
            table::bool_word(get(cron, "spec.suspend")),
            items(cron, "status.active").len().into(),
            last,
            table::age(cron, now),
            names,
            images,
            table::label_selector(cron, "spec.jobTemplate.spec.selector").into(),
        ]
    },
);

fn default(cron: &mut Value) {
    let Some(spec) = child(cron, "spec") else { return };
    set_default_text(spec, "concurrencyPolicy", "Allow");
    set_default(spec, "suspend", false);
    set_default(spec, "successfulJobsHistoryLimit", 3);
    set_default(spec, "failedJobsHistoryLimit", 1);
    if let Some(job_spec) = child(spec, "jobTemplate").and_then(|template| child(template, "spec")) {
        job::template(job_spec);
    }
}

/// Longest name: the controller adds eleven characters for the names of Jobs.
const NAME_BYTES_MAX: usize = 52;

fn validate_cron(cron: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let spec = get(cron, "spec");
    let path = Path::new("spec");
    let text_of = text(spec, "schedule");
    let at = path.child("schedule");
    if text_of.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else if text_of.contains("TZ") && old.is_none_or(|old| text(old, "spec.schedule") != text_of) {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(FieldError::invalid(at, &text_of.into(), detail));
    } else if !text_of.contains("TZ")
        && let Err(why) = schedule::validate(text_of)
    {
        errors.push(FieldError::invalid(at, &text_of.into(), &why));
    }
    time_zone(spec, &path, &mut errors);
    non_negative(spec, "startingDeadlineSeconds", &path, &mut errors);
    required_one_of(spec, "concurrencyPolicy", &["Allow", "Forbid", "Replace"], &path, &mut errors);
    non_negative(spec, "successfulJobsHistoryLimit", &path, &mut errors);
    non_negative(spec, "failedJobsHistoryLimit", &path, &mut errors);
    job_template(get(spec, "jobTemplate"), &path.child("jobTemplate"), &mut errors);
    let name = text(cron, "metadata.name");
    if old.is_none() && name.len() > NAME_BYTES_MAX {
        let detail = format!("must be no more than {NAME_BYTES_MAX} characters");
        errors.push(FieldError::invalid("metadata.name", &name.into(), &detail));
    }
    errors
}

fn job_template(template: &Value, path: &Path, errors: &mut Errors) {
    let spec = get(template, "spec");
    let path = path.child("spec");
    validate::job_spec(spec, &path, errors);
    if get(spec, "selector").is_object() {
        let shown = crate::label_selector::show(get(spec, "selector"));
        errors.push(FieldError::invalid_shown(path.child("selector"), &shown, "`selector` will be auto-generated"));
    }
    if get(spec, "manualSelector") == &Value::Bool(true) {
        let known = ["nil", "false"];
        errors.push(FieldError::not_supported(path.child("manualSelector"), get(spec, "manualSelector"), &known));
    }
}

/// The names of the time zone database, sorted.
const TIME_ZONES: &str = include_str!("time_zones.txt");

/// A zone is one of the time zone database's, by its exact name.
fn time_zone(spec: &Value, path: &Path, errors: &mut Errors) {
    let zone = get(spec, "timeZone");
    let Some(name) = zone.as_str() else { return };
    let detail = match name {
        "" => "timeZone must be nil or non-empty string".to_owned(),
        _ if name.eq_ignore_ascii_case("local") => {
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones".to_owned()
        }
        _ if TIME_ZONES.lines().any(|known| known == name) => return,
        _ => format!("unknown time zone {name}"),
    };
    errors.push(FieldError::invalid(path.child("timeZone"), zone, &detail));
}
