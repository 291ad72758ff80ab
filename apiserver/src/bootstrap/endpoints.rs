//! The `kubernetes` Service leads to the front-ends that live. Each holds a lease, a key of its own that the store
//! deletes when it is not renewed; Service, Endpoints and EndpointSlice follow from the leases that there are, and are
//! repaired if somebody changed them. As kube-apiserver's lease reconciler.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kuorum_cache::{ResourceSpec, Txn, value};
use kuorum_kinds::value as json;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{advertised, ensure};
use crate::app::App;
use crate::loopback::{Client, Refused};
use crate::status::ApiError;
use crate::verbs::store::store_error;

/// Not a kind: nothing but this module reads these keys.
const PREFIX: &str = "/registry/kuorum/masterleases/";
/// A front-end that has not renewed its lease for so long is gone.
const LEASE_SECONDS: u64 = 15;
/// How long the store may take.
const TIMEOUT: Duration = Duration::from_secs(5);

const SERVICES: &str = "/api/v1/namespaces/default/services";
const ENDPOINTS: &str = "/api/v1/namespaces/default/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

/// What the cache holds of the leases.
pub fn resource_spec() -> ResourceSpec {
    ResourceSpec { prefix: PREFIX.to_owned(), namespaced: false, fields: Vec::new() }
}

/// Why the objects are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("lease: {0}")]
    Lease(ApiError),
}

/// Renews this front-end's lease, and makes the objects follow the leases.
pub async fn reconcile(app: &App, client: &Client, port: u16) -> Result<(), ReconcileError> {
    let own = advertised(app);
    // Not an address that another host could use; endpoints may not have it.
    let announces = !own.is_loopback() && !own.is_unspecified();
    if announces {
        let name = SocketAddr::new(own, port).to_string();
        let txn = Txn::new().put_with_ttl([PREFIX, &name].concat(), lease(&name), LEASE_SECONDS);
        app.store.commit(txn, Instant::now() + TIMEOUT).await.map_err(|e| ReconcileError::Lease(store_error(e)))?;
    }
    let front_ends = leases(app).await?;
    ensure_service(app, client, front_ends.as_ref().map_or(port, |front_ends| front_ends.port)).await?;
    match front_ends {
        Some(front_ends) => publish(client, &front_ends).await,
        None => Ok(()),
    }
}

/// Takes this front-end out. The last one stays: nobody is better off without an address.
pub async fn leave(app: &App, client: &Client, port: u16) -> Result<(), ReconcileError> {
    let name = SocketAddr::new(advertised(app), port).to_string();
    let txn = Txn::new().delete([PREFIX, &name].concat());
    app.store.commit(txn, Instant::now() + TIMEOUT).await.map_err(|e| ReconcileError::Lease(store_error(e)))?;
    match leases(app).await? {
        Some(front_ends) => publish(client, &front_ends).await,
        None => Ok(()),
    }
}

/// A lease's value: the name in the key, and a place for the revision, as every stored value has.
fn lease(name: &str) -> bytes::Bytes {
    const HEAD: &str = "{\"metadata\":{";
    value::pack(format!("{HEAD}\"name\":{}}}}}", Value::from(name)).as_bytes(), HEAD.len() as u32)
}

/// The front-ends as endpoints know them: addresses of one family, one port for all.
#[derive(Debug, PartialEq)]
struct FrontEnds {
    addresses: Vec<IpAddr>,
    port: u16,
}

impl FrontEnds {
    /// `None` where there are none. Of several ports, or families, that of the first address counts: the objects must
    /// not change with whoever looks.
    fn of(mut leases: Vec<SocketAddr>) -> Option<Self> {
        leases.sort();
        let first = *leases.first()?;
        let mut addresses: Vec<IpAddr> = leases.iter().map(SocketAddr::ip).collect();
        addresses.retain(|address| address.is_ipv4() == first.is_ipv4());
        addresses.dedup();
        Some(FrontEnds { addresses, port: first.port() })
    }

    fn ports(&self) -> Value {
        json!([{"name": "https", "port": self.port, "protocol": "TCP"}])
    }

    fn subsets(&self) -> Value {
        let addresses: Vec<Value> = self.addresses.iter().map(|ip| json!({"ip": ip.to_string()})).collect();
        json!([{"addresses": addresses, "ports": self.ports()}])
    }

    fn endpoints(&self) -> Value {
        let endpoint = |ip: &IpAddr| json!({"addresses": [ip.to_string()], "conditions": {"ready": true}});
        self.addresses.iter().map(endpoint).collect()
    }

    fn family(&self) -> &'static str {
        if self.addresses.first().is_some_and(IpAddr::is_ipv6) { "IPv6" } else { "IPv4" }
    }
}

async fn leases(app: &App) -> Result<Option<FrontEnds>, ReconcileError> {
    let deadline = Instant::now() + TIMEOUT;
    app.store.fence(deadline).await.map_err(|e| ReconcileError::Lease(store_error(e)))?;
    let resource = app.store.register(resource_spec());
    resource.wait_loaded(deadline).await.map_err(|e| ReconcileError::Lease(store_error(e)))?;
    let snapshot = resource.snapshot();
    Ok(FrontEnds::of(snapshot.iter().filter_map(|lease| lease.name().parse().ok()).collect()))
}

async fn publish(client: &Client, front_ends: &FrontEnds) -> Result<(), ReconcileError> {
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": front_ends.subsets(),
    });
    ensure_same(client, ENDPOINTS, &endpoints, &["subsets"]).await?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": front_ends.family(),
        "endpoints": front_ends.endpoints(),
        "ports": front_ends.ports(),
    });
    ensure_same(client, SLICES, &slice, &["endpoints", "ports"]).await
}

/// Creates an object called `kubernetes`, or repairs it: these fields, and the labels.
async fn ensure_same(client: &Client, path: &str, wanted: &Value, fields: &[&str]) -> Result<(), ReconcileError> {
    if ensure(client, path, "kubernetes", wanted).await? {
        return Ok(());
    }
    let path = format!("{path}/kubernetes");
    let current = client.get(&path).await?;
    // The family of a slice cannot change: it is made anew.
    if json::text(&current, "addressType") != json::text(wanted, "addressType") {
        client.delete(&path).await?;
        return Ok(());
    }
    match repaired(&current, wanted, fields) {
        Some(object) => Ok(client.put(&path, &object).await.map(drop)?),
        None => Ok(()),
    }
}

/// The object with the wanted fields and labels, if it lacks any.
fn repaired(current: &Value, wanted: &Value, fields: &[&str]) -> Option<Value> {
    let mut object = current.clone();
    for field in fields {
        object[*field] = wanted[*field].clone();
    }
    let labels = json::entries(wanted, "metadata.labels").map(|(key, value)| (key.to_owned(), value.clone()));
    if let Some(own) = json::child(&mut object, "metadata").and_then(|meta| json::child(meta, "labels")) {
        labels.for_each(|(key, value)| json::set(own, &key, value));
    }
    (object != *current).then_some(object)
}

/// The `kubernetes` Service has the first address of the range.
async fn ensure_service(app: &App, client: &Client, port: u16) -> Result<(), ReconcileError> {
    let address = app.allocators.addresses[0].at(1).to_string();
    let ports = json!([{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]);
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {"clusterIP": address, "type": "ClusterIP", "sessionAffinity": "None", "ipFamilyPolicy": "SingleStack", "ports": ports},
    });
    if ensure(client, SERVICES, "kubernetes", &service).await? {
        return Ok(());
    }
    let path = format!("{SERVICES}/kubernetes");
    let current = client.get(&path).await?;
    match repaired_service(&current, &ports) {
        Some(object) => Ok(client.put(&path, &object).await.map(drop)?),
        None => Ok(()),
    }
}

fn repaired_service(current: &Value, ports: &Value) -> Option<Value> {
    if json::text(current, "spec.type") == "ClusterIP" && current["spec"]["ports"] == *ports {
        return None;
    }
    let mut object = current.clone();
    object["spec"]["type"] = "ClusterIP".into();
    object["spec"]["ports"] = ports.clone();
    Some(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front_ends(leases: &[&str]) -> Option<FrontEnds> {
        FrontEnds::of(leases.iter().map(|lease| lease.parse().unwrap()).collect())
    }

    #[test]
    fn endpoints_follow_the_leases_whoever_looks() {
        assert_eq!(front_ends(&[]), None);
        let two = front_ends(&["10.0.0.2:6443", "10.0.0.1:6443"]).unwrap();
        assert_eq!(two, front_ends(&["10.0.0.1:6443", "10.0.0.2:6443"]).unwrap());
        assert_eq!(
            two.subsets(),
            json!([{
                "addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}],
                "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
            }])
        );
        assert_eq!(two.endpoints()[1]["addresses"], json!(["10.0.0.2"]));
        // Two on one host: the address is there once, with a port that is right.
        let same = front_ends(&["10.0.0.1:6444", "10.0.0.1:6443"]).unwrap();
        assert_eq!((same.addresses.len(), same.port), (1, 6443));
        let mixed = front_ends(&["[fd00::1]:6443", "10.0.0.1:6443"]).unwrap();
        assert_eq!((mixed.addresses.len(), mixed.family()), (1, "IPv4"));
        assert_eq!(front_ends(&["[fd00::1]:6443"]).unwrap().family(), "IPv6");
    }

    #[test]
    fn only_what_is_wrong_is_written() {
        let wanted = json!({"metadata": {"labels": {"a": "1"}}, "subsets": [1]});
        let mut object = json!({"metadata": {"name": "kubernetes", "labels": {"a": "1", "own": "x"}}, "subsets": [1]});
        assert_eq!(repaired(&object, &wanted, &["subsets"]), None);
        object["subsets"] = json!([1, 2]);
        object["metadata"]["labels"]["a"] = "2".into();
        let repaired = repaired(&object, &wanted, &["subsets"]).unwrap();
        assert_eq!(repaired["subsets"], json!([1]));
        assert_eq!(repaired["metadata"]["labels"], json!({"a": "1", "own": "x"}));

        let ports = json!([{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]);
        let service = json!({"spec": {"type": "ClusterIP", "ports": ports, "clusterIP": "10.0.0.1"}});
        assert_eq!(repaired_service(&service, &ports), None);
        let changed = json!({"spec": {"type": "NodePort", "ports": ports, "clusterIP": "10.0.0.1"}});
        assert_eq!(repaired_service(&changed, &ports), Some(service));
    }

    #[test]
    fn a_lease_is_a_stored_value() {
        let packed = lease("10.0.0.1:6443");
        let (offset, json) = value::unpack(&packed).unwrap();
        let spliced: Value = serde_json::from_slice(&value::splice(json, offset, 7)).unwrap();
        assert_eq!(spliced, json!({"metadata": {"name": "10.0.0.1:6443", "resourceVersion": "7"}}));
    }
}
