//! What is wrong with a pod's status: addresses, states that do not follow one another, health of resources.

use std::net::IpAddr;

use kuorum_schema::names;
use serde_json::Value;

use super::template;
use crate::field::{Errors, FieldError};
use crate::internal;
use crate::path::Path;
use crate::rules::{invalid_each, one_of};
use crate::value::{entries, get, int, is_set, items, text};

const PATH: Path = Path::new("status");

/// Conditions that Kubernetes itself sets.
const SYSTEM_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];

/// The lists of container statuses, with the list of the containers that they are about.
const STATUSES: [(&str, &str); 3] = [
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
];

pub fn update(new: &Value, old: &Value, errors: &mut Errors) {
    template::annotations::unchanged(new, old, errors);
    template::annotations::validate(get(new, "metadata"), get(new, "spec"), &Path::new("metadata.annotations"), errors);
    let (status, before) = (get(new, "status"), get(old, "status"));
    conditions(status, errors);
    observed_generation(status, &PATH, errors);
    if text(new, "spec.nodeName") != text(old, "spec.nodeName") {
        errors.push(FieldError::forbidden("status.nodeName", "may not be changed directly"));
    }
    let nominated = text(status, "nominatedNodeName");
    if nominated != text(before, "nominatedNodeName") && !nominated.is_empty() {
        invalid_each(PATH.child("nominatedNodeName"), nominated, names::dns1123_subdomain(nominated), errors);
    }
    if text(status, "qosClass") != text(before, "qosClass") {
        errors.push(FieldError::invalid(
            PATH.child("qosClass"),
            &text(status, "qosClass").into(),
            "field is immutable",
        ));
    }
    for (list, _) in STATUSES {
        states(status, before, list, get(old, "spec"), errors);
    }
    claims(status, get(new, "spec"), errors);
    pod_ips(status, errors);
    host_ips(status, errors);
    for (list, _) in STATUSES {
        users(status, list, text(new, "spec.os.name"), errors);
    }
    for (list, containers) in STATUSES {
        allocated(status, list, items(get(new, "spec"), containers), errors);
    }
}

fn observed_generation(object: &Value, path: &Path, errors: &mut Errors) {
    if let Some(generation) = int(object, "observedGeneration").filter(|n| *n < 0) {
        let detail = "must be a non-negative integer";
        errors.push(FieldError::invalid(path.child("observedGeneration"), &generation.into(), detail));
    }
}

fn conditions(status: &Value, errors: &mut Errors) {
    let list = PATH.child("conditions");
    for (i, condition) in items(status, "conditions").iter().enumerate() {
        let path = list.index(i);
        observed_generation(condition, &path, errors);
        let kind = text(condition, "type");
        if !SYSTEM_CONDITIONS.contains(&kind) {
            invalid_each(path.child("Type"), kind, names::qualified_name(kind), errors);
        }
    }
}

/// Where containers are not restarted, one that has terminated stays so.
fn states(status: &Value, before: &Value, list: &str, spec: &Value, errors: &mut Errors) {
    let policy = match list {
        "ephemeralContainerStatuses" => "Never",
        _ => text(spec, "restartPolicy"),
    };
    if policy == "Always" {
        return;
    }
    let path = PATH.child(list);
    for (i, old) in items(before, list).iter().enumerate() {
        let terminated = get(old, "state.terminated");
        let name = text(old, "name");
        let sidecar = list == "initContainerStatuses"
            && items(spec, "initContainers")
                .iter()
                .any(|c| text(c, "name") == name && text(c, "restartPolicy") == "Always");
        let failed = int(terminated, "exitCode").unwrap_or(0) != 0;
        if !terminated.is_object() || (failed && policy == "OnFailure") || sidecar {
            continue;
        }
        for new in items(status, list) {
            if text(new, "name") == name && get(new, "state.terminated").is_null() {
                let detail = "may not be transitioned to non-terminated state";
                errors.push(FieldError::forbidden(path.index(i).child("state"), detail));
            }
        }
    }
}

fn claims(status: &Value, spec: &Value, errors: &mut Errors) {
    let path = PATH.child("resourceClaimStatuses");
    let list = items(status, "resourceClaimStatuses");
    for (i, claim) in list.iter().enumerate() {
        let at = path.index(i);
        let at = at.child("name");
        let name = text(claim, "name");
        if !items(spec, "resourceClaims").iter().any(|c| text(c, "name") == name) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(FieldError::invalid(at, &name.into(), detail));
        }
        if list[..i].iter().any(|c| text(c, "name") == name) {
            errors.push(FieldError::duplicate(at, &name.into()));
        }
        if let Some(made) = get(claim, "resourceClaimName").as_str() {
            invalid_each(at, made, names::dns1123_subdomain(made), errors);
        }
    }
}

/// One address of each family, all of them well-formed.
fn pod_ips(status: &Value, errors: &mut Errors) {
    let path = PATH.child("podIPs");
    let list = items(status, "podIPs");
    for (i, ip) in list.iter().enumerate() {
        invalid_each(path.index(i), text(ip, "ip"), names::ip_strict(text(ip, "ip")), errors);
    }
    if list.len() > 1 {
        one_of_each_family(list, &path, errors);
        duplicates(list, &path, errors);
    }
}

fn host_ips(status: &Value, errors: &mut Errors) {
    let path = PATH.child("hostIPs");
    let list = items(status, "hostIPs");
    if let Some(first) = list.first().map(|first| text(first, "ip"))
        && first != text(status, "hostIP")
    {
        errors.push(FieldError::invalid(path.index(0).child("ip"), &first.into(), "must be equal to `hostIP`"));
    }
    for (i, ip) in list.iter().enumerate() {
        invalid_each(path.index(i), text(ip, "ip"), names::ip_strict(text(ip, "ip")), errors);
    }
    if list.len() > 1 {
        duplicates(list, &path, errors);
        one_of_each_family(list, &path, errors);
    }
}

fn one_of_each_family(list: &[Value], path: &Path, errors: &mut Errors) {
    let mut families: Vec<bool> = Vec::new();
    for ip in list {
        match names::ip::parse_ip_sloppy(text(ip, "ip")) {
            Some(address) => families.push(matches!(address, IpAddr::V6(_))),
            None => {
                let detail = format!("failed to check for dual stack with error:invalid IP: {}", text(ip, "ip"));
                errors.push(FieldError::internal(path, &detail));
                break;
            }
        }
    }
    if families != [true, false] && families != [false, true] {
        let shown = internal::show_list("PodIP", &Value::Array(list.to_vec()));
        let detail = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid_shown(path, &shown, detail));
    }
}

fn duplicates(list: &[Value], path: &Path, errors: &mut Errors) {
    for (i, ip) in list.iter().enumerate() {
        if list[..i].iter().any(|earlier| text(earlier, "ip") == text(ip, "ip")) {
            errors.push(FieldError::duplicate_shown(path.index(i), &internal::show("PodIP", ip)));
        }
    }
}

fn users(status: &Value, list: &str, os: &str, errors: &mut Errors) {
    let path = PATH.child(list);
    for (i, container) in items(status, list).iter().enumerate() {
        let linux = get(container, "user.linux");
        let at = path.index(i);
        let at = at.child("linux");
        if !linux.is_object() {
            continue;
        }
        if os == "windows" {
            errors.push(FieldError::forbidden(at, "cannot be set for a windows pod"));
            continue;
        }
        for key in ["uid", "gid"] {
            let id = int(linux, key).unwrap_or(0);
            for complaint in names::unix_id(id) {
                errors.push(FieldError::invalid(at.child(key), &id.into(), &complaint));
            }
        }
        for (j, group) in items(linux, "supplementalGroups").iter().enumerate() {
            for complaint in names::unix_id(group.as_i64().unwrap_or(0)) {
                errors.push(FieldError::invalid(at.child("supplementalGroups").index(j), group, &complaint));
            }
        }
    }
}

/// The health of resources is told of those that the container asked for.
fn allocated(status: &Value, list: &str, containers: &[Value], errors: &mut Errors) {
    let path = PATH.child(list);
    for (i, of_container) in items(status, list).iter().enumerate() {
        let reports = items(of_container, "allocatedResourcesStatus");
        let at = path.index(i);
        let at = at.child("allocatedResourcesStatus");
        if list == "ephemeralContainerStatuses" {
            if !reports.is_empty() {
                errors.push(FieldError::forbidden(at, "must not be specified in container status"));
            }
            continue;
        }
        let container = containers.iter().find(|c| text(c, "name") == text(of_container, "name"));
        for (j, report) in reports.iter().enumerate() {
            let at = at.index(j);
            let name = text(report, "name");
            if let Some(container) = container {
                asked_for(name, container, &at.child("name"), errors);
            }
            let list = items(report, "resources");
            for (k, resource) in list.iter().enumerate() {
                let of_list = at.child("resources");
                let at = of_list.index(k);
                one_of(resource, "health", &["Healthy", "Unhealthy", "Unknown"], &at, errors);
                let id = get(resource, "resourceID");
                if list[..k].iter().any(|earlier| get(earlier, "resourceID") == id) {
                    errors.push(FieldError::duplicate(at.child("resourceID"), id));
                }
            }
        }
    }
}

fn asked_for(name: &str, container: &Value, path: &Path, errors: &mut Errors) {
    let resources = get(container, "resources");
    let (known, detail) = match name.strip_prefix("claim:") {
        Some(wanted) => (
            items(resources, "claims").iter().any(|claim| match is_set(claim, "request") {
                true => wanted == format!("{}/{}", text(claim, "name"), text(claim, "request")),
                false => wanted == text(claim, "name"),
            }),
            "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty",
        ),
        None => (
            entries(resources, "requests").any(|(request, _)| request == name),
            "must match one of the container's resource requests",
        ),
    };
    if !known {
        errors.push(FieldError::invalid(path, &name.into(), detail));
    }
}
