//! The Lease by which a front-end is known, `kube-system/apiserver-<hash>`: renewed while it runs. Leases of front-ends
//! that have long gone are collected.

use std::sync::LazyLock;

use kuorum_kinds::value as json;
use kuorum_schema::time::Timestamp;
use serde_json::{Value, json};

use super::{advertised, ensure};
use crate::app::App;
use crate::loopback::{Client, Refused};
use crate::tls::unix_now;

/// How long a front-end's Lease speaks for it.
const LEASE_SECONDS: i64 = 3600;
/// Digits of the address's hash in the Lease's name: no two front-ends share one.
const NAME_DIGITS: usize = 26;
/// How many renewals lie between two looks for expired Leases: a minute.
const RENEWALS_PER_COLLECTION: i64 = 6;

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const LABEL: &str = "apiserver.kubernetes.io/identity";

/// Tells this process from others of the same name, before and after it.
static LIFE: LazyLock<uuid::Uuid> = LazyLock::new(uuid::Uuid::new_v4);

/// Creates or renews this front-end's Lease, and now and then collects expired ones. The name follows from the
/// address, so that a restart renews it.
pub async fn renew(app: &App, client: &Client, port: u16) -> Result<(), Refused> {
    let address = format!("{}:{port}", advertised(app));
    let digest = crate::discovery::hash(address.as_bytes()).to_lowercase();
    let name = format!("apiserver-{}", digest.get(..NAME_DIGITS).unwrap_or(&digest));
    let now = unix_now();
    let spec = json!({
        "holderIdentity": format!("{name}_{}", *LIFE),
        "leaseDurationSeconds": LEASE_SECONDS,
        "renewTime": Timestamp { seconds: now, nanos: 0 }.to_rfc3339_micro(),
    });
    let mut labels = json!({LABEL: "kube-apiserver"});
    if let Some(host) = hostname() {
        labels["kubernetes.io/hostname"] = host.into();
    }
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-system", "labels": labels}, "spec": spec,
    });
    if !ensure(client, LEASES, &name, &lease).await? {
        let path = format!("{LEASES}/{name}");
        let mut current = client.get(&path).await?;
        current["spec"] = spec;
        client.put(&path, &current).await?;
    }
    if now / super::PRESENCE_INTERVAL.as_secs() as i64 % RENEWALS_PER_COLLECTION == 0 {
        collect(client, now).await?;
    }
    Ok(())
}

async fn collect(client: &Client, now: i64) -> Result<(), Refused> {
    let list = client.get(&format!("{LEASES}?labelSelector={LABEL}%3Dkube-apiserver")).await?;
    for lease in json::items(&list, "items").iter().filter(|lease| is_expired(lease, now)) {
        let name = json::text(lease, "metadata.name");
        match client.delete(&format!("{LEASES}/{name}")).await {
            Ok(_) => tracing::info!(lease = name, "collected the Lease of a front-end that is gone"),
            // Another front-end was faster.
            Err(refused) if refused.code == 404 => {}
            Err(refused) => return Err(refused),
        }
    }
    Ok(())
}

/// Whether a Lease has run out. One that was never renewed has.
fn is_expired(lease: &Value, now: i64) -> bool {
    let duration = json::int(lease, "spec.leaseDurationSeconds").unwrap_or(0);
    match Timestamp::parse(json::text(lease, "spec.renewTime")) {
        Ok(renewed) => renewed.seconds.saturating_add(duration) < now,
        Err(_) => true,
    }
}

/// This host's name, if it makes a label's value.
fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let fits = plain && name.len() <= 63 && ends(name.as_bytes().first()) && ends(name.as_bytes().last());
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_expires_behind_its_duration() {
        let lease = |time: &str| json!({"spec": {"leaseDurationSeconds": 3600, "renewTime": time}});
        let renewed = Timestamp::parse("2026-01-01T00:00:00.000000Z").unwrap().seconds;
        let one = lease("2026-01-01T00:00:00.000000Z");
        assert!(!is_expired(&one, renewed + 3600));
        assert!(is_expired(&one, renewed + 3601));
        assert!(is_expired(&lease(""), renewed));
        assert!(is_expired(&json!({}), renewed));
    }
}
