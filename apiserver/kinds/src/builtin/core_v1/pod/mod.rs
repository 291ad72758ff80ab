//! Pod.

mod prepare;
mod table;
mod validate;
mod warnings;

use serde_json::Value;

use crate::hooks::Hooks;
use crate::metadata::Pass;
use crate::pod_template::{defaults, resources};
use crate::row::SelectableField;
use crate::value::{child, flag, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare::create),
    prepare_update: Some(prepare::update),
    validate_create: Some(validate::create),
    validate_update: Some(validate::update),
    warnings: Some(warnings::warnings),
    table: Some(table::TABLE),
    update_metadata: &[Pass::Update, Pass::Create],
    ..Hooks::NONE
};

pub const FIELDS: &[SelectableField] = &[
    SelectableField { name: "spec.nodeName", value: node_name },
    // An alias from v1beta1 days that clients still send.
    SelectableField { name: "spec.host", value: node_name },
    SelectableField { name: "spec.restartPolicy", value: |pod| text(pod, "spec.restartPolicy").to_owned() },
    SelectableField { name: "spec.schedulerName", value: |pod| text(pod, "spec.schedulerName").to_owned() },
    SelectableField { name: "spec.serviceAccountName", value: |pod| text(pod, "spec.serviceAccountName").to_owned() },
    SelectableField { name: "spec.hostNetwork", value: |pod| flag(pod, "spec.hostNetwork").to_string() },
    SelectableField { name: "status.phase", value: |pod| text(pod, "status.phase").to_owned() },
    SelectableField { name: "status.podIP", value: |pod| text(pod, "status.podIP").to_owned() },
    // Accepted, but kube-apiserver has no value for it.
    SelectableField { name: "status.podIPs", value: |_| String::new() },
    SelectableField { name: "status.nominatedNodeName", value: |pod| text(pod, "status.nominatedNodeName").to_owned() },
];

fn node_name(pod: &Value) -> String {
    text(pod, "spec.nodeName").to_owned()
}

fn default(pod: &mut Value) {
    if let Some(spec) = child(pod, "spec") {
        defaults::pod_spec(spec);
        set_default(spec, "enableServiceLinks", true);
        resources::requests_from_limits(spec);
        resources::pod_level_requests(spec);
    }
    pod_ips(pod);
}

/// `status.podIP` is the first of `status.podIPs`; either may be given, and the former wins.
fn pod_ips(pod: &mut Value) {
    let Some(status) = crate::value::existing(pod, "status") else { return };
    let one = text(status, "podIP").to_owned();
    let first = crate::value::items(status, "podIPs").first().map(|entry| text(entry, "ip").to_owned());
    match first {
        Some(first) if one.is_empty() => crate::value::set(status, "podIP", first),
        first if !one.is_empty() && first.as_deref() != Some(one.as_str()) => {
            crate::value::set(status, "podIPs", vec![serde_json::json!({"ip": one})]);
        }
        _ => {}
    }
}
