//! Requests, limits and claims.

use kuorum_schema::names;
use serde_json::Value;

use super::Spec;
use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::pod_template::resources::{aggregate, is_pod_level, quantity};
use crate::rules::invalid_each;
use crate::value::{entries, get, is_set, items, text};

const STANDARD_FOR_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Resources without a domain that mean something somewhere in the API (quotas name more of them).
const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];
/// Resources that are counted.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Whether the name means something somewhere in the API.
fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether it is a resource that somebody else than Kubernetes named.
pub fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether more of it can be promised than there is.
fn is_overcommitable(name: &str) -> bool {
    is_native(name) && !name.starts_with("hugepages-")
}

/// The `resources` of a container.
pub fn requirements(resources: &Value, claim_names: &[&str], path: &Path, errors: &mut Errors) {
    if !resources.is_object() {
        return;
    }
    let limits_path = path.child("limits");
    let requests_path = path.child("requests");
    let limits = get(resources, "limits");
    let mut huge_pages = false;
    let mut cpu_or_memory = false;
    for (name, value) in entries(resources, "limits") {
        container_resource(name, value, &limits_path.key(name), errors);
        huge_page_size(name, value, &limits_path, errors);
        huge_pages |= name.starts_with("hugepages-");
        cpu_or_memory |= name == "cpu" || name == "memory";
    }
    for (name, value) in entries(resources, "requests") {
        container_resource(name, value, &requests_path.key(name), errors);
        let limit = limits.get(name);
        match (limit, quantity(value)) {
            (Some(limit), Some(request)) => {
                let Some(bound) = quantity(limit) else { continue };
                if !is_overcommitable(name) && request != bound {
                    let detail = format!("must be equal to {name} limit of {}", bound.canonical());
                    errors.push(FieldError::invalid(requests_path, &request.canonical().into(), &detail));
                } else if is_overcommitable(name) && request > bound {
                    let detail = format!("must be less than or equal to {name} limit of {}", bound.canonical());
                    errors.push(FieldError::invalid(requests_path, &request.canonical().into(), &detail));
                }
            }
            (None, _) if !is_overcommitable(name) => {
                let detail = "Limit must be set for non overcommitable resources";
                errors.push(FieldError::required(limits_path, detail));
            }
            _ => {}
        }
        huge_page_size(name, value, &requests_path, errors);
        huge_pages |= name.starts_with("hugepages-");
        cpu_or_memory |= name == "cpu" || name == "memory";
    }
    if huge_pages && !cpu_or_memory {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
    container_claims(items(resources, "claims"), claim_names, &path.child("claims"), errors);
}

/// One entry of a container's resource list.
fn container_resource(name: &str, value: &Value, path: &Path, errors: &mut Errors) {
    let complaints = names::qualified_name(name);
    let well_formed = complaints.is_empty();
    invalid_each(*path, name, complaints, errors);
    if well_formed && !name.contains('/') && !is_standard(name) {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path, &name.into(), detail));
    }
    if !name.contains('/') {
        if !STANDARD_FOR_CONTAINERS.contains(&name) && !name.starts_with("hugepages-") {
            errors.push(FieldError::invalid(path, &name.into(), "must be a standard resource for containers"));
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.push(FieldError::invalid(path, &name.into(), "doesn't follow extended resource name standard"));
    }
    amount(name, value, path, errors);
}

pub fn amount(name: &str, value: &Value, path: &Path, errors: &mut Errors) {
    let Some(parsed) = quantity(value) else { return };
    if parsed.sign() < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(path, &parsed.canonical().into(), detail));
    }
    let whole = is_extended(name) || COUNTED.contains(&name);
    if whole && parsed.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(path, &parsed.canonical().into(), "must be an integer"));
    }
}

fn huge_page_size(name: &str, value: &Value, path: &Path, errors: &mut Errors) {
    let Some(size) = name.strip_prefix("hugepages-") else { return };
    let (Some(amount), Some(page)) = (quantity(value), quantity(&size.into())) else { return };
    if page.value() > 0 && amount.value() % page.value() != 0 {
        let shown = amount.canonical();
        let detail = format!("{shown} is not positive integer multiple of {name}");
        errors.push(FieldError::invalid(path.key(name), &shown.into(), &detail));
    }
}

/// What a pod needs besides its containers: a list of limits.
pub fn overhead(list: &Value, path: &Path, errors: &mut Errors) {
    let limits = path.child("limits");
    for (name, value) in list.as_object().into_iter().flatten() {
        container_resource(name, value, &limits.key(name), errors);
        huge_page_size(name, value, &limits, errors);
    }
}

fn container_claims(claims: &[Value], known: &[&str], path: &Path, errors: &mut Errors) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (i, claim) in claims.iter().enumerate() {
        let at = path.index(i);
        let (name, request) = (text(claim, "name"), text(claim, "request"));
        if name.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        if seen.contains(&(name, "")) {
            // All requests of the claim are there already.
            errors.push(FieldError::duplicate(at, &name.into()));
        } else {
            if !request.is_empty() {
                invalid_each(at.child("request"), request, names::dns1123_label(request), errors);
            }
            if seen.contains(&(name, request)) {
                errors.push(FieldError::duplicate(at, &format!("{name}/{request}").into()));
            } else if request.is_empty() {
                for _ in seen.iter().filter(|(other, _)| *other == name) {
                    errors.push(FieldError::duplicate(at, &name.into()));
                }
            }
            seen.push((name, request));
        }
        if !known.contains(&name) {
            let mut names: Vec<&str> = known.to_vec();
            names.sort_unstable();
            names.dedup();
            let which = if names.is_empty() { " which is empty".to_owned() } else { format!(": {}", names.join(", ")) };
            let detail = format!("must be one of the names in pod.spec.resourceClaims{which}");
            errors.push(FieldError::not_found_why(at, &name.into(), &detail));
        }
    }
}

/// `spec.resourceClaims` of a pod.
pub fn claims(claims: &[Value], path: &Path, errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for (i, claim) in claims.iter().enumerate() {
        let at = path.index(i);
        let name = text(claim, "name");
        if name.is_empty() {
            errors.push(FieldError::required(at.child("name"), ""));
        } else if seen.contains(&name) {
            errors.push(FieldError::duplicate(at.child("name"), &name.into()));
        } else {
            invalid_each(at.child("name"), name, names::dns1123_label(name), errors);
            seen.push(name);
        }
        let sources = ["resourceClaimName", "resourceClaimTemplateName"];
        let set = sources.map(|s| !get(claim, s).is_null());
        let shown = || crate::internal::show("PodResourceClaim", claim);
        if set == [true, true] {
            let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
            errors.push(FieldError::invalid_shown(at, &shown(), detail));
        } else if set == [false, false] {
            let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
            errors.push(FieldError::invalid_shown(at, &shown(), detail));
        }
        for source in sources {
            if let Some(value) = get(claim, source).as_str() {
                invalid_each(at.child(source), value, names::dns1123_subdomain(value), errors);
            }
        }
    }
}

/// `spec.resources` of a pod: bounds for all containers together.
pub fn pod_level(pod: &Spec, path: &Path, errors: &mut Errors) {
    let resources = get(pod.spec, "resources");
    if !resources.is_object() {
        return;
    }
    let path = path.child("resources");
    if text(pod.spec, "os.name") == "windows" {
        errors.push(FieldError::forbidden(path, "may not be set for a windows pod"));
        return;
    }
    if is_set(resources, "claims") {
        let detail = "claims may not be set for Resources at pod-level";
        errors.push(FieldError::forbidden(path.child("claims"), detail));
    }
    for list in ["limits", "requests"] {
        let at = path.child(list);
        for (name, _) in entries(resources, list).filter(|(name, _)| !is_pod_level(name)) {
            let known = ["cpu", "hugepages-", "memory"];
            errors.push(FieldError::not_supported(at.key(name), &name.into(), &known));
        }
    }
    requirements_of_pod(resources, &pod.claims, &path, errors);
    let requests = aggregate(pod.spec, "requests");
    for (name, total) in &requests {
        if let Some(bound) = get(resources, "requests").get(name).and_then(quantity)
            && *total > bound
        {
            let detail =
                format!("must be greater than or equal to aggregate container requests of {}", total.canonical());
            errors.push(FieldError::invalid(path.child("requests").key(name), &bound.canonical().into(), &detail));
        }
    }
    for (i, container) in items(pod.spec, "containers").iter().enumerate() {
        for (name, value) in entries(get(container, "resources"), "limits") {
            let bound = get(resources, "limits").get(name).and_then(quantity);
            if let (Some(limit), Some(bound)) = (quantity(value), bound)
                && limit > bound
            {
                let containers = path.child("containers");
                let at = containers.index(i);
                let detail = format!("must be less than or equal to pod limits of {}", bound.canonical());
                errors.push(FieldError::invalid(at.key(name).child("limits"), &limit.canonical().into(), &detail));
            }
        }
    }
}

fn requirements_of_pod(resources: &Value, claims: &[&str], path: &Path, errors: &mut Errors) {
    let requests_path = path.child("requests");
    for (name, value) in entries(resources, "requests") {
        if let (Some(request), Some(bound)) = (quantity(value), get(resources, "limits").get(name).and_then(quantity))
            && request > bound
        {
            let detail = format!("must be less than or equal to {name} limit of {}", bound.canonical());
            errors.push(FieldError::invalid(requests_path, &request.canonical().into(), &detail));
        }
    }
    container_claims(items(resources, "claims"), claims, &path.child("claims"), errors);
}

/// A plain resource list (overhead, quotas).
pub fn list(list: &Value, path: &Path, errors: &mut Errors) {
    for (name, value) in list.as_object().into_iter().flatten() {
        invalid_each(path.key(name), name, names::qualified_name(name), errors);
        amount(name, value, &path.key(name), errors);
    }
}
