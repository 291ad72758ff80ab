//! Leader election: of several front-ends one runs the controllers. It holds a Lease and renews it; the others take it
//! when it has not been renewed for long enough by their own clocks, or was given back.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kuorum_kinds::value as json;
use kuorum_schema::time::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::app::App;
use crate::loopback::{Client, Refused};

/// As kube-controller-manager's `--leader-elect-lease-duration`, `-renew-deadline` and `-retry-period`.
const LEASE_DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY_PERIOD: Duration = Duration::from_secs(2);

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
/// Not kube-controller-manager's own: one that runs beside is not kept waiting.
const NAME: &str = "kuorum-controllers";

/// Runs `work` whenever this front-end leads, until the drain; `identity` is its own, and the same after a restart.
pub async fn run<F: Future<Output = ()>>(app: &Arc<App>, identity: &str, work: impl Fn() -> F) {
    let election = Election { client: Client::new(app.clone()), identity };
    loop {
        tokio::select! {
            () = election.acquire() => {}
            () = app.drain.cancelled() => return,
        }
        tracing::info!(identity, "running the controllers");
        tokio::select! {
            () = work() => {}
            () = election.hold() => tracing::warn!(identity, "the lease could not be renewed: controllers stop"),
            () = app.drain.cancelled() => return election.release().await,
        }
    }
}

/// What is known of the lease, and since when.
struct Seen {
    spec: Value,
    at: Instant,
}

struct Election<'a> {
    client: Client,
    identity: &'a str,
}

impl Election<'_> {
    /// Returns when this front-end leads.
    async fn acquire(&self) {
        let mut seen: Option<Seen> = None;
        loop {
            match self.try_acquire(&mut seen).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "the lease of the controllers is out of reach"),
            }
            tokio::time::sleep(RETRY_PERIOD).await;
        }
    }

    /// Returns when this front-end may no longer lead.
    async fn hold(&self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < RENEW_DEADLINE {
            tokio::time::sleep(RETRY_PERIOD).await;
            match self.try_acquire(&mut None).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                Err(error) => tracing::debug!(%error, "the lease of the controllers is not renewed"),
            }
        }
    }

    /// Takes or renews the lease, if it is free or this front-end's. Of several writers one wins.
    async fn try_acquire(&self, seen: &mut Option<Seen>) -> Result<bool, Refused> {
        let path = format!("{LEASES}/{NAME}");
        let now = Timestamp { seconds: crate::tls::unix_now(), nanos: 0 }.to_rfc3339_micro();
        let mut lease = match self.client.get(&path).await {
            Ok(lease) => lease,
            Err(refused) if refused.code == 404 => {
                let spec = claimed(&Value::Null, self.identity, &now);
                let lease = json!({
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}, "spec": spec,
                });
                return won(self.client.post(LEASES, &lease).await);
            }
            Err(refused) => return Err(refused),
        };
        let spec = json::get(&lease, "spec").clone();
        if seen.as_ref().is_none_or(|seen| seen.spec != spec) {
            *seen = Some(Seen { spec: spec.clone(), at: Instant::now() });
        }
        let expired = seen.as_ref().is_some_and(|seen| seen.at.elapsed() >= duration(&spec));
        let holder = json::text(&spec, "holderIdentity");
        if !(holder.is_empty() || holder == self.identity || expired) {
            return Ok(false);
        }
        json::set(&mut lease, "spec", claimed(&spec, self.identity, &now));
        won(self.client.put(&path, &lease).await)
    }

    /// Gives the lease back, so that another front-end need not wait.
    async fn release(&self) {
        let path = format!("{LEASES}/{NAME}");
        let Ok(mut lease) = self.client.get(&path).await else { return };
        if json::text(&lease, "spec.holderIdentity") != self.identity {
            return;
        }
        if let Some(spec) = json::child(&mut lease, "spec") {
            json::set(spec, "holderIdentity", "");
            json::set(spec, "leaseDurationSeconds", 1);
        }
        // Whoever was faster has it.
        let _ = self.client.put(&path, &lease).await;
    }
}

/// A lost race is no failure.
fn won(written: Result<Value, Refused>) -> Result<bool, Refused> {
    match written {
        Ok(_) => Ok(true),
        Err(refused) if refused.code == 409 => Ok(false),
        Err(refused) => Err(refused),
    }
}

/// How long the holder of a lease may take to renew it.
fn duration(spec: &Value) -> Duration {
    let seconds = json::int(spec, "leaseDurationSeconds").and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(LEASE_DURATION, Duration::from_secs)
}

/// The spec of the lease in the hands of `identity`.
fn claimed(before: &Value, identity: &str, now: &str) -> Value {
    let mine = json::text(before, "holderIdentity") == identity;
    let transitions = json::int(before, "leaseTransitions").unwrap_or(0);
    let first = before.is_null();
    json!({
        "holderIdentity": identity,
        "leaseDurationSeconds": LEASE_DURATION.as_secs(),
        "acquireTime": if mine { json::get(before, "acquireTime").clone() } else { now.into() },
        "renewTime": now,
        "leaseTransitions": if mine || first { transitions } else { transitions.saturating_add(1) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_are_counted() {
        let first = claimed(&Value::Null, "a", "t1");
        assert_eq!((&first["leaseTransitions"], &first["acquireTime"]), (&json!(0), &json!("t1")));
        let renewed = claimed(&first, "a", "t2");
        assert_eq!((&renewed["acquireTime"], &renewed["renewTime"]), (&json!("t1"), &json!("t2")));
        assert_eq!(renewed["leaseTransitions"], 0);
        let taken = claimed(&renewed, "b", "t3");
        assert_eq!((&taken["acquireTime"], &taken["leaseTransitions"]), (&json!("t3"), &json!(1)));
    }

    #[test]
    fn a_released_lease_is_short() {
        assert_eq!(duration(&json!({"leaseDurationSeconds": 1})), Duration::from_secs(1));
        assert_eq!(duration(&json!({"leaseDurationSeconds": -1})), LEASE_DURATION);
    }
}
