//! What every cluster has from its first second: system namespaces, the `kubernetes` Service and where it leads,
//! the Service address range, the system's priority classes.
//!
//! Idempotent, and any number of front-ends may do it at once: each object is created if it is absent.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kuorum_schema::time::Timestamp;
use serde_json::{Value, json};

use crate::app::App;
use crate::loopback::{Client, Refused};

/// How long to wait before trying again, while the store is away.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// How long a front-end's Lease speaks for it.
const LEASE_SECONDS: i64 = 3600;
/// Digits of the address's hash in the Lease's name: no two front-ends share one.
const LEASE_NAME_DIGITS: usize = 26;

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Makes the objects, however long the store takes to come, and marks the server as bootstrapped.
pub async fn run(app: Arc<App>, port: u16) {
    let client = Client::new(app.clone());
    loop {
        match ensure_all(&app, &client, port).await {
            Ok(()) => break,
            Err(error) => tracing::warn!(%error, "bootstrap is not complete yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_INTERVAL) => {}
            () = app.drain.cancelled() => return,
        }
    }
    app.bootstrapped.store(true, Ordering::Release);
}

async fn ensure_all(app: &App, client: &Client, port: u16) -> Result<(), Refused> {
    for name in NAMESPACES {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        ensure(client, "/api/v1/namespaces", name, &object).await?;
    }
    let cidrs: Vec<String> = app.allocators.addresses.iter().map(|r| r.to_string()).collect();
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"}, "spec": {"cidrs": cidrs},
    });
    if ensure(client, "/apis/networking.k8s.io/v1/servicecidrs", "kubernetes", &object).await? {
        let status = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
            "status": {"conditions": [{
                "type": "Ready", "status": "True", "reason": "", "lastTransitionTime": crate::verbs::store::now(),
                "message": "Kubernetes default Service CIDR is ready",
            }]},
        });
        client.put("/apis/networking.k8s.io/v1/servicecidrs/kubernetes/status", &status).await?;
    }
    for (name, value, description) in [
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    ] {
        let object = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name}, "value": value, "description": description,
        });
        ensure(client, "/apis/scheduling.k8s.io/v1/priorityclasses", name, &object).await?;
    }
    ensure_service(app, client, port).await?;
    ensure_config_maps(app, client).await?;
    announce(app, client, port).await
}

/// What extension servers and the token tracker look for.
async fn ensure_config_maps(app: &App, client: &Client) -> Result<(), Refused> {
    let path = "/api/v1/namespaces/kube-system/configmaps";
    let ca = app.config.client_ca_file.as_ref().and_then(|f| std::fs::read_to_string(f).ok()).unwrap_or_default();
    let today = crate::verbs::store::now();
    for (name, key, value) in [
        ("extension-apiserver-authentication", "client-ca-file", ca.as_str()),
        ("kube-apiserver-legacy-service-account-token-tracking", "since", today.split('T').next().unwrap_or("")),
    ] {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "kube-system"}, "data": {key: value},
        });
        ensure(client, path, name, &object).await?;
    }
    Ok(())
}

/// The Lease by which a front-end is known. Its name follows from the address, so that a restart renews it.
async fn announce(app: &App, client: &Client, port: u16) -> Result<(), Refused> {
    let holder = format!("{}:{port}", advertised(app));
    let name = format!("apiserver-{}", &crate::discovery::hash(holder.as_bytes()).to_lowercase()[..LEASE_NAME_DIGITS]);
    let renewed = Timestamp { seconds: crate::tls::unix_now(), nanos: 0 }.to_rfc3339_micro();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": name, "namespace": "kube-system",
            "labels": {"apiserver.kubernetes.io/identity": "kube-apiserver"},
        },
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": renewed},
    });
    let path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
    if ensure(client, path, &name, &lease).await? {
        return Ok(());
    }
    let path = format!("{path}/{name}");
    let mut current = client.get(&path).await?;
    current["spec"] = lease["spec"].clone();
    client.put(&path, &current).await.map(drop)
}

/// The `kubernetes` Service has the first address of the range; its endpoints are the front-ends.
async fn ensure_service(app: &App, client: &Client, port: u16) -> Result<(), Refused> {
    let address = app.allocators.addresses[0].at(1).to_string();
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": address, "type": "ClusterIP", "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    });
    ensure(client, "/api/v1/namespaces/default/services", "kubernetes", &service).await?;
    let own = advertised(app);
    if own.is_loopback() || own.is_unspecified() {
        // Not an address that another host could use; endpoints may not have it.
        return Ok(());
    }
    let own = own.to_string();
    let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    let family = if own.contains(':') { "IPv6" } else { "IPv4" };
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": family,
        "endpoints": [{"addresses": [own], "conditions": {"ready": true}}],
        "ports": ports,
    });
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    ensure_member(client, path, &slice, |object| {
        let endpoints = object.get_mut("endpoints").and_then(Value::as_array_mut)?;
        let known = endpoints.iter().any(|e| e["addresses"][0] == own.as_str());
        (!known).then(|| endpoints.push(json!({"addresses": [own], "conditions": {"ready": true}})))
    })
    .await?;
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{"addresses": [{"ip": own}], "ports": ports}],
    });
    ensure_member(client, "/api/v1/namespaces/default/endpoints", &endpoints, |object| {
        let addresses = object.get_mut("subsets")?.get_mut(0)?.get_mut("addresses")?.as_array_mut()?;
        let known = addresses.iter().any(|a| a["ip"] == own.as_str());
        (!known).then(|| addresses.push(json!({"ip": own})))
    })
    .await
}

/// Creates an object if it is absent. Returns whether it was.
async fn ensure(client: &Client, path: &str, name: &str, object: &Value) -> Result<bool, Refused> {
    match client.get(&format!("{path}/{name}")).await {
        Ok(_) => return Ok(false),
        Err(refused) if refused.code == 404 => {}
        Err(refused) => return Err(refused),
    }
    match client.post(path, object).await {
        Ok(_) => Ok(true),
        // Another front-end was faster.
        Err(refused) if refused.code == 409 => Ok(false),
        Err(refused) => Err(refused),
    }
}

/// Creates an object, or adds this server to it. `add` returns `None` if it is in there already.
async fn ensure_member(
    client: &Client,
    path: &str,
    object: &Value,
    add: impl Fn(&mut Value) -> Option<()>,
) -> Result<(), Refused> {
    if ensure(client, path, "kubernetes", object).await? {
        return Ok(());
    }
    let path = format!("{path}/kubernetes");
    let mut current = client.get(&path).await?;
    if add(&mut current).is_some() {
        client.put(&path, &current).await?;
    }
    Ok(())
}

/// The address under which others reach this server.
pub fn advertised(app: &App) -> IpAddr {
    if let Some(address) = app.config.advertise_address {
        return address;
    }
    if !app.config.bind_address.is_unspecified() && !app.config.bind_address.is_loopback() {
        return app.config.bind_address;
    }
    // The address of the interface with the default route. No packet is sent: UDP's connect only picks a route.
    let route = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        socket.local_addr().ok()
    };
    route().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |a| a.ip())
}
