//! One user floods the server with lists, as `kubectl get` makes them, while another sends a GET now and then: what the second one notices.
//!
//! Both are impersonated, so the kubeconfig's user must be allowed to do that. The second user's latency is measured
//! without the flood first, then with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use http::Method;
use serde_json::json;

use super::client::Client;
use super::kubeconfig::Target;
use super::pace::Pace;
use super::scenario::{Run, Tally};

const FLOOD: &str = "kuorum-load-flood";
const VICTIM: &str = "kuorum-load-victim";
/// Requests per second of the victim, unless `--rate` says otherwise.
const VICTIM_RATE: f64 = 50.0;

/// What the victim met, and what there is to say of it.
pub struct Outcome {
    /// Under the flood.
    pub tally: Tally,
    pub notes: Vec<String>,
}

/// Lets both users do what they do, in the namespace of the run.
pub async fn prepare(run: &Run, client: &mut Client) -> Result<()> {
    let subject = |name: &str| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "kuorum-load"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [subject(FLOOD), subject(VICTIM)],
    });
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings", run.args.namespace);
    client.expect(Method::POST, &path, Bytes::from(binding.to_string()), &[201, 409]).await.map(drop)
}

pub async fn run(run: &Arc<Run>, target: &Target) -> Result<Outcome> {
    let victim = Client::connect(target).await?.as_user(VICTIM)?;
    let quiet = visit(run, victim.clone()).await?;
    ensure!(quiet.refused == 0, "the victim was refused before the flood began");

    let flood = Arc::new(Flood::default());
    let thread = std::thread::spawn({
        let (run, target, flood) = (run.clone(), target.clone(), flood.clone());
        move || flood.rise(&run, &target)
    });
    let flooded = visit(run, victim).await;
    flood.over.store(true, Ordering::Relaxed);
    thread.join().map_err(|_| anyhow!("the flood panicked"))??;
    let flooded = flooded?;
    let notes = vec![
        format!("victim, quiet:       {}", figures(&quiet.tally.latency_us)),
        format!("victim, in a flood:  {}, {} refused", figures(&flooded.tally.latency_us), flooded.refused),
        format!(
            "flood: {} lists served, {} refused",
            flood.served.load(Ordering::Relaxed),
            flood.refused.load(Ordering::Relaxed)
        ),
    ];
    Ok(Outcome { tally: flooded.tally, notes })
}

fn figures(latency_us: &Histogram<u64>) -> String {
    let at = |percentile| latency_us.value_at_percentile(percentile) as f64 / 1000.0;
    format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms, {} requests", at(50.0), at(99.0), at(100.0), latency_us.len())
}

struct Visit {
    tally: Tally,
    refused: u64,
}

/// The victim's requests, on schedule; each in a task of its own, so that a slow one does not hold back the next.
async fn visit(run: &Arc<Run>, client: Client) -> Result<Visit> {
    let rate = if run.args.rate > 0.0 { run.args.rate } else { VICTIM_RATE };
    let pace = Pace::new(run.args.requests, run.args.seconds, rate);
    let mut requests = Vec::new();
    while let Some(ticket) = pace.ticket().await {
        let (mut client, path) = (client.clone(), run.objects.path(&super::scenario::seeded(0)));
        requests.push(tokio::spawn(async move {
            let answer = client.exchange(Method::GET, &path, "", Bytes::new()).await;
            (ticket.due.elapsed(), answer)
        }));
    }
    let mut visit = Visit { tally: Tally::default(), refused: 0 };
    for request in requests {
        let (latency, answer) = request.await?;
        match answer {
            Ok((status, _)) if status.as_u16() == 429 => visit.refused += 1,
            Ok((status, bytes)) if status.is_success() => visit.tally.count(latency, Ok(bytes)),
            Ok((status, _)) => visit.tally.count(latency, Err(anyhow::anyhow!("{status}"))),
            Err(error) => visit.tally.count(latency, Err(error)),
        }
        run.progress.inc(1);
    }
    Ok(visit)
}

#[derive(Default)]
struct Flood {
    over: AtomicBool,
    served: AtomicU64,
    refused: AtomicU64,
}

impl Flood {
    /// All its requests, on a thread and on connections of its own: the victim's latency is the server's, not this
    /// process's.
    fn rise(&self, run: &Run, target: &Target) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut clients = Vec::new();
            for _ in 0..run.args.connections.min(run.args.concurrency) {
                clients.push(Client::connect(target).await?.as_user(FLOOD)?.as_kubectl());
            }
            let flows = (0..run.args.concurrency as usize).map(|i| self.flow(run, clients[i % clients.len()].clone()));
            try_join_all(flows).await.map(drop)
        })
    }

    /// Lists, as fast as it is answered; a refusal stops it no more than anything else.
    async fn flow(&self, run: &Run, mut client: Client) -> Result<()> {
        while !self.over.load(Ordering::Relaxed) {
            let (status, _) = client.exchange(Method::GET, &run.objects.collection, "", Bytes::new()).await?;
            let counter = if status.is_success() { &self.served } else { &self.refused };
            counter.fetch_add(1, Ordering::Relaxed);
            ensure!(status.is_success() || status.as_u16() == 429, "LIST: {status}");
        }
        Ok(())
    }
}
