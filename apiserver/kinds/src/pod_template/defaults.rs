//! Defaults of a pod spec, in a Pod or in a template. What only Pods get is in `core_v1::pod`.

use serde_json::{Value, json};

use super::{image, resources, volumes};
use crate::value::{
    child, existing, flag, get, int, is_set, items_mut, set, set_default, set_default_int, set_default_text, text,
};

/// The three lists of containers of a pod spec.
pub const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Fills in a pod template (`metadata` and `spec`).
pub fn template(template: &mut Value) {
    if let Some(spec) = child(template, "spec") {
        pod_spec(spec);
    }
}

/// Fills in the pod template in `spec.template` of a workload's spec.
pub fn template_of(workload_spec: &mut Value) {
    if let Some(found) = child(workload_spec, "template") {
        template(found);
    }
}

/// Fills in a pod spec.
pub fn pod_spec(spec: &mut Value) {
    service_account_alias(spec);
    set_default_text(spec, "dnsPolicy", "ClusterFirst");
    set_default_text(spec, "restartPolicy", "Always");
    set_default(spec, "securityContext", json!({}));
    set_default(spec, "terminationGracePeriodSeconds", 30);
    set_default_text(spec, "schedulerName", "default-scheduler");
    let host_network = flag(spec, "hostNetwork");
    for volume in items_mut(spec, "volumes") {
        volumes::default(volume);
    }
    for list in CONTAINER_LISTS {
        for item in items_mut(spec, list) {
            container(item);
            if host_network && list != "ephemeralContainers" {
                host_ports(item);
            }
        }
    }
    resources::round_up(existing(spec, "overhead"));
    if let Some(pod_resources) = existing(spec, "resources") {
        resources::round_up(existing(pod_resources, "limits"));
        resources::round_up(existing(pod_resources, "requests"));
    }
}

/// `serviceAccount` is an old name of `serviceAccountName`; both are always shown.
fn service_account_alias(spec: &mut Value) {
    let name = match (text(spec, "serviceAccountName"), text(spec, "serviceAccount")) {
        ("", "") => return,
        ("", old) => old,
        (new, _) => new,
    }
    .to_owned();
    set(spec, "serviceAccountName", name.as_str());
    set(spec, "serviceAccount", name);
}

/// Fills in a container of any of the three lists.
pub fn container(container: &mut Value) {
    if !is_set(container, "imagePullPolicy") {
        let policy = image::default_pull_policy(text(container, "image"));
        set(container, "imagePullPolicy", policy);
    }
    set_default_text(container, "terminationMessagePath", "/dev/termination-log");
    set_default_text(container, "terminationMessagePolicy", "File");
    for port in items_mut(container, "ports") {
        set_default_text(port, "protocol", "TCP");
    }
    for variable in items_mut(container, "env") {
        if let Some(source) = existing(variable, "valueFrom") {
            if let Some(field) = existing(source, "fieldRef") {
                set_default_text(field, "apiVersion", "v1");
            }
            if let Some(file) = existing(source, "fileKeyRef") {
                set_default(file, "optional", false);
            }
        }
    }
    if let Some(own) = existing(container, "resources") {
        resources::round_up(existing(own, "limits"));
        resources::round_up(existing(own, "requests"));
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = existing(container, name) {
            probe(found);
        }
    }
    if let Some(lifecycle) = existing(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(action) = existing(lifecycle, name).and_then(|handler| existing(handler, "httpGet")) {
                http_get(action);
            }
        }
    }
}

fn probe(probe: &mut Value) {
    set_default_int(probe, "timeoutSeconds", 1);
    set_default_int(probe, "periodSeconds", 10);
    set_default_int(probe, "successThreshold", 1);
    set_default_int(probe, "failureThreshold", 3);
    if let Some(action) = existing(probe, "httpGet") {
        http_get(action);
    }
    if let Some(action) = existing(probe, "grpc") {
        set_default(action, "service", "");
    }
}

fn http_get(action: &mut Value) {
    set_default_text(action, "path", "/");
    set_default_text(action, "scheme", "HTTP");
}

/// On the host's network a container port is a host port.
fn host_ports(container: &mut Value) {
    for port in items_mut(container, "ports") {
        if int(port, "hostPort").unwrap_or(0) == 0 {
            let number = get(port, "containerPort").clone();
            set(port, "hostPort", number);
        }
    }
}
