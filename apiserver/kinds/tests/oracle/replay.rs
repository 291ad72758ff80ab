//! The steps of a scenario, one by one.

use std::collections::HashMap;
use std::sync::Arc;

use kuorum_kinds::hooks::Context;
use kuorum_kinds::kind::Kind;
use kuorum_kinds::registry::Registry;
use kuorum_kinds::row::Scope;
use serde_json::{Value, json};

use crate::scenario::{self, Step, concrete, differences, fill};

const NOW: &str = "2024-05-01T10:00:00Z";
const UID: &str = "01234567-89ab-cdef-0123-456789abcdef";

/// What admission plugins add, or allocators: not the kinds' part.
const OTHERS: [&str; 11] = [
    "spec.tolerations",
    "spec.priority",
    "spec.preemptionPolicy",
    "spec.clusterIP",
    "spec.clusterIPs",
    "spec.healthCheckNodePort",
    "spec.taints",
    "spec.ports.*.nodePort",
    "metadata.finalizers",
    "metadata.managedFields",
    "metadata.resourceVersion",
];

/// Refusals that are not the kinds': allocators and the check for a version, in the front-end.
const OTHER_CAUSES: [&str; 5] = [
    "must be specified for an update",
    "failed to allocate",
    "provided port is",
    "configured on this cluster",
    "not configured for dual-stack",
];

/// Where a request goes.
struct Target {
    kind: Arc<Kind>,
    namespace: String,
    name: String,
    subresource: String,
}

fn target(registry: &Registry, path: &str) -> Option<Target> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, resource, more @ ..] if registry.resource(group, version, resource).is_some() => {
            (*namespace, std::iter::once(*resource).chain(more.iter().copied()).collect())
        }
        _ => ("", rest.to_vec()),
    };
    let kind = registry.resource(group, version, rest.first()?)?.clone();
    let part = |i: usize| rest.get(i).copied().unwrap_or("").to_owned();
    Some(Target { kind, namespace: namespace.to_owned(), name: part(1), subresource: part(2) })
}

/// Counts and complaints of one run.
#[derive(Default)]
struct Report {
    compared: usize,
    skipped: usize,
    failures: Vec<Failure>,
}

/// One step that differs.
struct Failure {
    scenario: String,
    step: usize,
    text: String,
}

struct Replay<'a> {
    registry: &'a Registry,
    name: &'a str,
    /// The newest answer for each object: by storage prefix, namespace and name.
    objects: HashMap<String, Value>,
    report: Report,
}

impl Replay<'_> {
    fn step(&mut self, number: usize, step: &Step) {
        let Some(target) = target(self.registry, &step.path) else {
            self.report.skipped += 1;
            return;
        };
        let outcome = match step.method.as_str() {
            "POST" if target.name.is_empty() => self.create(step, &target),
            "PUT" | "PATCH" => self.update(step, &target),
            "GET" if step.answer["kind"] == "Table" => self.table(step, &target),
            _ => None,
        };
        match outcome {
            None => self.report.skipped += 1,
            Some(problems) => {
                self.report.compared += 1;
                if !problems.is_empty() {
                    let title = format!("{} step {number}: {} {}", self.name, step.method, step.path);
                    let shown: Vec<String> = problems.iter().take(12).map(|p| format!("    {p}")).collect();
                    self.report.failures.push(Failure {
                        scenario: self.name.to_owned(),
                        step: number,
                        text: format!("{title}\n{}", shown.join("\n")),
                    });
                }
            }
        }
        self.remember(step, &target);
    }

    fn key(target: &Target, name: &str) -> String {
        format!("{}{}/{name}", target.kind.storage_prefix, target.namespace)
    }

    fn remember(&mut self, step: &Step, target: &Target) {
        if step.status >= 300 || step.query.contains("dryRun") || step.method == "DELETE" {
            return;
        }
        let object = &step.answer;
        if object["kind"] == target.kind.row.kind
            && object["apiVersion"] == target.kind.api_version.as_str()
            && let Some(name) = object["metadata"]["name"].as_str()
        {
            let mut stored = concrete(object);
            target.kind.to_storage(&mut stored);
            self.objects.insert(Self::key(target, name), stored);
        }
        for item in object["items"].as_array().into_iter().flatten() {
            if let Some(name) = item["metadata"]["name"].as_str()
                && object["kind"] == target.kind.row.list_kind()
            {
                let mut stored = concrete(item);
                stored["apiVersion"] = target.kind.api_version.as_str().into();
                stored["kind"] = target.kind.row.kind.into();
                target.kind.to_storage(&mut stored);
                self.objects.insert(Self::key(target, name), stored);
            }
        }
    }

    fn context<'c>(target: &'c Target, groups: &'c [String]) -> Context<'c> {
        Context { subresource: &target.subresource, user: "admin", groups, uid: "admin", now: NOW }
    }

    fn create(&mut self, step: &Step, target: &Target) -> Option<Vec<String>> {
        if !matches!(step.status, 201 | 422) || !step.body.is_object() || !target.kind.row.is_stored() {
            return None;
        }
        let kind = &target.kind;
        let mut object = decode(kind, &step.body)?;
        let groups = ["system:masters".to_owned(), "system:authenticated".to_owned()];
        let context = Self::context(target, &groups);
        kind.default(&mut object);
        let meta = object.as_object_mut()?.entry("metadata").or_insert_with(|| json!({}));
        meta["uid"] = UID.into();
        meta["creationTimestamp"] = NOW.into();
        drop(meta, "managedFields");
        if kind.row.scope == Scope::Namespaced {
            meta["namespace"] = target.namespace.as_str().into();
        }
        if meta["generateName"].is_string() && meta["name"].is_null() {
            let name = step.answer["metadata"]["name"].as_str().unwrap_or("").to_owned();
            meta["name"] = name.replace("<rand>", "bcdfg").into();
        }
        kind.prepare_create(&mut object, &context);
        let errors = kind.validate_create(&object, &context);
        self.judge(step, kind, &object, None, errors)
    }

    fn update(&mut self, step: &Step, target: &Target) -> Option<Vec<String>> {
        if !matches!(step.status, 200 | 201 | 422) || target.subresource == "scale" {
            return None;
        }
        let kind = &target.kind;
        let mut old = self.objects.get(&Self::key(target, &target.name))?.clone();
        kind.from_storage(&mut old);
        let body: Value = if step.body.is_string() { return None } else { step.body.clone() };
        let wanted = if step.method == "PUT" {
            if step.status == 201 {
                return None;
            }
            let mut text = body.to_string();
            for key in ["{uid}", "{rv}", "{rv0}"] {
                text = text.replace(key, if key == "{uid}" { UID } else { "7" });
            }
            serde_json::from_str(&text).ok()?
        } else {
            let bytes = body.to_string().into_bytes();
            match step.headers["Content-Type"].as_str().unwrap_or("application/json") {
                "application/merge-patch+json" => kuorum_schema::patch::merge::apply(&old, &bytes).ok()?,
                "application/json-patch+json" => kuorum_schema::patch::json::apply(&old, &bytes).ok()?,
                "application/strategic-merge-patch+json" => {
                    kuorum_schema::patch::strategic::apply(&old, &bytes, &kind.schema).ok()?
                }
                _ => return None,
            }
        };
        let mut new = decode(kind, &wanted)?;
        let groups = ["system:masters".to_owned(), "system:authenticated".to_owned()];
        let context = Self::context(target, &groups);
        kind.default(&mut new);
        let meta = new.as_object_mut()?.entry("metadata").or_insert_with(|| json!({}));
        if kind.row.scope == Scope::Namespaced && meta["namespace"].is_null() {
            meta["namespace"] = target.namespace.as_str().into();
        }
        keep_what_admission_sets(&mut new, &old);
        // The recording has placeholders for times.
        if new["eventTime"].is_string() && old["eventTime"].is_string() {
            new["eventTime"] = old["eventTime"].clone();
        }
        add_default_tolerations(&mut new, &old);
        kind.prepare_update(&mut new, &old, &context);
        let errors = kind.validate_update(&new, &old, &context);
        self.judge(step, kind, &new, Some(&old), errors)
    }

    fn judge(
        &self,
        step: &Step,
        kind: &Kind,
        object: &Value,
        old: Option<&Value>,
        errors: kuorum_kinds::field::Errors,
    ) -> Option<Vec<String>> {
        let mut problems = Vec::new();
        if step.status == 422 {
            let text = step.answer.to_string();
            if OTHER_CAUSES.iter().any(|cause| text.contains(cause)) {
                return None;
            }
            let causes: Vec<Value> = errors
                .iter()
                .map(|e| json!({"field": e.field, "reason": e.kind.reason(), "message": e.message}))
                .collect();
            let wanted = step.answer["details"]["causes"].as_array().cloned().unwrap_or_default();
            for (i, cause) in wanted.iter().enumerate() {
                match causes.get(i).cloned() {
                    Some(mut mine) => {
                        // A scenario leaves out a text that says more of the recorder's Go than of the rule.
                        if cause.get("message").is_none() {
                            drop(&mut mine, "message");
                        }
                        differences(&mine, cause, &format!("cause {i}"), &mut problems);
                    }
                    None => problems.push(format!("cause {i} missing: {} {}", cause["field"], cause["message"])),
                }
            }
            for extra in causes.iter().skip(wanted.len()) {
                problems.push(format!("unexpected cause {} {}", extra["field"], extra["message"]));
            }
            return Some(problems);
        }
        if !step.answer.is_object() {
            return None;
        }
        for error in errors {
            problems.push(format!("unexpected error: {}", error.full()));
        }
        let mut json = Vec::new();
        kuorum_schema::codec::encode(object, &kind.schema, &mut json);
        let mut mine: Value = serde_json::from_slice(&json).expect("the encoder writes JSON");
        let mut answer = step.answer.clone();
        for path in OTHERS {
            drop(&mut mine, path);
            drop(&mut answer, path);
        }
        differences(&mine, &answer, "", &mut problems);
        let mut warnings: Vec<String> = kind.warnings(object, old).iter().map(|w| format!("{w:?}")).collect();
        warnings.dedup();
        let theirs: Vec<&String> = step
            .warnings
            .iter()
            .filter(|w| {
                !w.starts_with("\"unknown field") && !w.starts_with("\"duplicate field") && !w.starts_with("\"line")
            })
            .collect();
        if !warnings.iter().eq(theirs.iter().copied()) && !theirs.iter().any(|w| w.contains("PodSecurity")) {
            problems.push(format!("warnings {warnings:?}, want {theirs:?}"));
        }
        Some(problems)
    }

    fn table(&mut self, step: &Step, target: &Target) -> Option<Vec<String>> {
        let kind = &target.kind;
        let printer = kind.table();
        let mut problems = Vec::new();
        let columns: Vec<Value> = printer
            .columns
            .iter()
            .map(|c| {
                json!({"name": c.name, "type": c.kind, "format": c.format, "description": c.description(),
                       "priority": c.priority})
            })
            .collect();
        if let Some(answer) = step.answer["columnDefinitions"].as_array() {
            differences(&columns.into(), &answer.clone().into(), "columns", &mut problems);
        }
        for row in step.answer["rows"].as_array().into_iter().flatten() {
            let at = printer.columns.iter().position(|c| c.name == "Name")?;
            let name = row["cells"][at].as_str().unwrap_or("").trim_end_matches(" (default)").to_owned();
            let Some(stored) = self.objects.get(&Self::key(target, &name)) else { continue };
            let mut object = stored.clone();
            kind.from_storage(&mut object);
            let now = 1_784_000_000;
            let cells = (printer.cells)(&object, now);
            let mut cells: Value = cells.into();
            for (i, column) in printer.columns.iter().enumerate() {
                // Grows while time passes.
                if column.name == "Duration" && cells[i] != "" {
                    cells[i] = row["cells"][i].clone();
                }
            }
            differences(&cells, &row["cells"], &format!("row {name}"), &mut problems);
        }
        Some(problems)
    }
}

/// Plugins run again on an update and come to the same result.
fn keep_what_admission_sets(new: &mut Value, old: &Value) {
    for key in ["tolerations", "priority", "preemptionPolicy"] {
        if let (Some(spec), Some(value)) = (new.get_mut("spec"), old["spec"].get(key))
            && old["kind"] == "Pod"
            && spec.get(key).is_none()
        {
            spec[key] = value.clone();
        }
    }
}

/// The tolerations that every pod gets, also one whose update leaves them out.
fn add_default_tolerations(new: &mut Value, old: &Value) {
    let ours = |t: &Value| t["key"].as_str().is_some_and(|key| key.starts_with("node.kubernetes.io/"));
    let kept: Vec<Value> =
        old["spec"]["tolerations"].as_array().into_iter().flatten().filter(|t| ours(t)).cloned().collect();
    if let Some(list) = new["spec"]["tolerations"].as_array_mut()
        && old["kind"] == "Pod"
        && !list.iter().any(ours)
    {
        list.extend(kept);
    }
}

fn decode(kind: &Kind, body: &Value) -> Option<Value> {
    let filled: Value = serde_json::from_str(&fill(&body.to_string())).ok()?;
    kuorum_schema::codec::decode_value(&filled, &kind.schema).ok().map(|decoded| decoded.value)
}

fn drop(object: &mut Value, path: &str) {
    if let (Some(rest), Some(items)) = (path.strip_prefix("*."), object.as_array_mut()) {
        for item in items {
            drop(item, rest);
        }
        return;
    }
    match path.split_once('.') {
        Some((head, rest)) => {
            if let Some(inner) = object.get_mut(head) {
                drop(inner, rest);
            }
        }
        None => {
            if let Some(map) = object.as_object_mut() {
                map.remove(path);
            }
        }
    }
}

fn run(prefixes: &[&str]) -> Report {
    let registry = Registry::builtin().expect("schemas");
    let mut total = Report::default();
    for name in scenario::names(prefixes) {
        let mut replay =
            Replay { registry: &registry, name: &name, objects: HashMap::new(), report: Report::default() };
        for (number, step) in scenario::read(&name).iter().enumerate() {
            replay.step(number, step);
        }
        let report = replay.report;
        println!("{name}: {} compared, {} skipped, {} differ", report.compared, report.skipped, report.failures.len());
        total.compared += report.compared;
        total.skipped += report.skipped;
        total.failures.extend(report.failures);
    }
    println!("total: {} compared, {} skipped, {} differ", total.compared, total.skipped, total.failures.len());
    total
}

/// What is known to differ, with the reason: `scenario steps reason`, where steps are numbers or `*`.
const KNOWN: &str = include_str!("differs.txt");

/// Fails if a step differs that is not known to, or one that is known to no longer does.
fn check(prefixes: &[&str]) {
    let report = run(prefixes);
    let known: Vec<(&str, &str)> = KNOWN
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?))
        })
        .filter(|(scenario, _)| prefixes.iter().any(|prefix| scenario.starts_with(prefix)))
        .collect();
    let is_known = |failure: &Failure| {
        known.iter().any(|(scenario, steps)| {
            *scenario == failure.scenario
                && (*steps == "*" || steps.split(',').any(|step| step == failure.step.to_string()))
        })
    };
    let mut unexpected = 0;
    let verbose = std::env::var_os("KUORUM_ORACLE_VERBOSE").is_some();
    for failure in &report.failures {
        unexpected += usize::from(!is_known(failure));
        if verbose || !is_known(failure) {
            println!("{}", failure.text);
        }
    }
    let mut outdated = Vec::new();
    for (scenario, steps) in &known {
        let failed = |step: &str| {
            report.failures.iter().any(|f| f.scenario == *scenario && (step == "*" || f.step.to_string() == step))
        };
        outdated.extend(steps.split(',').filter(|step| !failed(step)).map(|step| format!("{scenario} {step}")));
    }
    assert_eq!(unexpected, 0, "{unexpected} of {} steps differ", report.compared);
    assert!(outdated.is_empty(), "no longer differ, to be struck from differs.txt: {outdated:?}");
}

#[test]
fn kinds_behave_as_recorded() {
    check(&["kind-"]);
}

#[test]
fn defaults_are_as_recorded() {
    check(&["defaults-"]);
}

#[test]
fn refusals_are_as_recorded() {
    check(&["validation-", "machinery-metadata-rules", "machinery-create-errors"]);
}
