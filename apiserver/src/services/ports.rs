//! Node ports of Services. Each one in use is a key, so that it is taken and given back with the Service.

use std::collections::HashMap;

use bytes::Bytes;
use kuorum_cache::{Expect, Resource, ResourceSpec, Txn, value};
use kuorum_kinds::field::{Errors, FieldError};
use kuorum_kinds::value as json;
use serde_json::Value;

use super::range::PortRange;
use crate::app::Call;
use crate::status::ApiError;

/// Not a kind: nothing but this module reads these keys.
const PREFIX: &str = "/registry/kuorum/nodeports/";
const RANDOM_PROBES: usize = 16;

/// What the cache holds of them.
pub fn resource_spec() -> ResourceSpec {
    ResourceSpec { prefix: PREFIX.to_owned(), namespaced: false, fields: Vec::new() }
}

/// Whether a Service of this type has node ports.
pub fn wants_ports(service: &Value) -> bool {
    match json::text(service, "spec.type") {
        "NodePort" => true,
        "LoadBalancer" => {
            json::get(service, "spec.allocateLoadBalancerNodePorts").as_bool() != Some(false)
                || json::items(service, "spec.ports").iter().any(|p| json::int(p, "nodePort").unwrap_or(0) != 0)
        }
        _ => false,
    }
}

fn wants_health_port(service: &Value) -> bool {
    json::text(service, "spec.type") == "LoadBalancer" && json::text(service, "spec.externalTrafficPolicy") == "Local"
}

/// The ports that a Service holds, each once.
pub fn of(service: &Value) -> Vec<i64> {
    let mut ports: Vec<i64> =
        json::items(service, "spec.ports").iter().filter_map(|p| json::int(p, "nodePort")).collect();
    ports.extend(json::int(service, "spec.healthCheckNodePort"));
    ports.retain(|p| *p != 0);
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Ports that an update leaves open stay what they were, by protocol and port.
pub fn keep(service: &mut Value, old: &Value) {
    let mut had: HashMap<(String, i64), i64> = HashMap::new();
    for port in json::items(old, "spec.ports") {
        if let (Some(number), Some(node)) = (json::int(port, "port"), json::int(port, "nodePort")) {
            had.insert((json::text(port, "protocol").to_owned(), number), node);
        }
    }
    let taken: Vec<i64> = json::items(service, "spec.ports").iter().filter_map(|p| json::int(p, "nodePort")).collect();
    let Some(spec) = json::existing(service, "spec") else { return };
    for port in json::items_mut(spec, "ports") {
        if json::int(port, "nodePort").unwrap_or(0) != 0 {
            continue;
        }
        let key = (json::text(port, "protocol").to_owned(), json::int(port, "port").unwrap_or(0));
        if let Some(node) = had.get(&key).filter(|n| !taken.contains(n)) {
            json::set(port, "nodePort", *node);
        }
    }
    if !json::is_set(spec, "healthCheckNodePort") {
        json::carry_over(spec, json::get(old, "spec"), "healthCheckNodePort");
    }
}

/// Fills in the node ports and reserves them; releases what `old` had and the new one has not.
pub fn allocate(
    call: &Call<'_>,
    service: &mut Value,
    old: Option<&Value>,
    mut txn: Txn,
    errors: &mut Errors,
) -> Result<Txn, ApiError> {
    let before = old.map(of).unwrap_or_default();
    let resource = ports(call)?;
    let range = call.app.allocators.ports;
    let mut now: Vec<i64> = Vec::new();
    if wants_ports(service) {
        let allocating = json::text(service, "spec.type") == "NodePort"
            || json::get(service, "spec.allocateLoadBalancerNodePorts").as_bool() != Some(false);
        // One node port serves a port number in all its protocols.
        let mut by_port: HashMap<i64, i64> = HashMap::new();
        let taken: Vec<i64> = of(service);
        let Some(spec) = json::child(service, "spec") else { return Ok(txn) };
        for (i, port) in json::items_mut(spec, "ports").iter_mut().enumerate() {
            let number = json::int(port, "port").unwrap_or(0);
            let wanted = json::int(port, "nodePort").unwrap_or(0);
            let node = if wanted != 0 {
                let held = before.contains(&wanted) || now.contains(&wanted);
                if let Err(why) = if held { Ok(()) } else { check(wanted, range, &resource) } {
                    errors.push(FieldError::invalid(format!("spec.ports[{i}].nodePort"), &wanted.into(), &why));
                    continue;
                }
                wanted
            } else if !allocating {
                continue;
            } else if let Some(same) = by_port.get(&number) {
                *same
            } else {
                free(range, &resource, &now, &taken).ok_or_else(full)?
            };
            json::set(port, "nodePort", node);
            by_port.insert(number, node);
            if !now.contains(&node) {
                now.push(node);
            }
        }
    } else if let Some(spec) = json::existing(service, "spec") {
        // What is left of another type goes; a port that the client asks for was refused by validation.
        for port in json::items_mut(spec, "ports") {
            if json::int(port, "nodePort").is_some_and(|n| before.contains(&n)) {
                json::remove(port, "nodePort");
            }
        }
    }
    if wants_health_port(service) {
        let wanted = json::int(service, "spec.healthCheckNodePort").unwrap_or(0);
        let node = if wanted == 0 {
            free(range, &resource, &now, &now).ok_or_else(full)?
        } else {
            if !before.contains(&wanted) {
                check(wanted, range, &resource).map_err(|why| {
                    ApiError::internal(format!("failed to allocate requested HealthCheck NodePort {wanted}: {why}"))
                })?;
            }
            wanted
        };
        if let Some(spec) = json::child(service, "spec") {
            json::set(spec, "healthCheckNodePort", node);
        }
        now.push(node);
    } else if let Some(spec) = json::existing(service, "spec") {
        json::remove(spec, "healthCheckNodePort");
    }
    for port in now.iter().filter(|p| !before.contains(p)) {
        let key = resource.key("", &port.to_string());
        txn = txn.expect(key.clone(), Expect::Absent).put(key, claim(*port, service));
    }
    let given_up = before.into_iter().filter(|p| !now.contains(p)).collect();
    release(call, service, given_up, txn)
}

/// Deletes the keys of ports.
pub fn release(call: &Call<'_>, _service: &Value, given_up: Vec<i64>, mut txn: Txn) -> Result<Txn, ApiError> {
    let resource = ports(call)?;
    for port in given_up {
        txn = txn.delete(resource.key("", &port.to_string()));
    }
    Ok(txn)
}

fn ports(call: &Call<'_>) -> Result<Resource, ApiError> {
    call.app.store.resource(PREFIX).ok_or_else(|| ApiError::internal("node ports are not registered"))
}

fn full() -> ApiError {
    ApiError::internal("failed to allocate a nodePort: range is full")
}

fn check(port: i64, range: PortRange, resource: &Resource) -> Result<(), String> {
    if !range.contains(port) {
        return Err(format!("provided port is not in the valid range. The range of valid ports is {range}"));
    }
    if resource.get("", &port.to_string()).is_some() {
        return Err("provided port is already allocated".to_owned());
    }
    Ok(())
}

fn free(range: PortRange, resource: &Resource, now: &[i64], taken: &[i64]) -> Option<i64> {
    let is_free = |port: i64| {
        (!now.contains(&port) && !taken.contains(&port) && resource.get("", &port.to_string()).is_none())
            .then_some(port)
    };
    let at = |i: u32| i64::from(range.first) + i64::from(i % range.count());
    let start = rand::random_range(0..range.count());
    (0..RANDOM_PROBES)
        .find_map(|_| is_free(at(rand::random_range(0..range.count()))))
        .or_else(|| (0..range.count()).find_map(|i| is_free(at(start.wrapping_add(i) % range.count()))))
}

/// The value of a port's key: says whose it is, for people who look.
fn claim(port: i64, service: &Value) -> Bytes {
    let head = r#"{"metadata":{"#;
    let text = format!(
        "{head}\"name\":\"{port}\"}},\"service\":{}}}",
        Value::from(format!("{}/{}", json::text(service, "metadata.namespace"), json::text(service, "metadata.name")))
    );
    value::pack(text.as_bytes(), head.len() as u32)
}
