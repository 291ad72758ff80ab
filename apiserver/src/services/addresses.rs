//! Cluster addresses of Services, each an IPAddress object of networking.k8s.io/v1.

use std::net::IpAddr;

use kuorum_cache::{Expect, Resource, Txn, value};
use kuorum_kinds::field::{Errors, FieldError};
use kuorum_kinds::value as json;
use kuorum_schema::codec;
use serde_json::{Value, json};

use super::range::IpRange;
use super::{has_address, is_headless};
use crate::app::Call;
use crate::status::ApiError;
use crate::verbs::ownership;

/// How many random addresses are tried before the range is walked.
const RANDOM_PROBES: usize = 16;

/// The addresses that a Service holds.
pub fn of(service: &Value) -> Vec<String> {
    let list = json::items(service, "spec.clusterIPs").iter().filter_map(Value::as_str);
    list.filter(|a| *a != "None" && !a.is_empty()).map(str::to_owned).collect()
}

/// Fills in `clusterIP` and `clusterIPs` and reserves them; releases what `old` had and the new one has not.
pub fn allocate(
    call: &Call<'_>,
    service: &mut Value,
    old: Option<&Value>,
    mut txn: Txn,
    errors: &mut Errors,
) -> Result<Txn, ApiError> {
    let before = old.map(of).unwrap_or_default();
    if !has_address(service) || is_headless(service) {
        return match old {
            Some(old) => release(call, old, before, txn),
            None => Ok(txn),
        };
    }
    let (kind, resource) = call.app.resource_named("networking.k8s.io", "v1", "ipaddresses")?;
    let families: Vec<String> =
        json::items(service, "spec.ipFamilies").iter().filter_map(|f| f.as_str().map(str::to_owned)).collect();
    let mut chosen = of(service);
    chosen.truncate(families.len());
    for (i, family) in families.iter().enumerate() {
        let Some(range) = call.app.allocators.range_of(family) else { continue };
        match chosen.get(i) {
            Some(address) if before.contains(address) => {}
            Some(address) => {
                if let Err(why) = check(address, range, &resource) {
                    let shown = json::get(service, "spec.clusterIPs").clone();
                    let shown = if shown.is_null() { json!([address]) } else { shown };
                    let detail = format!("failed to allocate IP {address}: {why}");
                    errors.push(FieldError::invalid("spec.clusterIPs", &shown, &detail));
                }
            }
            None => match free(range, &resource, &chosen) {
                Some(address) => chosen.push(address.to_string()),
                None => {
                    return Err(ApiError::internal(format!("failed to allocate a serviceIP: range is full: {range}")));
                }
            },
        }
    }
    for address in chosen.iter().filter(|a| !before.contains(a)) {
        let mut object = ip_address(address, service);
        ownership::by_server(call, &kind, "", None, &mut object);
        let mut encoded = Vec::new();
        let offset = codec::encode_stored(&object, &kind.schema, &mut encoded);
        let key = resource.key("", address);
        txn = txn.expect(key.clone(), Expect::Absent).put(key, value::pack(&encoded, offset));
    }
    if let Some(spec) = json::child(service, "spec") {
        json::set(spec, "clusterIP", chosen.first().cloned().unwrap_or_default());
        json::set(spec, "clusterIPs", chosen.clone());
    }
    let given_up: Vec<String> = before.into_iter().filter(|a| !chosen.contains(a)).collect();
    match old {
        Some(old) if !given_up.is_empty() => release(call, old, given_up, txn),
        _ => Ok(txn),
    }
}

/// Deletes the IPAddress objects of a Service; one that belongs to something else stays.
pub fn release(call: &Call<'_>, service: &Value, addresses: Vec<String>, mut txn: Txn) -> Result<Txn, ApiError> {
    if addresses.is_empty() {
        return Ok(txn);
    }
    let (_, resource) = call.app.resource_named("networking.k8s.io", "v1", "ipaddresses")?;
    for address in addresses {
        let Some(object) = resource.get("", &address) else { continue };
        let object: Value = serde_json::from_slice(object.json()).unwrap_or_default();
        let owner = json::get(&object, "spec.parentRef");
        let same = |key: &str, path: &str| json::text(owner, key) == json::text(service, path);
        if same("name", "metadata.name") && same("namespace", "metadata.namespace") {
            txn = txn.delete(resource.key("", &address));
        }
    }
    Ok(txn)
}

fn check(address: &str, range: &IpRange, resource: &Resource) -> Result<(), String> {
    let Ok(parsed) = address.parse::<IpAddr>() else { return Err("not a valid IP".to_owned()) };
    if !range.allocatable(parsed) {
        return Err(format!(
            "the provided IP ({address}) is not in the valid range. The range of valid IPs is {range}"
        ));
    }
    if resource.get("", &parsed.to_string()).is_some() {
        return Err("provided IP is already allocated".to_owned());
    }
    Ok(())
}

/// A free address: random, from the upper band first, so that addresses that people choose by hand (the low ones)
/// stay free for them.
fn free(range: &IpRange, resource: &Resource, taken: &[String]) -> Option<IpAddr> {
    let usable = range.size() - 1;
    let low_band = (range.size() / 16).clamp(16, 256).min(usable / 2);
    let is_free = |offset: u128| {
        let address = range.at(offset);
        let text = address.to_string();
        (range.allocatable(address) && !taken.contains(&text) && resource.get("", &text).is_none()).then_some(address)
    };
    for _ in 0..RANDOM_PROBES {
        let offset = low_band + rand::random_range(0..usable - low_band);
        if let Some(address) = is_free(offset) {
            return Some(address);
        }
    }
    // A v6 range is never walked to its end: there are not that many objects.
    let walk = usable.min(1 << 20);
    let start = low_band + rand::random_range(0..usable - low_band);
    (0..walk).map(|i| 1 + (start - 1 + i) % usable.max(1)).find_map(is_free)
}

fn ip_address(address: &str, service: &Value) -> Value {
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {
            "name": address,
            "uid": crate::verbs::create::new_uid(),
            "creationTimestamp": crate::verbs::store::now(),
            "labels": {
                "ipaddress.kubernetes.io/ip-family": family,
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {
            "parentRef": {
                "resource": "services",
                "namespace": json::text(service, "metadata.namespace"),
                "name": json::text(service, "metadata.name"),
            },
        },
    })
}
