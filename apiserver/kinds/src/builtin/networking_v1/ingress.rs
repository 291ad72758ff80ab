//! Ingress.

use serde_json::Value;

use crate::builtin::core_v1::service::table::load_balancer;
use crate::builtin::core_v1::service::validate::load_balancer_point;
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::path::Path;
use crate::rules::invalid_each;
use crate::table::{self, AGE, NAME};
use crate::value::{get, is_set, items, text};

pub const HOOKS: Hooks = Hooks {
    validate_create: Some(|ingress, _| validate_create(ingress)),
    validate_update: Some(validate_update),
    table: Some(TABLE),
    ..Hooks::NONE
};

/// How many hosts a table shows.
const HOSTS_SHOWN_MAX: usize = 3;

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own(
            "Class",
            "string",
            "The name of the IngressClass resource that should be used for additional configuration",
        ),
        table::own("Hosts", "string", "Hosts that incoming requests are matched against before the ingress rule"),
        table::own("Address", "string", "Address is a list containing ingress points for the load-balancer"),
        table::own("Ports", "string", "Ports of TLS configurations that open"),
        AGE,
    ],
    |ingress, now| {
        let hosts = items(ingress, "spec.rules").iter().map(|rule| text(rule, "host")).filter(|host| !host.is_empty());
        let hosts = table::abbreviated(hosts, HOSTS_SHOWN_MAX);
        vec![
            table::name(ingress),
            table::or_none(text(ingress, "spec.ingressClassName")),
            if hosts.is_empty() { "*".into() } else { hosts.into() },
            load_balancer(ingress, "status.loadBalancer.ingress").into(),
            if is_set(ingress, "spec.tls") { "80, 443".into() } else { "80".into() },
            table::age(ingress, now),
        ]
    },
);

/// The class of an Ingress, which an old annotation can name too.
pub fn class(ingress: &Value) -> &str {
    match crate::value::get(ingress, "metadata.annotations").get("kubernetes.io/ingress.class") {
        Some(class) => class.as_str().unwrap_or(""),
        None => text(ingress, "spec.ingressClassName"),
    }
}

fn validate_create(ingress: &Value) -> Errors {
    let mut errors = Errors::new();
    validate(ingress, &mut errors);
    let annotated = get(ingress, "metadata.annotations").get("kubernetes.io/ingress.class");
    if let (Some(annotated), Some(named)) = (annotated, get(ingress, "spec.ingressClassName").as_str())
        && annotated != named
    {
        let detail = "must match `ingressClassName` when both are specified";
        errors.push(FieldError::invalid("annotations.kubernetes.io/ingress.class", annotated, detail));
    }
    errors
}

fn validate_update(new: &Value, _: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource == "status" {
        let list = Path::new("status.loadBalancer.ingress");
        for (i, point) in items(new, "status.loadBalancer.ingress").iter().enumerate() {
            load_balancer_point(point, &list.index(i), &mut errors);
        }
        return errors;
    }
    validate(new, &mut errors);
    errors
}

fn validate(ingress: &Value, errors: &mut Errors) {
    let spec = get(ingress, "spec");
    let path = Path::new("spec");
    let default = get(spec, "defaultBackend");
    if !is_set(spec, "rules") && !default.is_object() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(path, &Value::Null, detail));
    }
    if default.is_object() {
        backend(default, &path.child("defaultBackend"), errors);
    }
    let rules = path.child("rules");
    for (i, rule) in items(spec, "rules").iter().enumerate() {
        let path = rules.index(i);
        let host = text(rule, "host");
        if !host.is_empty() {
            if host.parse::<std::net::IpAddr>().is_ok() {
                let detail = "must be a DNS name, not an IP address";
                errors.push(FieldError::invalid(path.child("host"), &host.into(), detail));
            }
            host_name(host, path.child("host"), errors);
        }
        let paths = path.child("http.paths");
        let list = items(rule, "http.paths");
        if get(rule, "http").is_object() && list.is_empty() {
            errors.push(FieldError::required(paths, ""));
        }
        for (j, found) in list.iter().enumerate() {
            http_path(found, &paths.index(j), errors);
        }
    }
    let list = path.child("tls");
    for (i, tls) in items(spec, "tls").iter().enumerate() {
        let path = list.index(i);
        for (j, host) in items(tls, "hosts").iter().enumerate() {
            host_name(host.as_str().unwrap_or(""), path.child("hosts").index(j), errors);
        }
        let secret = text(tls, "secretName");
        if !secret.is_empty() {
            invalid_each(path.child("secretName"), secret, kuorum_schema::names::dns1123_subdomain(secret), errors);
        }
    }
    if let Some(class) = get(spec, "ingressClassName").as_str() {
        let complaints = kuorum_schema::names::dns1123_subdomain(class);
        invalid_each(path.child("ingressClassName"), class, complaints, errors);
    }
}

fn host_name(host: &str, path: Path, errors: &mut Errors) {
    let complaints = if host.contains('*') {
        kuorum_schema::names::wildcard_dns1123_subdomain(host)
    } else {
        kuorum_schema::names::dns1123_subdomain(host)
    };
    invalid_each(path, host, complaints, errors);
}

fn http_path(found: &Value, path: &Path, errors: &mut Errors) {
    let value = text(found, "path");
    let at = path.child("path");
    match text(found, "pathType") {
        "" => errors.push(FieldError::required(path.child("pathType"), "pathType must be specified")),
        "Exact" | "Prefix" => {
            if !value.starts_with('/') {
                errors.push(FieldError::invalid(at, &value.into(), "must be an absolute path"));
            }
            if !value.is_empty() {
                for part in ["//", "/./", "/../", "%2f", "%2F"] {
                    if value.contains(part) {
                        errors.push(FieldError::invalid(at, &value.into(), &format!("must not contain '{part}'")));
                    }
                }
                for end in ["/..", "/."] {
                    if value.ends_with(end) {
                        errors.push(FieldError::invalid(at, &value.into(), &format!("cannot end with '{end}'")));
                    }
                }
            }
        }
        "ImplementationSpecific" => {
            if !value.is_empty() && !value.starts_with('/') {
                errors.push(FieldError::invalid(at, &value.into(), "must be an absolute path"));
            }
        }
        other => {
            let known = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.push(FieldError::not_supported(path.child("pathType"), &other.into(), &known));
        }
    }
    backend(get(found, "backend"), &path.child("backend"), errors);
}

fn backend(backend: &Value, path: &Path, errors: &mut Errors) {
    let (resource, service) = (get(backend, "resource"), get(backend, "service"));
    match (resource.is_object(), service.is_object()) {
        (true, true) => {
            let detail = "cannot set both resource and service backends";
            errors.push(FieldError::invalid(path, &"".into(), detail));
        }
        (false, false) => {
            errors.push(FieldError::invalid(path, &"".into(), "resource or service backend is required"));
        }
        (true, false) => typed_reference(resource, &path.child("resource"), errors),
        (false, true) => service_backend(service, path, errors),
    }
}

fn typed_reference(reference: &Value, path: &Path, errors: &mut Errors) {
    if let Some(group) = get(reference, "apiGroup").as_str() {
        invalid_each(path.child("apiGroup"), group, kuorum_schema::names::dns1123_subdomain(group), errors);
    }
    for key in ["kind", "name"] {
        let value = text(reference, key);
        if value.is_empty() {
            errors.push(FieldError::required(path.child(key), ""));
        } else {
            invalid_each(path.child(key), value, kuorum_schema::names::path_segment_name(value), errors);
        }
    }
}

fn service_backend(service: &Value, path: &Path, errors: &mut Errors) {
    let at = path.child("service");
    let name = text(service, "name");
    if name.is_empty() {
        errors.push(FieldError::required(at.child("name"), ""));
    } else {
        invalid_each(at.child("name"), name, kuorum_schema::names::dns1123_label(name), errors);
    }
    let port_name = text(service, "port.name");
    let number = get(service, "port.number").as_i64().unwrap_or(0);
    match (port_name.is_empty(), number) {
        (false, 0) => {
            let complaints = kuorum_schema::names::port_name(port_name);
            invalid_each(at.child("port.name"), port_name, complaints, errors);
        }
        (false, _) => errors.push(FieldError::invalid(path, &"".into(), "cannot set both port name & port number")),
        (true, 0) => errors.push(FieldError::required(path, "port name or number is required")),
        (true, _) => crate::rules::port(get(service, "port.number"), at.child("port.number"), errors),
    }
}
