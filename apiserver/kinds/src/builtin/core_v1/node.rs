//! Node.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::internal;
use crate::metadata::Pass;
use crate::path::Path;
use crate::row::SelectableField;
use crate::rules::{invalid_each, required_one_of};
use crate::table::{self, AGE, NAME};
use crate::value::{entries, flag, get, is_set, items, set, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_update: Some(prepare_update),
    keeps_status: true,
    prepare_create: Some(|node, _| drop_config_source(node, None)),
    validate_create: Some(|node, _| validate(node)),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    update_metadata: &[Pass::Create, Pass::Update],
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
    if context.subresource.is_empty() {
        drop_config_source(new, Some(old));
    }
}

/// A dynamic kubelet configuration can no longer be set, only removed.
fn drop_config_source(node: &mut Value, old: Option<&Value>) {
    if old.is_none_or(|old| !is_set(old, "spec.configSource"))
        && let Some(spec) = crate::value::existing(node, "spec")
    {
        crate::value::remove(spec, "configSource");
    }
}

fn validate(node: &Value) -> Errors {
    let mut errors = Errors::new();
    taints(node, &mut errors);
    amounts(node, &mut errors);
    pod_cidrs(node, &mut errors);
    errors
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Errors {
    // The main resource is looked at as if it were new, and then as a change.
    let mut errors = if context.subresource.is_empty() { validate(new) } else { Errors::new() };
    amounts(new, &mut errors);
    let list = Path::new("status.addresses");
    let addresses = items(new, "status.addresses");
    for (i, address) in addresses.iter().enumerate().filter(|(i, address)| addresses[..*i].contains(address)) {
        errors.push(FieldError::duplicate_shown(list.index(i), &internal::show("NodeAddress", address)));
    }
    unchanged(new, old, &mut errors);
    taints(new, &mut errors);
    if flag(new, "spec.externalID") != flag(old, "spec.externalID") {
        errors.push(FieldError::forbidden("spec.externalID", "may not be updated"));
    }
    errors
}

fn unchanged(new: &Value, old: &Value, errors: &mut Errors) {
    let (after, before) = (items(new, "spec.podCIDRs"), items(old, "spec.podCIDRs"));
    let refused =
        || FieldError::forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid");
    if !before.is_empty() && after.len() != before.len() {
        errors.push(refused());
    } else {
        errors.extend(before.iter().zip(after).filter(|(before, after)| before != after).map(|_| refused()));
    }
    let provider = text(old, "spec.providerID");
    if !provider.is_empty() && provider != text(new, "spec.providerID") {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.providerID", detail));
    }
}

fn amounts(node: &Value, errors: &mut Errors) {
    for list in ["capacity", "allocatable"] {
        let path = Path::new("status");
        let path = path.child(list);
        for (name, value) in entries(get(node, "status"), list) {
            crate::pod_template::validate::amount(name, value, &path.child(name), errors);
        }
    }
}

fn taints(node: &Value, errors: &mut Errors) {
    // kube-apiserver says `metadata` here.
    let list = Path::new("metadata.taints");
    let taints = items(node, "spec.taints");
    for (i, taint) in taints.iter().enumerate() {
        let path = list.index(i);
        crate::metadata::validate_label_name(text(taint, "key"), &path.child("key"), errors);
        let value = text(taint, "value");
        let complaints = kuorum_schema::names::label_value(value);
        if !complaints.is_empty() {
            errors.push(FieldError::invalid(path.child("value"), &value.into(), &complaints.join(";")));
        }
        required_one_of(taint, "effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"], &path, errors);
        let same =
            |other: &Value| text(other, "key") == text(taint, "key") && text(other, "effect") == text(taint, "effect");
        if taints[..i].iter().any(same) {
            let shown = internal::show("Taint", taint);
            let detail = "taints must be unique by key and effect pair";
            errors.push(FieldError::duplicate_why(path, &shown, detail));
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
    if cidrs.len() < 2 {
        return;
    }
    let is_v6 = |cidr: &Value| cidr.as_str().is_some_and(|c| c.contains(':'));
    if cidrs.len() > 2 || is_v6(&cidrs[0]) == is_v6(&cidrs[1]) {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(FieldError::invalid(list, get(node, "spec.podCIDRs"), detail));
    }
    for (i, cidr) in cidrs.iter().enumerate().filter(|(i, cidr)| cidrs[..*i].contains(cidr)) {
        errors.push(FieldError::duplicate(list.index(i), cidr));
    }
}
