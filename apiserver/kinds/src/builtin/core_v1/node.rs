//! Node.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::path::Path;
use crate::row::SelectableField;
use crate::rules::{invalid_each, required_one_of};
use crate::table::{self, AGE, NAME};
use crate::value::{child, entries, flag, get, is_set, items, set, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_update: Some(prepare_update),
    keeps_status: true,
    validate_create: Some(|node, _| validate(node)),
    validate_update: Some(
        |new, old, context| if context.subresource.is_empty() { validate_change(new, old) } else { Errors::new() },
    ),
    table: Some(TABLE),
    ..Hooks::NONE
};

pub const FIELDS: &[SelectableField] =
    &[SelectableField { name: "spec.unschedulable", value: |node| flag(node, "spec.unschedulable").to_string() }];

const INFO: &str = "io.k8s.api.core.v1.NodeSystemInfo";
const STATUS: &str = "io.k8s.api.core.v1.NodeStatus";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Status", "string", "The status of the node"),
        table::own("Roles", "string", "The roles of the node"),
        AGE,
        table::field("Version", "string", INFO, "kubeletVersion"),
        table::field("Internal-IP", "string", STATUS, "addresses").wide(),
        table::field("External-IP", "string", STATUS, "addresses").wide(),
        table::field("OS-Image", "string", INFO, "osImage").wide(),
        table::field("Kernel-Version", "string", INFO, "kernelVersion").wide(),
        table::field("Container-Runtime", "string", INFO, "containerRuntimeVersion").wide(),
    ],
    cells,
);

fn cells(node: &Value, now: i64) -> Vec<Value> {
    let or_unknown = |value: &str| if value.is_empty() { "<unknown>".to_owned() } else { value.to_owned() };
    let mut kernel = or_unknown(text(node, "status.nodeInfo.kernelVersion"));
    let architecture = text(node, "status.nodeInfo.architecture");
    if is_set(node, "status.nodeInfo.kernelVersion") && !architecture.is_empty() {
        kernel = format!("{kernel} ({architecture})");
    }
    vec![
        table::name(node),
        status(node).into(),
        roles(node).into(),
        table::age(node, now),
        text(node, "status.nodeInfo.kubeletVersion").into(),
        address(node, "InternalIP"),
        address(node, "ExternalIP"),
        or_unknown(text(node, "status.nodeInfo.osImage")).into(),
        kernel.into(),
        or_unknown(text(node, "status.nodeInfo.containerRuntimeVersion")).into(),
    ]
}

fn status(node: &Value) -> String {
    let ready = items(node, "status.conditions").iter().rfind(|c| text(c, "type") == "Ready");
    let mut shown = match ready.map(|c| text(c, "status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if flag(node, "spec.unschedulable") {
        shown.push_str(",SchedulingDisabled");
    }
    shown
}

fn roles(node: &Value) -> String {
    let mut roles: Vec<&str> = entries(node, "metadata.labels")
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

fn address(node: &Value, kind: &str) -> Value {
    let found = items(node, "status.addresses").iter().find(|a| text(a, "type") == kind);
    table::or_none(found.map_or("", |a| text(a, "address")))
}

fn default(node: &mut Value) {
    // podCIDR is the first of podCIDRs; either may be given.
    if let Some(spec) = crate::value::existing(node, "spec") {
        let single = text(spec, "podCIDR").to_owned();
        match items(spec, "podCIDRs").first().cloned() {
            None if !single.is_empty() => set(spec, "podCIDRs", vec![Value::from(single)]),
            Some(first) if single.is_empty() => set(spec, "podCIDR", first),
            _ => {}
        }
    }
    if let Some(status) = crate::value::existing(node, "status")
        && !is_set(status, "allocatable")
        && is_set(status, "capacity")
    {
        let capacity = get(status, "capacity").clone();
        set(status, "allocatable", capacity);
    }
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource == "status" {
        return;
    }
    // A dynamic kubelet configuration can no longer be set, only removed.
    if !is_set(old, "spec.configSource")
        && let Some(spec) = child(new, "spec")
    {
        crate::value::remove(spec, "configSource");
    }
}

fn validate(node: &Value) -> Errors {
    let mut errors = Errors::new();
    taints(node, &mut errors);
    pod_cidrs(node, &mut errors);
    errors
}

fn taints(node: &Value, errors: &mut Errors) {
    // kube-apiserver says `metadata` here.
    let list = Path::new("metadata.taints");
    let taints = items(node, "spec.taints");
    for (i, taint) in taints.iter().enumerate() {
        let path = list.index(i);
        crate::metadata::validate_label_name(text(taint, "key"), &path.child("key"), errors);
        let value = text(taint, "value");
        invalid_each(path.child("value"), value, kuorum_schema::names::label_value(value), errors);
        required_one_of(taint, "effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"], &path, errors);
        let same =
            |other: &Value| text(other, "key") == text(taint, "key") && text(other, "effect") == text(taint, "effect");
        if taints[..i].iter().any(same) {
            let shown = format!("taints must be unique by key and effect pair: {}", text(taint, "key"));
            errors.push(FieldError::duplicate(path, &shown.into()));
        }
    }
}

fn pod_cidrs(node: &Value, errors: &mut Errors) {
    let list = Path::new("spec.podCIDRs");
    let cidrs = items(node, "spec.podCIDRs");
    for (i, cidr) in cidrs.iter().enumerate() {
        let text = cidr.as_str().unwrap_or("");
        invalid_each(list.index(i), text, kuorum_schema::names::cidr_strict(text), errors);
    }
    let is_v6 = |cidr: &Value| cidr.as_str().is_some_and(|c| c.contains(':'));
    if cidrs.len() > 2 || (cidrs.len() == 2 && is_v6(&cidrs[0]) == is_v6(&cidrs[1])) {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(FieldError::invalid(list, get(node, "spec.podCIDRs"), detail));
    }
}

fn validate_change(new: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    taints(new, &mut errors);
    for (key, shown) in [("podCIDRs", "podCIDR"), ("providerID", "providerID")] {
        let (after, before) = (get(get(new, "spec"), key), get(get(old, "spec"), key));
        if is_set(get(old, "spec"), key) && after != before {
            let detail = format!("node updates may not change {shown} except from \"\" to valid");
            errors.push(FieldError::forbidden(format!("spec.{key}"), &detail));
        }
    }
    errors
}
