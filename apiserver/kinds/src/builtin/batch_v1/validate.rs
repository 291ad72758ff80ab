//! What is wrong with a Job, alone or in a CronJob's template.

use kuorum_schema::names;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::label_selector;
use crate::path::Path;
use crate::pod_template::validate;
use crate::rules::{invalid_each, non_negative, one_of, optional_one_of};
use crate::value::{flag, get, int, is_set, items, text};

/// Most pods of an indexed Job side by side, and most completions that indexes can count.
const INDEXED_PARALLELISM_MAX: i64 = 100_000;
const MANAGED_BY_BYTES_MAX: usize = 63;

/// Complaints about a Job's spec, but for its selector.
pub fn job_spec(spec: &Value, path: &Path, errors: &mut Errors) {
    for key in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
        non_negative(spec, key, path, errors);
    }
    for key in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        non_negative(spec, key, path, errors);
    }
    if !get(spec, "managedBy").is_null() {
        let owner = text(spec, "managedBy");
        invalid_each(path.child("managedBy"), owner, names::domain_prefixed_path(owner), errors);
        if owner.len() > MANAGED_BY_BYTES_MAX {
            errors.push(FieldError::too_long(path.child("managedBy"), MANAGED_BY_BYTES_MAX));
        }
    }
    optional_one_of(spec, "completionMode", &["NonIndexed", "Indexed"], path, errors);
    indexes(spec, path, errors);
    pod_failure_policy(spec, path, errors);
    success_policy(spec, path, errors);
    replacement(spec, path, errors);
    let template_path = path.child("template");
    validate::template(get(spec, "template"), &template_path, errors);
    restart_policy(spec, &template_path, errors);
}

fn indexes(spec: &Value, path: &Path, errors: &mut Errors) {
    let indexed = text(spec, "completionMode") == "Indexed";
    if indexed {
        if get(spec, "completions").is_null() {
            let detail = "when completion mode is Indexed";
            errors.push(FieldError::required(path.child("completions"), detail));
        }
        let parallelism = int(spec, "parallelism").unwrap_or(0);
        if parallelism > INDEXED_PARALLELISM_MAX {
            let detail =
                format!("must be less than or equal to {INDEXED_PARALLELISM_MAX} when completion mode is Indexed");
            errors.push(FieldError::invalid(path.child("parallelism"), &parallelism.into(), &detail));
        }
        if let (Some(failed), Some(completions)) = (int(spec, "maxFailedIndexes"), int(spec, "completions"))
            && failed > completions
        {
            let detail = "must be less than or equal to completions";
            errors.push(FieldError::invalid(path.child("maxFailedIndexes"), &failed.into(), detail));
        }
    }
    for key in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        if !get(spec, key).is_null() && !indexed {
            errors.push(FieldError::invalid(path.child(key), get(spec, key), "requires indexed completion mode"));
        }
    }
    if !get(spec, "maxFailedIndexes").is_null() && get(spec, "backoffLimitPerIndex").is_null() {
        let detail = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(path.child("backoffLimitPerIndex"), detail));
    }
}

fn restart_policy(spec: &Value, path: &Path, errors: &mut Errors) {
    let at = path.child("spec.restartPolicy");
    let policy = text(spec, "template.spec.restartPolicy");
    match policy {
        "" | "Always" => errors.push(FieldError::required(at, "valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" | "Never" => {}
        other => errors.push(FieldError::not_supported(at, &other.into(), &["OnFailure", "Never"])),
    }
    if get(spec, "podFailurePolicy").is_object() && policy != "Never" {
        let detail = "only \"Never\" is supported when podFailurePolicy is specified";
        errors.push(FieldError::invalid(at, &policy.into(), detail));
    }
}

fn replacement(spec: &Value, path: &Path, errors: &mut Errors) {
    let known: &[&str] =
        if get(spec, "podFailurePolicy").is_object() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    optional_one_of(spec, "podReplacementPolicy", known, path, errors);
}

fn pod_failure_policy(spec: &Value, path: &Path, errors: &mut Errors) {
    let path = path.child("podFailurePolicy.rules");
    let template = get(spec, "template.spec");
    let containers: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| items(template, list))
        .map(|c| text(c, "name"))
        .collect();
    for (i, rule) in items(spec, "podFailurePolicy.rules").iter().enumerate() {
        let path = path.index(i);
        one_of(rule, "action", &["Count", "FailIndex", "FailJob", "Ignore"], &path, errors);
        let (codes, conditions) = (get(rule, "onExitCodes"), items(rule, "onPodConditions"));
        if text(rule, "action") == "FailIndex" && get(spec, "backoffLimitPerIndex").is_null() {
            let detail = "requires the backoffLimitPerIndex to be set";
            errors.push(FieldError::invalid(path.child("action"), &"FailIndex".into(), detail));
        }
        if codes.is_object() {
            exit_codes(codes, &containers, &path.child("onExitCodes"), errors);
        }
        let list = path.child("onPodConditions");
        for (j, condition) in conditions.iter().enumerate() {
            let path = list.index(j);
            let kind = text(condition, "type");
            invalid_each(path.child("type"), kind, names::qualified_name(kind), errors);
            one_of(condition, "status", &["False", "True", "Unknown"], &path, errors);
        }
        if codes.is_object() && !conditions.is_empty() {
            let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
            errors.push(FieldError::invalid_alone(path, detail));
        } else if !codes.is_object() && conditions.is_empty() {
            let detail = "specifying one of OnExitCodes and OnPodConditions is required";
            errors.push(FieldError::invalid_alone(path, detail));
        }
    }
}

fn exit_codes(codes: &Value, containers: &[&str], path: &Path, errors: &mut Errors) {
    one_of(codes, "operator", &["In", "NotIn"], path, errors);
    if let Some(name) = get(codes, "containerName").as_str()
        && !containers.contains(&name)
    {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.push(FieldError::invalid(path.child("containerName"), &name.into(), detail));
    }
    let values = items(codes, "values");
    let path = path.child("values");
    if values.is_empty() {
        errors.push(FieldError::invalid_shown(path, "[]", "at least one value is required"));
    }
    for (i, value) in values.iter().enumerate() {
        if text(codes, "operator") == "In" && value.as_i64() == Some(0) {
            errors.push(FieldError::invalid(path.index(i), value, "must not be 0 for the In operator"));
        }
        if values[..i].contains(value) {
            errors.push(FieldError::duplicate(path.index(i), value));
        }
    }
    if !values.is_sorted_by_key(|v| v.as_i64()) {
        errors.push(FieldError::invalid(path, get(codes, "values"), "must be ordered"));
    }
}

fn success_policy(spec: &Value, path: &Path, errors: &mut Errors) {
    let policy = get(spec, "successPolicy");
    if !policy.is_object() {
        return;
    }
    let path = path.child("successPolicy");
    let rules = items(policy, "rules");
    if text(spec, "completionMode") != "Indexed" {
        let shown: Vec<String> = rules
            .iter()
            .map(|rule| {
                format!(
                    "{{\"SucceededIndexes\":{},\"SucceededCount\":{}}}",
                    get(rule, "succeededIndexes"),
                    get(rule, "succeededCount")
                )
            })
            .collect();
        let shown = format!("{{\"Rules\":[{}]}}", shown.join(","));
        errors.push(FieldError::invalid_shown(path, &shown, "requires indexed completion mode"));
        return;
    }
    let path = path.child("rules");
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(path, detail));
    }
    let completions = int(spec, "completions").unwrap_or(0);
    for (i, rule) in rules.iter().enumerate() {
        let path = path.index(i);
        let (indexes, count) = (get(rule, "succeededIndexes"), get(rule, "succeededCount"));
        if indexes.is_null() && count.is_null() {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            errors.push(FieldError::required(path, detail));
        }
        let mut total = completions;
        if let Some(text) = indexes.as_str() {
            match index_count(text, completions) {
                Ok(n) => total = n,
                Err(why) => {
                    let detail = format!("error parsing succeededIndexes: {why}");
                    errors.push(FieldError::invalid(path.child("succeededIndexes"), indexes, &detail));
                    continue;
                }
            }
        }
        if let Some(n) = count.as_i64() {
            let at = path.child("succeededCount");
            if n < 0 {
                errors.push(FieldError::invalid(at, count, "must be greater than or equal to 0"));
            }
            if n > completions {
                let detail =
                    format!("must be less than or equal to {completions} (the number of specified completions)");
                errors.push(FieldError::invalid(at, count, &detail));
            }
            if !indexes.is_null() && n > total {
                let detail = format!(
                    "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
                );
                errors.push(FieldError::invalid(at, count, &detail));
            }
        }
    }
}

/// How many indexes a text like `0,2-4` names.
fn index_count(text: &str, completions: i64) -> Result<i64, String> {
    let mut total = 0;
    let mut previous: Option<i64> = None;
    for interval in text.split(',') {
        let bounds: Vec<&str> = interval.split('-').collect();
        if bounds.len() > 2 {
            return Err(format!(
                "the fragment {interval:?} violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
        let mut first = None;
        for bound in &bounds {
            let number: i64 =
                bound.parse().map_err(|_| format!("cannot convert string to integer for index: {bound:?}"))?;
            if number >= completions {
                return Err(format!("too large index: {bound:?}"));
            }
            if let Some(before) = previous
                && before >= number
            {
                return Err(format!("non-increasing order, previous: {before}, current: {number}"));
            }
            previous = Some(number);
            total += match first {
                None => 1,
                Some(start) => number - start,
            };
            first.get_or_insert(number);
        }
    }
    Ok(total)
}

/// The selector of a Job that stands alone, and the labels it has to match.
pub fn job_selector(job: &Value, errors: &mut Errors) {
    let selector = get(job, "spec.selector");
    if selector.is_object() {
        label_selector::validate(selector, &Path::new("spec.selector"), errors);
    } else {
        errors.push(FieldError::required("spec.selector", ""));
    }
    let labels = get(job, "spec.template.metadata.labels");
    if !selector.is_object() || !label_selector::matches(selector, labels) {
        let shown = match labels.as_object() {
            Some(_) => labels.to_string(),
            None if flag(job, "spec.manualSelector") => "{}".to_owned(),
            None => "null".to_owned(),
        };
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid_shown("spec.template.metadata.labels", &shown, detail));
    }
}

/// A generated selector selects by the Job's uid and nothing else.
pub fn generated_selector(job: &Value, errors: &mut Errors) {
    let selector = get(job, "spec.selector");
    if !selector.is_object() || flag(job, "spec.manualSelector") {
        return;
    }
    let only_uid = crate::value::entries(selector, "matchLabels")
        .all(|(key, _)| matches!(key, "controller-uid" | "batch.kubernetes.io/controller-uid"))
        && !is_set(selector, "matchExpressions");
    if !only_uid {
        let shown = label_selector::show(selector);
        errors.push(FieldError::invalid_shown("spec.selector", &shown, "`selector` not auto-generated"));
    }
}
