//! What is wrong with a pod spec, in the order in which kube-apiserver says it.

pub mod annotations;
mod containers;
mod env;
mod probes;
mod resource_lists;
mod scheduling;
mod security;
pub mod volumes;

use std::collections::HashSet;

use kuorum_schema::names;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::metadata;
use crate::path::Path;
use crate::rules::{invalid_each, required_one_of};
use crate::value::{flag, get, int, is_set, items, text};

/// Most bytes of all DNS search domains together, and most of them, as resolvers take.
const DNS_SEARCH_BYTES_MAX: usize = 2048;
const DNS_SEARCHES_MAX: usize = 32;
const DNS_NAMESERVERS_MAX: usize = 3;

/// Complaints about a plain resource list.
pub fn resource_list(list: &Value, path: &Path, errors: &mut Errors) {
    resource_lists::list(list, path, errors);
}

/// Whether a resource is one that somebody else than Kubernetes named.
pub fn is_extended_resource(name: &str) -> bool {
    resource_lists::is_extended(name)
}

/// Complaints about an amount of a resource: not negative, and whole where it is counted.
pub fn amount(name: &str, value: &Value, path: &Path, errors: &mut Errors) {
    resource_lists::amount(name, value, path, errors);
}

/// Complaints about tolerations.
pub fn tolerations(list: &[Value], path: &Path, errors: &mut Errors) {
    scheduling::tolerations(list, path, errors);
}

/// Complaints about a node selector.
pub fn node_selector(selector: &Value, path: &Path, errors: &mut Errors) {
    scheduling::node_selector(selector, path, errors);
}

/// A pod spec under validation, and what its parts need to know of each other.
pub(super) struct Spec<'a> {
    pub spec: &'a Value,
    pub volumes: HashSet<&'a str>,
    pub claims: Vec<&'a str>,
    pub grace_period_seconds: i64,
    /// A Pod, not a template of pods.
    pub is_pod: bool,
}

impl<'a> Spec<'a> {
    /// A volume that containers may use, by name.
    pub fn volume(&self, name: &str) -> Option<&'a Value> {
        let found = || items(self.spec, "volumes").iter().find(|volume| text(volume, "name") == name);
        if self.volumes.contains(name) { found() } else { None }
    }
}

/// Complaints about a pod's annotations and its spec, as it is created or as it is to be.
pub fn pod(pod: &Value, errors: &mut Errors) {
    let (meta, spec) = (get(pod, "metadata"), get(pod, "spec"));
    let path = Path::new("spec");
    annotations::validate(meta, spec, &Path::new("metadata.annotations"), errors);
    pod_spec(spec, meta, true, &path, errors);
    token_volumes(spec, &path, errors);
    containers::padded_images(spec, &path, errors);
}

/// A pod that is not bound to a service account has no tokens to project.
fn token_volumes(spec: &Value, path: &Path, errors: &mut Errors) {
    if is_set(spec, "serviceAccountName") {
        return;
    }
    let volumes = path.child("volumes");
    for (i, volume) in items(spec, "volumes").iter().enumerate() {
        let volume_path = volumes.index(i);
        let sources = volume_path.child("projected.sources");
        for (j, source) in items(volume, "projected.sources").iter().enumerate() {
            if get(source, "serviceAccountToken").is_object() {
                let detail = "must not be specified when serviceAccountName is not set";
                errors.push(FieldError::forbidden(sources.index(j).child("serviceAccountToken"), detail));
            }
        }
    }
}

/// Complaints about the spec at `path`; `meta` is the pod's or template's metadata.
fn pod_spec(spec: &Value, meta: &Value, is_pod: bool, path: &Path, errors: &mut Errors) {
    if get(spec, "terminationGracePeriodSeconds").is_null() {
        errors.push(FieldError::required(path.child("terminationGracePeriodSeconds"), ""));
    }
    let name = if is_pod { text(meta, "name") } else { "" };
    let volumes = volumes::all(items(spec, "volumes"), name, is_pod, &path.child("volumes"), errors);
    let pod = Spec {
        spec,
        volumes,
        claims: items(spec, "resourceClaims").iter().map(|c| text(c, "name")).collect(),
        grace_period_seconds: int(spec, "terminationGracePeriodSeconds").unwrap_or(30),
        is_pod,
    };
    resource_lists::claims(items(spec, "resourceClaims"), &path.child("resourceClaims"), errors);
    containers::all(&pod, path, errors);
    resource_lists::pod_level(&pod, path, errors);
    containers::host_network_ports(&pod, path, errors);
    required_one_of(spec, "restartPolicy", &["Always", "OnFailure", "Never"], path, errors);
    let dns_policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    required_one_of(spec, "dnsPolicy", &dns_policies, path, errors);
    metadata::validate_labels(get(spec, "nodeSelector"), &path.child("nodeSelector"), errors);
    security::pod(&pod, path, errors);
    scheduling::affinity(get(spec, "affinity"), &path.child("affinity"), errors);
    dns_config(spec, path, errors);
    readiness_gates(spec, path, errors);
    scheduling::gates(spec, path, errors);
    scheduling::spread(spec, path, errors);
    security::windows_host_process(spec, path, errors);
    security::host_users(spec, path, errors);
    names_and_limits(spec, path, errors);
    scheduling::tolerations(items(spec, "tolerations"), &path.child("tolerations"), errors);
    host_aliases(spec, path, errors);
    for (key, rule) in [
        ("priorityClassName", names::dns1123_subdomain as fn(&str) -> Vec<String>),
        ("runtimeClassName", names::dns1123_subdomain),
    ] {
        if is_set(spec, key) {
            invalid_each(path.child(key), text(spec, key), rule(text(spec, key)), errors);
        }
    }
    if !get(spec, "preemptionPolicy").is_null() {
        required_one_of(spec, "preemptionPolicy", &["PreemptLowerPriority", "Never"], path, errors);
    }
    if is_set(spec, "overhead") {
        resource_lists::overhead(get(spec, "overhead"), &path.child("overhead"), errors);
    }
    security::os(spec, path, errors);
    hostname_override(spec, path, errors);
}

/// Complaints about a pod template at `path`.
pub fn template(template: &Value, path: &Path, errors: &mut Errors) {
    let meta = get(template, "metadata");
    // kube-apiserver leaves `metadata` out of these two paths.
    metadata::validate_labels(get(meta, "labels"), &path.child("labels"), errors);
    metadata::validate_annotations(get(meta, "annotations"), &path.child("annotations"), errors);
    annotations::validate(meta, get(template, "spec"), &path.child("annotations"), errors);
    let spec_path = path.child("spec");
    pod_spec(get(template, "spec"), meta, false, &spec_path, errors);
    annotations::agree_with_fields(meta, get(template, "spec"), &spec_path, errors);
    if is_set(template, "spec.ephemeralContainers") {
        let detail = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(spec_path.child("ephemeralContainers"), detail));
    }
}

fn names_and_limits(spec: &Value, path: &Path, errors: &mut Errors) {
    for (key, rule) in [
        ("serviceAccountName", names::dns1123_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", names::dns1123_subdomain),
    ] {
        if is_set(spec, key) {
            invalid_each(path.child(key), text(spec, key), rule(text(spec, key)), errors);
        }
    }
    if let Some(seconds) = int(spec, "activeDeadlineSeconds")
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let detail = format!("must be between 1 and {}, inclusive", i32::MAX);
        errors.push(FieldError::invalid(path.child("activeDeadlineSeconds"), &seconds.into(), &detail));
    }
    for key in ["hostname", "subdomain"] {
        if is_set(spec, key) {
            invalid_each(path.child(key), text(spec, key), names::dns1123_label(text(spec, key)), errors);
        }
    }
}

fn hostname_override(spec: &Value, path: &Path, errors: &mut Errors) {
    let Some(name) = get(spec, "hostnameOverride").as_str() else { return };
    let field = path.child("hostnameOverride");
    if flag(spec, "setHostnameAsFQDN") {
        errors.push(FieldError::forbidden(field, "may not be specified when setHostnameAsFQDN is true"));
    }
    if flag(spec, "hostNetwork") {
        errors.push(FieldError::forbidden(field, "may not be specified when hostNetwork is true"));
    }
    if name.len() > 64 {
        errors.push(FieldError::invalid(field, &name.into(), "must be no more than 64 characters"));
    }
    invalid_each(field, name, names::dns1123_subdomain(name), errors);
}

fn dns_config(spec: &Value, path: &Path, errors: &mut Errors) {
    let config = get(spec, "dnsConfig");
    let field = path.child("dnsConfig");
    if text(spec, "dnsPolicy") == "None" && !is_set(config, "nameservers") {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        if config.is_null() {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            errors.push(FieldError::required(field, detail));
        } else {
            errors.push(FieldError::required(field.child("nameservers"), detail));
        }
        return;
    }
    let servers = items(config, "nameservers");
    if servers.len() > DNS_NAMESERVERS_MAX {
        let detail = format!("must not have more than {DNS_NAMESERVERS_MAX} nameservers");
        errors.push(FieldError::invalid(field.child("nameservers"), get(config, "nameservers"), &detail));
    }
    for (i, server) in servers.iter().enumerate() {
        let server = server.as_str().unwrap_or("");
        invalid_each(field.child("nameservers").index(i), server, names::ip_strict(server), errors);
    }
    let searches = items(config, "searches");
    if searches.len() > DNS_SEARCHES_MAX {
        let detail = format!("must not have more than {DNS_SEARCHES_MAX} search paths");
        errors.push(FieldError::invalid(field.child("searches"), get(config, "searches"), &detail));
    }
    let bytes: usize = searches.iter().filter_map(Value::as_str).map(|s| s.len() + 1).sum();
    if bytes > DNS_SEARCH_BYTES_MAX + 1 {
        let detail =
            format!("must not have more than {DNS_SEARCH_BYTES_MAX} characters (including spaces) in the search list");
        errors.push(FieldError::invalid(field.child("searches"), get(config, "searches"), &detail));
    }
    for (i, search) in searches.iter().enumerate() {
        let search = search.as_str().unwrap_or("");
        let name = search.strip_suffix('.').unwrap_or(search);
        if search != "." {
            let complaints = names::dns1123_subdomain_with_underscore(name);
            invalid_each(field.child("searches").index(i), name, complaints, errors);
        }
    }
    for (i, option) in items(config, "options").iter().enumerate() {
        if !is_set(option, "name") {
            errors.push(FieldError::required(field.child("options").index(i), "must not be empty"));
        }
    }
}

fn readiness_gates(spec: &Value, path: &Path, errors: &mut Errors) {
    for (i, gate) in items(spec, "readinessGates").iter().enumerate() {
        let kind = text(gate, "conditionType");
        let field = path.child("readinessGates");
        let field = field.index(i);
        invalid_each(field.child("conditionType"), kind, names::qualified_name(kind), errors);
    }
}

fn host_aliases(spec: &Value, path: &Path, errors: &mut Errors) {
    let field = path.child("hostAliases");
    for (i, alias) in items(spec, "hostAliases").iter().enumerate() {
        let field = field.index(i);
        let ip = text(alias, "ip");
        invalid_each(field.child("ip"), ip, names::ip_strict(ip), errors);
        for (j, name) in items(alias, "hostnames").iter().enumerate() {
            let name = name.as_str().unwrap_or("");
            invalid_each(field.child("hostnames").index(j), name, names::dns1123_subdomain(name), errors);
        }
    }
}
