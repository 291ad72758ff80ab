//! Service: its defaults, what follows from its type, and what it keeps on updates. Addresses and node ports are
//! allocated by the front-end in the same transaction as the write; this module says what is wanted.

pub mod table;
pub mod validate;

use serde_json::{Value, json};

use crate::hooks::{Context, Hooks};
use crate::metadata::Pass;
use crate::row::SelectableField;
use crate::value::{
    carry_over, child, existing, get, int, is_set, items, items_mut, remove, set, set_default, set_default_text, text,
};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare_create),
    prepare_update: Some(prepare_update),
    validate_create: Some(validate::create),
    validate_update: Some(validate::update),
    warnings: Some(warnings),
    table: Some(table::TABLE),
    name: |name, prefix| {
        kuorum_schema::names::dns1123_label(if prefix { name.strip_suffix('-').unwrap_or(name) } else { name })
    },
    update_metadata: &[Pass::Update, Pass::Create],
    ..Hooks::NONE
};

pub const FIELDS: &[SelectableField] = &[
    SelectableField { name: "spec.clusterIP", value: |service| text(service, "spec.clusterIP").to_owned() },
    SelectableField { name: "spec.type", value: |service| text(service, "spec.type").to_owned() },
];

/// How long a client sticks to a pod with `sessionAffinity: ClientIP`, in seconds.
const AFFINITY_SECONDS: i64 = 10800;

/// Whether Services of this type have a cluster address (headless ones have `None`).
pub fn needs_cluster_ip(service: &Value) -> bool {
    matches!(text(service, "spec.type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Whether Services of this type open ports on every node.
pub fn needs_node_port(service: &Value) -> bool {
    match text(service, "spec.type") {
        "NodePort" => true,
        "LoadBalancer" => get(service, "spec.allocateLoadBalancerNodePorts") != &Value::Bool(false),
        _ => false,
    }
}

/// Whether the Service needs a port for the load balancer's health checks.
pub fn needs_health_check_port(service: &Value) -> bool {
    text(service, "spec.type") == "LoadBalancer" && text(service, "spec.externalTrafficPolicy") == "Local"
}

fn has_external_traffic(service: &Value) -> bool {
    matches!(text(service, "spec.type"), "NodePort" | "LoadBalancer")
}

fn default(service: &mut Value) {
    if let Some(balancer) = existing(service, "status").and_then(|status| existing(status, "loadBalancer")) {
        for point in items_mut(balancer, "ingress") {
            if is_set(point, "ip") {
                set_default(point, "ipMode", "VIP");
            }
        }
    }
    let Some(spec) = child(service, "spec") else { return };
    set_default_text(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "None" => {
            remove(spec, "sessionAffinityConfig");
        }
        "ClientIP" => {
            if let Some(client) = child(spec, "sessionAffinityConfig").and_then(|config| child(config, "clientIP")) {
                set_default(client, "timeoutSeconds", AFFINITY_SECONDS);
            }
        }
        _ => {}
    }
    set_default_text(spec, "type", "ClusterIP");
    for port in items_mut(spec, "ports") {
        set_default_text(port, "protocol", "TCP");
        let target = get(port, "targetPort");
        if target.is_null() || target == &json!(0) || target == &json!("") {
            let number = int(port, "port").unwrap_or(0);
            set(port, "targetPort", number);
        }
    }
    let kind = text(spec, "type").to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && is_set(spec, "externalIPs")) {
        set_default_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        set_default(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
    }
}

fn prepare_create(service: &mut Value, _: &Context) {
    normalize_cluster_ips(service, None);
    default_ip_families(service);
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource == "status" {
        return;
    }
    if text(new, "spec.type") != "LoadBalancer" {
        remove(new, "status");
    }
    normalize_cluster_ips(new, Some(old));
    drop_what_the_old_type_had(new, old);
    keep_allocated(new, old);
    default_ip_families(new);
}

/// `clusterIP` is the first of `clusterIPs`; a client may give either, and change either.
fn normalize_cluster_ips(service: &mut Value, old: Option<&Value>) {
    let single = text(service, "spec.clusterIP").to_owned();
    let many = items(service, "spec.clusterIPs").to_vec();
    let Some(spec) = existing(service, "spec") else { return };
    let Some(old) = old else {
        if !single.is_empty() && many.is_empty() {
            set(spec, "clusterIPs", vec![Value::from(single)]);
        }
        return;
    };
    let (old_single, old_many) = (text(old, "spec.clusterIP"), items(old, "spec.clusterIPs"));
    let single_changed = single != old_single;
    let many_changed = many != old_many;
    match (single_changed, many_changed) {
        // Cleared, or replaced, by a client that knows only the older field.
        (true, false) if single.is_empty() => {
            remove(spec, "clusterIPs");
        }
        (true, false) => set(spec, "clusterIPs", vec![Value::from(single)]),
        _ => {}
    }
}

/// A cluster of one address family: policy and families of a Service that has a cluster address.
fn default_ip_families(service: &mut Value) {
    if !needs_cluster_ip(service) {
        return;
    }
    let headless_without_selector = text(service, "spec.clusterIP") == "None"
        && !is_set(service, "spec.selector")
        && text(service, "spec.ipFamilyPolicy") != "SingleStack";
    let family_of = |ip: &Value| if ip.as_str().is_some_and(|ip| ip.contains(':')) { "IPv6" } else { "IPv4" };
    let mut families: Vec<Value> = items(service, "spec.ipFamilies").to_vec();
    let Some(spec) = existing(service, "spec") else { return };
    if headless_without_selector {
        // Someone else writes its endpoints, of whatever family, so it is declared dual-stack.
        set_default(spec, "ipFamilyPolicy", "RequireDualStack");
        if families.is_empty() {
            families.push("IPv4".into());
        }
        if families.len() == 1 {
            families.push(if families[0] == "IPv6" { "IPv4" } else { "IPv6" }.into());
        }
    } else if families.is_empty() {
        let ips = items(spec, "clusterIPs");
        families = ips.iter().filter(|ip| *ip != "None").map(|ip| family_of(ip).into()).collect();
        families.dedup();
        families.truncate(2);
        if families.is_empty() {
            families.push("IPv4".into());
        }
    }
    set_default(spec, "ipFamilyPolicy", "SingleStack");
    set(spec, "ipFamilies", families);
}

/// An update that leaves allocated values out means those that are there.
fn keep_allocated(new: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && needs_cluster_ip(new) {
        let missing = (!is_set(new, "spec.clusterIP"), !is_set(new, "spec.clusterIPs"));
        if let (true, true) = missing
            && let Some(spec) = child(new, "spec")
        {
            carry_over(spec, get(old, "spec"), "clusterIP");
            carry_over(spec, get(old, "spec"), "clusterIPs");
        }
    }
    if needs_node_port(old) && needs_node_port(new) {
        let taken: Vec<i64> = items(new, "spec.ports").iter().filter_map(|p| int(p, "nodePort")).collect();
        let before = items(old, "spec.ports");
        if let Some(spec) = existing(new, "spec") {
            for port in items_mut(spec, "ports") {
                let same =
                    |p: &&Value| p.get("port") == port.get("port") && text(p, "protocol") == text(port, "protocol");
                if int(port, "nodePort").unwrap_or(0) == 0
                    && let Some(kept) = before.iter().find(same).and_then(|p| int(p, "nodePort"))
                    && kept != 0
                    && !taken.contains(&kept)
                {
                    set(port, "nodePort", kept);
                }
            }
        }
    }
    if needs_health_check_port(old)
        && needs_health_check_port(new)
        && !is_set(new, "spec.healthCheckNodePort")
        && let Some(spec) = existing(new, "spec")
    {
        carry_over(spec, get(old, "spec"), "healthCheckNodePort");
    }
}

/// When the type changes, what the old type needed and the update left untouched goes.
fn drop_what_the_old_type_had(new: &mut Value, old: &Value) {
    let same = |new: &Value, field: &str| get(new, "spec").get(field) == get(old, "spec").get(field);
    let mut drop: Vec<&str> = Vec::new();
    if needs_cluster_ip(old) && !needs_cluster_ip(new) {
        if same(new, "clusterIP") && same(new, "clusterIPs") {
            drop.extend(["clusterIP", "clusterIPs"]);
        }
        drop.extend(["ipFamilies", "ipFamilyPolicy"].into_iter().filter(|f| same(new, f)));
        drop.extend(["internalTrafficPolicy"].into_iter().filter(|f| same(new, f)));
    }
    if needs_health_check_port(old) && !needs_health_check_port(new) && same(new, "healthCheckNodePort") {
        drop.push("healthCheckNodePort");
    }
    if has_external_traffic(old) && !has_external_traffic(new) && same(new, "externalTrafficPolicy") {
        drop.push("externalTrafficPolicy");
    }
    if text(old, "spec.type") == "LoadBalancer" && text(new, "spec.type") != "LoadBalancer" {
        drop.extend(["allocateLoadBalancerNodePorts", "loadBalancerClass"].into_iter().filter(|f| same(new, f)));
    }
    let node_ports =
        |s: &Value| -> Vec<i64> { items(s, "spec.ports").iter().filter_map(|p| int(p, "nodePort")).collect() };
    let drop_node_ports = has_external_traffic(old) && !needs_node_port(new) && node_ports(new) == node_ports(old);
    let Some(spec) = existing(new, "spec") else { return };
    for field in drop {
        remove(spec, field);
    }
    if drop_node_ports {
        for port in items_mut(spec, "ports") {
            remove(port, "nodePort");
        }
    }
}

fn warnings(new: &Value, _: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    if is_set(new, "spec.externalIPs") {
        warnings.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned());
    }
    if text(new, "spec.type") != "ExternalName" && is_set(new, "spec.externalName") {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if text(new, "spec.trafficDistribution") == "PreferClose" {
        warnings.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned());
    }
    warnings
}
