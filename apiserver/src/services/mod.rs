//! Service addresses and node ports, allocated in the transaction that writes the Service.
//!
//! An address is an IPAddress object, a node port a key of its own: both are created with "must be absent" beside the
//! Service, so two Services never share one, and nothing has to be repaired after a crash. What is free is read from
//! the caches; if another Service took it meanwhile the transaction fails and the write is tried again.

pub mod addresses;
pub mod ports;
pub mod range;

use std::net::IpAddr;

use kuorum_cache::Txn;
use kuorum_kinds::field::{Errors, FieldError};
use kuorum_kinds::value as json;
use serde_json::{Value, json};

use crate::app::Call;
use crate::config::{Config, ConfigError};
use crate::status::ApiError;
use range::{IpRange, PortRange};

/// The ranges to allocate from.
pub struct Allocators {
    /// One of each family at most, the primary first.
    pub addresses: Vec<IpRange>,
    pub ports: PortRange,
}

impl Allocators {
    pub fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let invalid = |flag, why| ConfigError::Invalid { flag, why };
        let addresses = config
            .service_cluster_ip_range
            .iter()
            .map(|text| IpRange::parse(text).map_err(|why| invalid("service-cluster-ip-range", why)))
            .collect::<Result<Vec<_>, _>>()?;
        let ports =
            PortRange::parse(&config.service_node_port_range).map_err(|why| invalid("service-node-port-range", why))?;
        match addresses.as_slice() {
            [_] => {}
            [a, b] if a.is_v6() != b.is_v6() => {}
            _ => {
                let why = "needs one range, or two of different families".to_owned();
                return Err(invalid("service-cluster-ip-range", why));
            }
        }
        Ok(Allocators { addresses, ports })
    }

    fn range_of(&self, family: &str) -> Option<&IpRange> {
        self.addresses.iter().find(|r| r.family() == family)
    }
}

fn is_service(call: &Call<'_>) -> bool {
    call.kind.row.group.is_empty() && call.kind.row.kind == "Service"
}

/// Gives a Service that is about to be written what it still needs, and takes back what it gave up. Other kinds pass.
/// Returns the changed object.
pub fn allocate(
    call: &Call<'_>,
    object: &Value,
    old: Option<&Value>,
    txn: Txn,
) -> Result<(Option<Value>, Txn), ApiError> {
    if !is_service(call) || !matches!(call.info.subresource, "") {
        return Ok((None, txn));
    }
    let mut service = object.clone();
    let mut errors = Errors::new();
    if let Some(old) = old {
        keep_allocated(&mut service, old);
    }
    set_families(&call.app.allocators, &mut service, &mut errors);
    let txn = addresses::allocate(call, &mut service, old, txn, &mut errors)?;
    let txn = ports::allocate(call, &mut service, old, txn, &mut errors)?;
    if errors.is_empty() {
        return Ok((Some(service), txn));
    }
    Err(ApiError::invalid("", "Service", json::text(object, "metadata.name"), &errors))
}

/// Gives back everything that a Service holds, as it is deleted.
pub fn release(call: &Call<'_>, service: &Value, txn: Txn) -> Result<Txn, ApiError> {
    if !is_service(call) {
        return Ok(txn);
    }
    let txn = addresses::release(call, service, addresses::of(service), txn)?;
    ports::release(call, service, ports::of(service), txn)
}

/// Whether a Service of this type has addresses of its own.
fn has_address(service: &Value) -> bool {
    matches!(json::text(service, "spec.type"), "" | "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn is_headless(service: &Value) -> bool {
    json::text(service, "spec.clusterIP") == "None"
}

/// What an update leaves unsaid stays as it was allocated.
fn keep_allocated(service: &mut Value, old: &Value) {
    let unsaid = !json::is_set(service, "spec.clusterIP") && !json::is_set(service, "spec.clusterIPs");
    if has_address(service)
        && has_address(old)
        && unsaid
        && let Some(spec) = json::child(service, "spec")
    {
        json::carry_over(spec, json::get(old, "spec"), "clusterIP");
        json::carry_over(spec, json::get(old, "spec"), "clusterIPs");
    }
    if ports::wants_ports(service) && ports::wants_ports(old) {
        ports::keep(service, old);
    }
}

/// Families and policy where the request left them open, and agreement of `clusterIP` with `clusterIPs`.
fn set_families(allocators: &Allocators, service: &mut Value, errors: &mut Errors) {
    let external = !has_address(service);
    let has_selector = json::is_set(service, "spec.selector");
    let Some(spec) = json::child(service, "spec") else { return };
    if external {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            json::remove(spec, key);
        }
        return;
    }
    if !json::is_set(spec, "clusterIPs") && json::is_set(spec, "clusterIP") {
        let first = json::get(spec, "clusterIP").clone();
        json::set(spec, "clusterIPs", json!([first]));
    }
    let primary = allocators.addresses[0].family();
    let secondary = if primary == "IPv4" { "IPv6" } else { "IPv4" };
    let headless = json::text(spec, "clusterIP") == "None";
    let policy = json::text(spec, "ipFamilyPolicy").to_owned();
    // Headless and selectorless: who makes the endpoints decides, so both families are announced.
    if headless && !has_selector && !json::is_set(spec, "ipFamilies") && policy.is_empty() {
        json::set(spec, "ipFamilyPolicy", "RequireDualStack");
        json::set(spec, "ipFamilies", json!([primary, secondary]));
        return;
    }
    let mut families: Vec<String> =
        json::items(spec, "ipFamilies").iter().filter_map(|f| f.as_str().map(str::to_owned)).collect();
    for address in json::items(spec, "clusterIPs").iter().skip(families.len()) {
        match address.as_str().and_then(|a| a.parse::<IpAddr>().ok()) {
            Some(a) => families.push(if a.is_ipv6() { "IPv6" } else { "IPv4" }.to_owned()),
            None => break,
        }
    }
    if families.is_empty() {
        families.push(primary.to_owned());
    }
    let policy = match (policy.as_str(), families.len()) {
        ("", 2..) => "RequireDualStack",
        ("", _) => "SingleStack",
        (given, _) => given,
    }
    .to_owned();
    let dual = allocators.addresses.len() == 2;
    // Without a selector nobody but its maker fills a headless Service: any family will do.
    let anyones = headless && !has_selector;
    if policy == "RequireDualStack" && !dual && !anyones {
        errors.push(FieldError::invalid(
            "spec.ipFamilyPolicy",
            &policy.as_str().into(),
            "this cluster is not configured for dual-stack services",
        ));
        return;
    }
    for (i, family) in families.iter().enumerate() {
        if allocators.range_of(family).is_none() && !anyones {
            errors.push(FieldError::invalid(
                format!("spec.ipFamilies[{i}]"),
                &family.as_str().into(),
                "not configured on this cluster",
            ));
        }
    }
    if policy != "SingleStack" && families.len() == 1 && (dual || policy == "RequireDualStack") {
        let other = if families[0] == "IPv4" { "IPv6" } else { "IPv4" };
        families.push(other.to_owned());
    }
    if policy == "SingleStack" {
        families.truncate(1);
    }
    json::set(spec, "ipFamilyPolicy", policy);
    json::set(spec, "ipFamilies", families);
}
