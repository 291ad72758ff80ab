//! CronJob.

use serde_json::Value;

use super::job;
use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, CONTAINERS, IMAGES, NAME};
use crate::value::{child, get, is_set, items, set_default, set_default_text, text};

pub const HOOKS: Hooks = Hooks { default: Some(default), table: Some(TABLE), ..Hooks::NONE };

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
