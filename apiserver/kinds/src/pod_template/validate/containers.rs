//! Containers: names, images, ports, mounts, handlers.

use std::collections::HashSet;

use kuorum_schema::names;
use serde_json::Value;

use super::{Spec, env, probes, resource_lists, security};
use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::rules::{invalid_each, one_of, optional_one_of, required, required_one_of};
use crate::value::{flag, get, int, is_set, items, text};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// What an ephemeral container has no use for, in the order of Go's struct.
const NOT_EPHEMERAL: [&str; 9] = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// All containers of the pod; names are unique over all three lists.
pub fn all(pod: &Spec, path: &Path, errors: &mut Errors) {
    let mut names: HashSet<&str> = HashSet::new();
    let field = path.child("containers");
    let list = items(pod.spec, "containers");
    if list.is_empty() {
        errors.push(FieldError::required(field, ""));
        return later_lists(pod, &mut names, path, errors);
    }
    for (i, item) in list.iter().enumerate() {
        let field = field.index(i);
        container(pod, item, &field, errors);
        duplicate_name(item, &mut names, &field, errors);
        lifecycle(pod, item, &field, errors);
        probes::all(item, pod.grace_period_seconds, &field, errors);
        restart_policy(item, &field, errors);
    }
    host_ports(list, &field, errors);
    later_lists(pod, &mut names, path, errors);
}

fn later_lists<'a>(pod: &Spec<'a>, names: &mut HashSet<&'a str>, path: &Path, errors: &mut Errors) {
    let list = path.child("initContainers");
    for (i, item) in items(pod.spec, "initContainers").iter().enumerate() {
        let field = list.index(i);
        container(pod, item, &field, errors);
        restart_policy(item, &field, errors);
        duplicate_name(item, names, &field, errors);
        // They run one after another, so each is checked alone, under the index 0.
        host_ports(std::slice::from_ref(item), &list, errors);
        if text(item, "restartPolicy") == "Always" {
            lifecycle(pod, item, &field, errors);
            probes::all(item, pod.grace_period_seconds, &field, errors);
        } else {
            for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if !get(item, key).is_null() {
                    let detail = "may not be set for init containers without restartPolicy=Always";
                    errors.push(FieldError::forbidden(field.child(key), detail));
                }
            }
        }
    }
    let field = path.child("ephemeralContainers");
    for (i, item) in items(pod.spec, "ephemeralContainers").iter().enumerate() {
        ephemeral(pod, item, names, &field.index(i), errors);
    }
}

fn duplicate_name<'a>(item: &'a Value, names: &mut HashSet<&'a str>, field: &Path, errors: &mut Errors) {
    let name = text(item, "name");
    if !name.is_empty() && !names.insert(name) {
        errors.push(FieldError::duplicate(field.child("name"), &name.into()));
    }
}

fn ephemeral<'a>(pod: &Spec<'a>, item: &'a Value, names: &mut HashSet<&'a str>, field: &Path, errors: &mut Errors) {
    container(pod, item, field, errors);
    padded_image(item, field, errors);
    duplicate_name(item, names, field, errors);
    let target = text(item, "targetContainerName");
    let known = |list: &str| items(pod.spec, list).iter().any(|c| text(c, "name") == target);
    if !target.is_empty() && !known("containers") && !known("initContainers") {
        errors.push(FieldError::not_found(field.child("targetContainerName"), &target.into()));
    }
    for key in NOT_EPHEMERAL {
        if is_set(item, key) {
            errors.push(FieldError::forbidden(field.child(key), "cannot be set for an Ephemeral Container"));
        }
    }
    for (i, mount) in items(item, "volumeMounts").iter().enumerate() {
        for key in ["subPath", "subPathExpr"] {
            if is_set(mount, key) {
                let detail = "cannot be set for an Ephemeral Container";
                errors.push(FieldError::forbidden(field.child("volumeMounts").index(i).child(key), detail));
            }
        }
    }
}

fn container(pod: &Spec, item: &Value, field: &Path, errors: &mut Errors) {
    let name = text(item, "name");
    if name.is_empty() {
        errors.push(FieldError::required(field.child("name"), ""));
    } else {
        invalid_each(field.child("name"), name, names::dns1123_label(name), errors);
    }
    required(item, "image", field, errors);
    let policies = ["File", "FallbackToLogsOnError"];
    required_one_of(item, "terminationMessagePolicy", &policies, field, errors);
    ports(item, &field.child("ports"), errors);
    env::all(item, field, errors);
    mounts(pod, item, field, errors);
    devices(pod, item, field, errors);
    required_one_of(item, "imagePullPolicy", &["Always", "IfNotPresent", "Never"], field, errors);
    resource_lists::requirements(get(item, "resources"), &pod.claims, &field.child("resources"), errors);
    resize_policy(pod, item, field, errors);
    security::container(pod, item, field, errors);
}

/// The images of a pod's main and init containers have no blanks around them; templates may have them.
pub fn padded_images(spec: &Value, path: &Path, errors: &mut Errors) {
    for list in ["containers", "initContainers"] {
        let field = path.child(list);
        for (i, item) in items(spec, list).iter().enumerate() {
            padded_image(item, &field.index(i), errors);
        }
    }
}

/// An image without blanks around it.
pub fn padded_image(item: &Value, field: &Path, errors: &mut Errors) {
    let image = text(item, "image");
    if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(field.child("image"), &image.into(), detail));
    }
}

/// On the host's network a host port is the container's port; a template may leave it open.
pub fn host_network_ports(pod: &Spec, path: &Path, errors: &mut Errors) {
    if !flag(pod.spec, "hostNetwork") {
        return;
    }
    for list in ["containers", "initContainers"] {
        let field = path.child(list);
        for (i, item) in items(pod.spec, list).iter().enumerate() {
            let field = field.index(i);
            let field = field.child("ports");
            for (j, port) in items(item, "ports").iter().enumerate() {
                let host = int(port, "hostPort").unwrap_or(0);
                if (pod.is_pod || host != 0) && host != int(port, "containerPort").unwrap_or(0) {
                    let detail = "must match `containerPort` when `hostNetwork` is true";
                    errors.push(FieldError::invalid(field.index(j).child("hostPort"), &host.into(), detail));
                }
            }
        }
    }
}

fn ports(item: &Value, field: &Path, errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for (i, port) in items(item, "ports").iter().enumerate() {
        let field = field.index(i);
        let name = text(port, "name");
        if !name.is_empty() {
            let complaints = names::port_name(name);
            if !complaints.is_empty() {
                invalid_each(field.child("name"), name, complaints, errors);
            } else if seen.contains(&name) {
                errors.push(FieldError::duplicate(field.child("name"), &name.into()));
            } else {
                seen.push(name);
            }
        }
        match int(port, "containerPort").unwrap_or(0) {
            0 => errors.push(FieldError::required(field.child("containerPort"), "")),
            _ => crate::rules::port(get(port, "containerPort"), field.child("containerPort"), errors),
        }
        if int(port, "hostPort").unwrap_or(0) != 0 {
            crate::rules::port(get(port, "hostPort"), field.child("hostPort"), errors);
        }
        required_one_of(port, "protocol", &PROTOCOLS, &field, errors);
    }
}

/// A host port can be given once per address and protocol.
fn host_ports(list: &[Value], field: &Path, errors: &mut Errors) {
    let mut seen: Vec<(&str, &str, i64)> = Vec::new();
    for (i, item) in list.iter().enumerate() {
        for (j, port) in items(item, "ports").iter().enumerate() {
            let number = int(port, "hostPort").unwrap_or(0);
            if number == 0 {
                continue;
            }
            let key = (text(port, "protocol"), text(port, "hostIP"), number);
            if seen.contains(&key) {
                let shown = format!("{}/{}/{number}", key.0, key.1);
                let container = field.index(i);
                let ports = container.child("ports");
                errors.push(FieldError::duplicate(ports.index(j).child("hostPort"), &shown.into()));
            }
            seen.push(key);
        }
    }
}

fn mounts(pod: &Spec, item: &Value, field: &Path, errors: &mut Errors) {
    let list = field.child("volumeMounts");
    let mut paths: HashSet<&str> = HashSet::new();
    for (i, mount) in items(item, "volumeMounts").iter().enumerate() {
        let field = list.index(i);
        let name = text(mount, "name");
        if name.is_empty() {
            errors.push(FieldError::required(field.child("name"), ""));
        }
        if !pod.volumes.contains(name) {
            errors.push(FieldError::not_found(field.child("name"), &name.into()));
        }
        let path = text(mount, "mountPath");
        if path.is_empty() {
            errors.push(FieldError::required(field.child("mountPath"), ""));
        }
        if !paths.insert(path) {
            errors.push(FieldError::invalid(field.child("mountPath"), &path.into(), "must be unique"));
        }
        let used = |device: &Value, key: &str, value: &str| text(device, key) == value && !value.is_empty();
        let devices = items(item, "volumeDevices");
        if devices.iter().any(|d| used(d, "name", name)) {
            let detail = "must not already exist in volumeDevices";
            errors.push(FieldError::invalid(field.child("name"), &name.into(), detail));
        }
        if devices.iter().any(|d| used(d, "devicePath", path)) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.push(FieldError::invalid(field.child("mountPath"), &path.into(), detail));
        }
        for key in ["subPath", "subPathExpr"] {
            let value = text(mount, key);
            if value.is_empty() {
                continue;
            }
            if key == "subPathExpr" && is_set(mount, "subPath") {
                let detail = "subPathExpr and subPath are mutually exclusive";
                errors.push(FieldError::invalid(field.child(key), &value.into(), detail));
            }
            super::volumes::local_descending_path(value, list.child(key), errors);
        }
        mount_options(item, mount, &list, errors);
    }
}

fn mount_options(item: &Value, mount: &Value, field: &Path, errors: &mut Errors) {
    if let Some(mode) = get(mount, "mountPropagation").as_str() {
        one_of(mount, "mountPropagation", &["Bidirectional", "HostToContainer", "None"], field, errors);
        if mode == "Bidirectional" && !flag(item, "securityContext.privileged") {
            let detail = "Bidirectional mount propagation is available only to privileged containers";
            errors.push(FieldError::forbidden(field.child("mountPropagation"), detail));
        }
    }
    if let Some(mode) = get(mount, "recursiveReadOnly").as_str() {
        let at = field.child("recursiveReadOnly");
        match mode {
            "Disabled" => {}
            "Enabled" | "IfPossible" => {
                if !flag(mount, "readOnly") {
                    errors.push(FieldError::forbidden(at, "may only be specified when readOnly is true"));
                }
                if !matches!(text(mount, "mountPropagation"), "" | "None") {
                    let detail = "may only be specified when mountPropagation is None or not specified";
                    errors.push(FieldError::forbidden(at, detail));
                }
            }
            other => {
                let known = ["Disabled", "Enabled", "IfPossible"];
                errors.push(FieldError::not_supported(at, &other.into(), &known));
            }
        }
    }
}

fn devices(pod: &Spec, item: &Value, field: &Path, errors: &mut Errors) {
    let field = field.child("volumeDevices");
    let mounts = items(item, "volumeMounts");
    let (mut names, mut paths): (HashSet<&str>, HashSet<&str>) = Default::default();
    for (i, device) in items(item, "volumeDevices").iter().enumerate() {
        let field = field.index(i);
        let (name, path) = (text(device, "name"), text(device, "devicePath"));
        let at_name = |detail: &str| FieldError::invalid(field.child("name"), &name.into(), detail);
        let at_path = |detail: &str| FieldError::invalid(field.child("devicePath"), &path.into(), detail);
        if name.is_empty() {
            errors.push(FieldError::required(field.child("name"), ""));
        } else if !names.insert(name) {
            errors.push(at_name("must be unique"));
        }
        match pod.volume(name) {
            None => errors.push(FieldError::not_found(field.child("name"), &name.into())),
            Some(volume) if get(volume, "persistentVolumeClaim").is_null() && get(volume, "ephemeral").is_null() => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(at_name(detail));
            }
            Some(_) => {}
        }
        if path.is_empty() {
            errors.push(FieldError::required(field.child("devicePath"), ""));
        }
        if paths.contains(path) {
            errors.push(at_path("must be unique"));
        }
        if path.split('/').any(|part| part == "..") {
            errors.push(at_path("can not contain backsteps ('..')"));
        } else {
            paths.insert(path);
        }
        if mounts.iter().any(|mount| text(mount, "name") == name) {
            errors.push(at_name("must not already exist in volumeMounts"));
        }
        if mounts.iter().any(|mount| text(mount, "mountPath") == path) {
            errors.push(at_path("must not already exist as a path in volumeMounts"));
        }
    }
}

fn resize_policy(pod: &Spec, item: &Value, field: &Path, errors: &mut Errors) {
    let field = field.child("resizePolicy");
    let never = text(pod.spec, "restartPolicy") == "Never";
    let mut seen: HashSet<&str> = HashSet::new();
    for (i, policy) in items(item, "resizePolicy").iter().enumerate() {
        let (resource, restart) = (text(policy, "resourceName"), text(policy, "restartPolicy"));
        if !seen.insert(resource) {
            errors.push(FieldError::duplicate(field.index(i), &resource.into()));
        }
        match resource {
            "cpu" | "memory" => {}
            "" => errors.push(FieldError::required(field, "")),
            other => errors.push(FieldError::not_supported(field, &other.into(), &["cpu", "memory"])),
        }
        match restart {
            "NotRequired" | "RestartContainer" => {}
            "" => errors.push(FieldError::required(field, "")),
            other => {
                errors.push(FieldError::not_supported(field, &other.into(), &["NotRequired", "RestartContainer"]));
            }
        }
        if never && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(field, &restart.into(), detail));
        }
    }
}

fn restart_policy(item: &Value, field: &Path, errors: &mut Errors) {
    optional_one_of(item, "restartPolicy", &["Always", "Never", "OnFailure"], field, errors);
    let rules = items(item, "restartPolicyRules");
    if rules.is_empty() {
        return;
    }
    if get(item, "restartPolicy").is_null() {
        let detail = "must specify restartPolicy when restart rules are used";
        errors.push(FieldError::required(field.child("restartPolicy"), detail));
    }
    let field = field.child("restartPolicyRules");
    for (i, rule) in rules.iter().enumerate() {
        let field = field.index(i);
        one_of(rule, "action", &["Restart", "RestartAllContainers"], &field, errors);
        if get(rule, "exitCodes").is_object() {
            let at = field.child("exitCodes");
            one_of(get(rule, "exitCodes"), "operator", &["In", "NotIn"], &at, errors);
        } else {
            errors.push(FieldError::required(field.child("exitCodes"), "must be specified"));
        }
    }
}

fn lifecycle(pod: &Spec, item: &Value, field: &Path, errors: &mut Errors) {
    let field = field.child("lifecycle");
    for hook in ["postStart", "preStop"] {
        let handler = get(get(item, "lifecycle"), hook);
        if !handler.is_object() {
            continue;
        }
        let field = field.child(hook);
        probes::handler(handler, &["exec", "httpGet", "tcpSocket", "sleep"], &field, errors);
        if let Some(seconds) = int(handler, "sleep.seconds") {
            let grace = pod.grace_period_seconds;
            if !(0..=grace).contains(&seconds) {
                let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                errors.push(FieldError::invalid(field.child("sleep"), &seconds.into(), &detail));
            }
        }
    }
}
