//! The rows of batch/v1.

mod cron_job;
mod job;
mod schedule;
mod validate;

use crate::row::{DefaultDelete, KindRow, Subresource};

const NAMESPACED: KindRow = KindRow { group: "batch", version: "v1", ..KindRow::NAMESPACED };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "CronJob",
        plural: "cronjobs",
        singular: "cronjob",
        short_names: &["cj"],
        categories: &["all"],
        subresources: &[Subresource::STATUS],
        generation: true,
        hooks: cron_job::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "Job",
        plural: "jobs",
        singular: "job",
        unknown_field: |field| format!("field label {field:?} not supported for Job"),
        categories: &["all"],
        subresources: &[Subresource::STATUS],
        fields: job::FIELDS,
        generation: true,
        default_delete: DefaultDelete::Orphan,
        hooks: job::HOOKS,
        ..NAMESPACED
    },
];
