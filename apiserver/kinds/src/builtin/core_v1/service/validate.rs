//! What is wrong with a Service. Whether an address or a node port is free, the allocators say.

use std::collections::HashSet;
use std::net::IpAddr;

use kuorum_schema::names;
use serde_json::Value;

use super::{has_external_traffic, needs_health_check_port};
use crate::field::{Errors, FieldError};
use crate::hooks::Context;
use crate::metadata;
use crate::path::Path;
use crate::rules::{invalid_each, one_of, port, port_or_name, required_one_of};
use crate::value::{get, int, is_set, items, text};

const SPEC: Path = Path::new("spec");
const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const LOAD_BALANCER_ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
/// The kubelet's own port, which must not be exposed.
const KUBELET_PORT: i64 = 10250;
/// Longest session affinity, in seconds.
const AFFINITY_SECONDS_MAX: i64 = 86400;

pub fn create(service: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    validate(service, None, &mut errors);
    errors
}

pub fn update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource == "status" {
        load_balancer_status(new, &mut errors);
        return errors;
    }
    let (before, after) = (items(old, "spec.clusterIPs").first(), items(new, "spec.clusterIPs").first());
    if super::needs_cluster_ip(old)
        && super::needs_cluster_ip(new)
        && before.is_some()
        && after != before
        && get(new, "spec.clusterIP") != get(old, "spec.clusterIP")
    {
        let shown = get(new, "spec.clusterIPs");
        errors.push(FieldError::invalid("spec.clusterIPs[0]", shown, "may not change once set"));
    }
    if needs_health_check_port(old)
        && needs_health_check_port(new)
        && get(new, "spec.healthCheckNodePort") != get(old, "spec.healthCheckNodePort")
    {
        errors.push(FieldError::forbidden("spec.healthCheckNodePort", "field is immutable"));
    }
    validate(new, Some(old), &mut errors);
    errors
}

fn is_headless(service: &Value) -> bool {
    items(service, "spec.clusterIPs").first().is_some_and(|ip| ip == "None")
}

fn validate(service: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = get(service, "spec");
    let kind = text(spec, "type");
    if !is_set(spec, "ports") && !is_headless(service) && kind != "ExternalName" {
        errors.push(FieldError::required(SPEC.child("ports"), ""));
    }
    by_type(service, kind, errors);
    ports(items(spec, "ports"), errors);
    metadata::validate_labels(get(spec, "selector"), &SPEC.child("selector"), errors);
    session_affinity(spec, errors);
    cluster_ips(spec, errors);
    for (i, ip) in items(spec, "externalIPs").iter().enumerate() {
        let ip = ip.as_str().unwrap_or("");
        let path = SPEC.child("externalIPs");
        external_ip(ip, path.index(i), errors);
    }
    required_one_of(spec, "type", &TYPES, &SPEC, errors);
    node_ports(spec, kind, errors);
    load_balancer(spec, kind, old, errors);
    traffic(service, errors);
}

fn by_type(service: &Value, kind: &str, errors: &mut Errors) {
    let spec = get(service, "spec");
    match kind {
        "LoadBalancer" => {
            let list = SPEC.child("ports");
            for (i, found) in items(spec, "ports").iter().enumerate() {
                if int(found, "port") == Some(KUBELET_PORT) {
                    let detail = "may not expose port 10250 externally since it is used by kubelet";
                    errors.push(FieldError::invalid(list.index(i), &KUBELET_PORT.into(), detail));
                }
            }
        }
        "ExternalName" => {
            for key in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if is_set(spec, key) {
                    errors.push(FieldError::forbidden(SPEC.child(key), "may not be set for ExternalName services"));
                }
            }
            let name = text(spec, "externalName");
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_empty() {
                errors.push(FieldError::required(SPEC.child("externalName"), ""));
            } else {
                invalid_each(SPEC.child("externalName"), name, names::dns1123_subdomain(name), errors);
            }
        }
        _ => {}
    }
    if matches!(kind, "LoadBalancer" | "NodePort") && is_headless(service) {
        let detail = format!("may not be set to 'None' for {kind} services");
        errors.push(FieldError::invalid(SPEC.child("clusterIPs").index(0), &"None".into(), &detail));
    }
}

fn ports(list: &[Value], errors: &mut Errors) {
    let path = SPEC.child("ports");
    let mut seen: HashSet<&str> = HashSet::new();
    for (i, found) in list.iter().enumerate() {
        let path = path.index(i);
        let name = text(found, "name");
        if name.is_empty() {
            if list.len() > 1 {
                errors.push(FieldError::required(path.child("name"), ""));
            }
        } else {
            invalid_each(path.child("name"), name, names::dns1123_label(name), errors);
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(path.child("name"), &name.into()));
            }
        }
        port(get(found, "port"), path.child("port"), errors);
        required_one_of(found, "protocol", &["SCTP", "TCP", "UDP"], &path, errors);
        port_or_name(get(found, "targetPort"), path.child("targetPort"), errors);
        if let Some(protocol) = get(found, "appProtocol").as_str() {
            invalid_each(path.child("appProtocol"), protocol, names::qualified_name(protocol), errors);
        }
    }
}

fn session_affinity(spec: &Value, errors: &mut Errors) {
    required_one_of(spec, "sessionAffinity", &["ClientIP", "None"], &SPEC, errors);
    let config = get(spec, "sessionAffinityConfig");
    let path = SPEC.child("sessionAffinityConfig");
    match text(spec, "sessionAffinity") {
        "ClientIP" => {
            let seconds = int(config, "clientIP.timeoutSeconds").unwrap_or(0);
            if !(1..=AFFINITY_SECONDS_MAX).contains(&seconds) {
                let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
                errors.push(FieldError::invalid(path.child("clientIP.timeoutSeconds"), &seconds.into(), &detail));
            }
        }
        "None" if config.is_object() => {
            errors.push(FieldError::forbidden(path, "must not be set when session affinity is None"));
        }
        _ => {}
    }
}

fn cluster_ips(spec: &Value, errors: &mut Errors) {
    if text(spec, "type") == "ExternalName" {
        return;
    }
    let ips = items(spec, "clusterIPs");
    let path = SPEC.child("clusterIPs");
    let all = get(spec, "clusterIPs");
    if !ips.is_empty() {
        if !is_set(spec, "clusterIP") {
            errors.push(FieldError::invalid(path, all, "must be empty when `clusterIP` is not specified"));
        } else if ips[0] != *get(spec, "clusterIP") {
            errors.push(FieldError::invalid(path, all, "first value must match `clusterIP`"));
        }
    }
    let families = items(spec, "ipFamilies");
    for (i, family) in families.iter().enumerate() {
        let at = SPEC.child("ipFamilies");
        if family != "IPv4" && family != "IPv6" {
            errors.push(FieldError::not_supported(at.index(i), family, &["IPv4", "IPv6"]));
        } else if families[..i].contains(family) {
            errors.push(FieldError::duplicate(at.index(i), family));
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    crate::rules::optional_one_of(spec, "ipFamilyPolicy", &policies, &SPEC, errors);
    if families.len() == 2 && text(spec, "ipFamilyPolicy") == "SingleStack" {
        let detail = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
        errors.push(FieldError::invalid(SPEC.child("ipFamilyPolicy"), &"SingleStack".into(), detail));
    }
    if ips.len() > 2 {
        errors.push(FieldError::invalid(path, all, "may only hold up to 2 values"));
    }
    let mut good = true;
    for (i, ip) in ips.iter().enumerate() {
        let ip = ip.as_str().unwrap_or("");
        if i == 0 && ip == "None" {
            if ips.len() > 1 {
                good = false;
                errors.push(FieldError::invalid(path, all, "'None' must be the first and only value"));
            }
            continue;
        }
        let complaints = names::ip_strict(ip);
        good &= complaints.is_empty();
        invalid_each(path.index(i), ip, complaints, errors);
    }
    let is_v6 = |ip: &Value| ip.as_str().is_some_and(|ip| ip.contains(':'));
    if good && ips.len() == 2 && is_v6(&ips[0]) == is_v6(&ips[1]) {
        errors.push(FieldError::invalid(path, all, "may specify no more than one IP for each IP family"));
    }
    if good {
        for (i, (ip, family)) in ips.iter().zip(families).enumerate().filter(|(_, (ip, _))| *ip != "None") {
            let expected = family.as_str().unwrap_or("");
            if is_v6(ip) != (expected == "IPv6") {
                let detail = format!("expected an {expected} value as indicated by `ipFamilies[{i}]`");
                errors.push(FieldError::invalid(path.index(i), ip, &detail));
            }
        }
    }
}

/// An address that can be routed to another host.
pub fn external_ip(text: &str, path: Path, errors: &mut Errors) {
    let complaints = names::ip_strict(text);
    if !complaints.is_empty() {
        invalid_each(path, text, complaints, errors);
        return;
    }
    let Ok(ip) = text.parse::<IpAddr>() else { return };
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    };
    let link_local_multicast = match ip {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    };
    let detail = match () {
        () if ip.is_unspecified() => format!("may not be unspecified ({text})"),
        () if ip.is_loopback() => "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned(),
        () if link_local => "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned(),
        () if link_local_multicast => {
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()
        }
        () => return,
    };
    errors.push(FieldError::invalid(path, &text.into(), &detail));
}

fn node_ports(spec: &Value, kind: &str, errors: &mut Errors) {
    let path = SPEC.child("ports");
    let list = items(spec, "ports");
    for (i, found) in list.iter().enumerate() {
        let path = path.index(i);
        if kind == "ClusterIP" && int(found, "nodePort").unwrap_or(0) != 0 {
            let detail = "may not be used when `type` is 'ClusterIP'";
            errors.push(FieldError::forbidden(path.child("nodePort"), detail));
        }
    }
    for (i, found) in list.iter().enumerate() {
        let same = |other: &&Value| {
            other.get("port") == found.get("port") && text(other, "protocol") == text(found, "protocol")
        };
        if list[..i].iter().any(|other| same(&other)) {
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                get(found, "protocol"),
                get(found, "port"),
            );
            errors.push(FieldError::duplicate_shown(path.index(i), &shown));
        }
    }
}

fn load_balancer(spec: &Value, kind: &str, old: Option<&Value>, errors: &mut Errors) {
    let balancer = kind == "LoadBalancer";
    let ranges = items(spec, "loadBalancerSourceRanges");
    if !ranges.is_empty() {
        let path = SPEC.child("LoadBalancerSourceRanges");
        if !balancer {
            errors.push(FieldError::forbidden(path, LOAD_BALANCER_ONLY));
        }
        for (i, range) in ranges.iter().enumerate() {
            let range = range.as_str().unwrap_or("");
            invalid_each(path.index(i), range, names::cidr(range.trim()), errors);
        }
    }
    if !get(spec, "allocateLoadBalancerNodePorts").is_null() && !balancer {
        errors.push(FieldError::forbidden(SPEC.child("allocateLoadBalancerNodePorts"), LOAD_BALANCER_ONLY));
    }
    let class = get(spec, "loadBalancerClass");
    let path = SPEC.child("loadBalancerClass");
    let stays = |old: &&Value| balancer && text(old, "spec.type") == "LoadBalancer";
    if old.filter(stays).is_some_and(|old| class != get(old, "spec.loadBalancerClass")) {
        errors.push(FieldError::invalid(path, class, "may not change once set"));
        return;
    }
    if let Some(name) = class.as_str() {
        if !balancer {
            errors.push(FieldError::forbidden(path, LOAD_BALANCER_ONLY));
        }
        invalid_each(path, name, names::qualified_name(name), errors);
    }
}

fn traffic(service: &Value, errors: &mut Errors) {
    let spec = get(service, "spec");
    let external = text(spec, "externalTrafficPolicy");
    let accessible =
        has_external_traffic(service) || (text(spec, "type") == "ClusterIP" && is_set(spec, "externalIPs"));
    if accessible {
        required_one_of(spec, "externalTrafficPolicy", &["Cluster", "Local"], &SPEC, errors);
    } else if !external.is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid(SPEC.child("externalTrafficPolicy"), &external.into(), detail));
    }
    let check = int(spec, "healthCheckNodePort").unwrap_or(0);
    if !needs_health_check_port(service) && check != 0 {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(FieldError::invalid(SPEC.child("healthCheckNodePort"), &check.into(), detail));
    }
    crate::rules::optional_one_of(spec, "internalTrafficPolicy", &["Cluster", "Local"], &SPEC, errors);
    let distributions = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    if !get(spec, "trafficDistribution").is_null() {
        one_of(spec, "trafficDistribution", &distributions, &SPEC, errors);
    }
}

/// The status of a load balancer, which Ingresses have too.
fn load_balancer_status(service: &Value, errors: &mut Errors) {
    let path = Path::new("status.loadBalancer.ingress");
    let points = items(service, "status.loadBalancer.ingress");
    if !points.is_empty() && text(service, "spec.type") != "LoadBalancer" {
        errors.push(FieldError::forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'"));
        return;
    }
    for (i, point) in points.iter().enumerate() {
        let path = path.index(i);
        load_balancer_point(point, &path, errors);
        if !get(point, "ipMode").is_null() {
            if !is_set(point, "ip") {
                let detail = "may not be specified when `ip` is not set";
                errors.push(FieldError::forbidden(path.child("ipMode"), detail));
            } else {
                one_of(point, "ipMode", &["Proxy", "VIP"], &path, errors);
            }
        }
    }
}

/// One address of a load balancer.
pub fn load_balancer_point(point: &Value, path: &Path, errors: &mut Errors) {
    let (ip, name) = (text(point, "ip"), text(point, "hostname"));
    if !ip.is_empty() {
        invalid_each(path.child("ip"), ip, names::ip_strict(ip), errors);
    }
    if !name.is_empty() {
        if name.parse::<IpAddr>().is_ok() {
            let detail = "must be a DNS name, not an IP address";
            errors.push(FieldError::invalid(path.child("hostname"), &name.into(), detail));
        }
        invalid_each(path.child("hostname"), name, names::dns1123_subdomain(name), errors);
    }
}
