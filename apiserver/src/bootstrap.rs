//! What every cluster has from its first second: system namespaces, the `kubernetes` Service and where it leads,
//! the Service address range, the system's priority classes.
//!
//! Idempotent, and any number of front-ends may do it at once: each object is created if it is absent. What names the
//! front-ends themselves is kept true while they run: [`endpoints`], [`identity`].

mod endpoints;
mod identity;
mod rbac;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::App;
use crate::loopback::{Client, Refused};

/// How long to wait before trying again, while the store is away.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// How often a front-end says that it is there, as kube-apiserver's.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a front-end that stops takes at most to say so.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(3);

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

/// Keeps the objects that name this front-end true until it stops; then takes it out of the endpoints.
pub async fn keep(app: Arc<App>, port: u16) {
    let client = Client::new(app.clone());
    loop {
        tokio::select! {
            () = tokio::time::sleep(PRESENCE_INTERVAL) => {}
            () = app.shutdown.cancelled() => break,
        }
        // One that fails is tried again at the next tick, and does not hold the other up.
        if let Err(error) = endpoints::reconcile(&app, &client, port).await {
            tracing::warn!(%error, "the endpoints of the kubernetes Service are not renewed");
        }
        if let Err(error) = identity::renew(&app, &client, port).await {
            tracing::warn!(%error, "the identity Lease is not renewed");
        }
    }
    match tokio::time::timeout(FAREWELL_TIMEOUT, endpoints::leave(&app, &client, port)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "still among the endpoints, until its lease expires"),
        Err(_) => tracing::warn!("still among the endpoints, until its lease expires: no answer in time"),
    }
}

async fn ensure_all(app: &App, client: &Client, port: u16) -> Result<(), endpoints::ReconcileError> {
    for name in NAMESPACES {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        ensure(client, "/api/v1/namespaces", name, &object).await?;
    }
    rbac::ensure(client).await?;
    let cidrs: Vec<String> = app.allocators.addresses.iter().map(|r| r.to_string()).collect();
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"}, "spec": {"cidrs": cidrs},
    });
    if ensure(client, "/apis/networking.k8s.io/v1/servicecidrs", "kubernetes", &object).await? {
        let status = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
            "status": {"conditions": [{
                "type": "Ready", "status": "True", "lastTransitionTime": crate::verbs::store::now(),
                "message": "Kubernetes default Service CIDR is ready",
            }]},
        });
        // As the controller of the real server does it.
        let owner = "fieldManager=kubernetes-service-cidr-controller&force=true";
        client.apply(&format!("/apis/networking.k8s.io/v1/servicecidrs/kubernetes/status?{owner}"), &status).await?;
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
    endpoints::reconcile(app, client, port).await?;
    ensure_config_maps(app, client).await?;
    Ok(identity::renew(app, client, port).await?)
}

/// What extension servers and the token tracker look for.
async fn ensure_config_maps(app: &App, client: &Client) -> Result<(), Refused> {
    let path = "/api/v1/namespaces/kube-system/configmaps";
    let name = "kube-apiserver-legacy-service-account-token-tracking";
    let today = crate::verbs::store::now();
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "kube-system"},
        "data": {"since": today.split('T').next().unwrap_or_default()},
    });
    ensure(client, path, name, &object).await?;
    crate::auth::trust::reconcile(&app.config, client).await
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
