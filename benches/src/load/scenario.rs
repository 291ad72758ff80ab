//! The request scenarios: what one request is, and the workers that send them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use rand::RngExt as _;
use serde_json::json;

use super::args::{Args, Scenario};
use super::client::Client;
use super::kubeconfig::Target;
use super::meter::Meter;
use super::objects::Objects;
use super::pace::Pace;
use super::report::{Report, histogram, record};
use super::{fairness, fanout};

/// Conflicts in a row after which a writer of `update-conflict` gives up and counts a failure.
const CONFLICTS_MAX: u32 = 10_000;

/// What one worker counted.
pub struct Tally {
    pub done: u64,
    pub failed: u64,
    pub conflicts: u64,
    pub bytes: u64,
    pub latency_us: Histogram<u64>,
    pub example: Option<String>,
}

impl Default for Tally {
    fn default() -> Self {
        Tally { done: 0, failed: 0, conflicts: 0, bytes: 0, latency_us: histogram(), example: None }
    }
}

impl Tally {
    /// Counts one finished request.
    pub fn count(&mut self, latency: Duration, outcome: Result<u64>) {
        match outcome {
            Ok(bytes) => {
                self.done += 1;
                self.bytes += bytes;
                record(&mut self.latency_us, latency);
            }
            Err(error) => {
                self.failed += 1;
                self.example.get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }

    pub fn merge(&mut self, other: Tally) {
        self.done += other.done;
        self.failed += other.failed;
        self.conflicts += other.conflicts;
        self.bytes += other.bytes;
        self.latency_us += other.latency_us;
        self.example = self.example.take().or(other.example);
    }
}

/// Everything that the workers of one run share.
pub struct Run {
    pub args: Args,
    pub objects: Objects,
    /// Tells the names of this run from those of earlier ones in the same namespace.
    pub tag: String,
    pub progress: ProgressBar,
}

/// Prepares the server, runs the scenario, reports.
pub async fn run(args: Args, target: Target) -> Result<Report> {
    let mut clients = Vec::new();
    let concurrency = if args.scenario == Scenario::CreateOneAtATime { 1 } else { args.concurrency };
    for _ in 0..args.connections.min(concurrency) {
        clients.push(Client::connect(&target).await?);
    }
    let progress = if args.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    progress.set_style(ProgressStyle::with_template("{spinner} {msg} {pos} ({per_sec}) {elapsed}")?);
    let tag = format!("{:08x}", rand::rng().random::<u32>());
    let run = Arc::new(Run { objects: Objects::new(&args), args, tag, progress });
    prepare(&run, &mut clients).await?;

    run.progress.set_position(0);
    run.progress.set_message(format!("{:?}", run.args.scenario));
    let meter = Meter::start(&run.args.pids)?;
    let mut notes = Vec::new();
    let tally = match run.args.scenario {
        Scenario::WatchFanOut => fanout::run(&run, &target, &clients).await?,
        Scenario::Fairness => {
            let outcome = fairness::run(&run, &target).await?;
            notes = outcome.notes;
            outcome.tally
        }
        _ => drive(&run, &clients, concurrency).await?,
    };
    let measured = meter.stop()?;
    run.progress.finish_and_clear();
    let args = &run.args;
    let settings = json!({
        "concurrency": concurrency, "connections": clients.len(), "rate": args.rate, "kind": format!("{:?}", args.kind),
        "size": args.size, "objects": args.objects, "limit": args.limit, "watchers": args.watchers,
    });
    let unit = if args.scenario == Scenario::WatchFanOut { "events" } else { "requests" };
    Ok(Report { unit, notes, ..measured.report(format!("{:?}", args.scenario), tally, settings) })
}

/// The namespace, and the objects that the scenario reads.
async fn prepare(run: &Arc<Run>, clients: &mut [Client]) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": run.args.namespace}});
    let body = Bytes::from(namespace.to_string());
    clients[0].expect(Method::POST, "/api/v1/namespaces", body, &[201, 409]).await?;
    if run.args.kind == super::args::ObjectKind::Pod {
        // A real API server admits a Pod only with its service account, which a controller would make.
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        let path = format!("/api/v1/namespaces/{}/serviceaccounts", run.args.namespace);
        clients[0].expect(Method::POST, &path, Bytes::from(account.to_string()), &[201, 409]).await?;
    }
    let needed = match run.args.scenario {
        Scenario::Get | Scenario::List | Scenario::ListPaged | Scenario::Mixed | Scenario::Fairness => run.args.objects,
        Scenario::UpdateConflict => 1,
        _ => 0,
    };
    if run.args.scenario == Scenario::Fairness {
        fairness::prepare(run, &mut clients[0]).await?;
    }
    run.progress.set_message("preparing objects");
    let pace = Arc::new(Pace::new(needed.max(1), 0.0, 0.0));
    if needed > 0 {
        let workers: Vec<_> = (0..64)
            .map(|i| {
                let (run, pace, mut client) = (run.clone(), pace.clone(), clients[i % clients.len()].clone());
                tokio::spawn(async move {
                    while let Some(ticket) = pace.ticket().await {
                        let body = run.objects.manifest(&seeded(ticket.number));
                        client.expect(Method::POST, &run.objects.collection, body, &[201, 409]).await?;
                        run.progress.inc(1);
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for worker in workers {
            worker.await??;
        }
    }
    Ok(())
}

/// The name of the n-th prepared object.
pub fn seeded(n: u64) -> String {
    format!("seed-{n:06}")
}

async fn drive(run: &Arc<Run>, clients: &[Client], concurrency: u32) -> Result<Tally> {
    let pace = Arc::new(Pace::new(run.args.requests, run.args.seconds, run.args.rate));
    let workers: Vec<_> = (0..concurrency as usize)
        .map(|i| {
            let (run, pace, mut client) = (run.clone(), pace.clone(), clients[i % clients.len()].clone());
            tokio::spawn(async move {
                let mut tally = Tally::default();
                while let Some(ticket) = pace.ticket().await {
                    let outcome = one(&run, &mut client, ticket.number, &mut tally.conflicts).await;
                    tally.count(ticket.due.elapsed(), outcome);
                    run.progress.inc(1);
                }
                tally
            })
        })
        .collect();
    let mut total = Tally::default();
    for worker in workers {
        total.merge(worker.await?);
    }
    Ok(total)
}

/// Sends the n-th request of the run; the size of the answer in bytes.
async fn one(run: &Run, client: &mut Client, n: u64, conflicts: &mut u64) -> Result<u64> {
    let objects = &run.objects;
    let dice: u32 = rand::rng().random_range(0..100);
    match run.args.scenario {
        Scenario::Create | Scenario::CreateOneAtATime => create(run, client, n).await,
        Scenario::Get => get(run, client).await,
        Scenario::List => plain(client, Method::GET, &objects.collection, "", Bytes::new(), 200).await,
        Scenario::ListPaged => page(run, client).await,
        Scenario::UpdateConflict => update(run, client, n, conflicts).await,
        Scenario::Mixed => match dice {
            0..70 => get(run, client).await,
            70..85 => create(run, client, n).await,
            85..95 => {
                let path = objects.path(&seeded(rand::rng().random_range(0..run.args.objects.max(1))));
                let patch = Bytes::from(json!({"metadata": {"annotations": {"n": n.to_string()}}}).to_string());
                plain(client, Method::PATCH, &path, "application/merge-patch+json", patch, 200).await
            }
            _ => page(run, client).await,
        },
        Scenario::WatchFanOut | Scenario::Fairness => bail!("{:?} has workers of its own", run.args.scenario),
    }
}

async fn create(run: &Run, client: &mut Client, n: u64) -> Result<u64> {
    let body = run.objects.manifest(&format!("run-{}-{n}", run.tag));
    plain(client, Method::POST, &run.objects.collection, "application/json", body, 201).await
}

async fn get(run: &Run, client: &mut Client) -> Result<u64> {
    let path = run.objects.path(&seeded(rand::rng().random_range(0..run.args.objects.max(1))));
    plain(client, Method::GET, &path, "", Bytes::new(), 200).await
}

async fn page(run: &Run, client: &mut Client) -> Result<u64> {
    let path = format!("{}?limit={}", run.objects.collection, run.args.limit);
    plain(client, Method::GET, &path, "", Bytes::new(), 200).await
}

/// Reads the one contended object and writes it back until its resourceVersion was still the newest.
async fn update(run: &Run, client: &mut Client, n: u64, conflicts: &mut u64) -> Result<u64> {
    let path = run.objects.path(&seeded(0));
    for _ in 0..CONFLICTS_MAX {
        let mut object = client.expect(Method::GET, &path, Bytes::new(), &[200]).await?;
        object["metadata"]["annotations"]["writer"] = json!(format!("{}-{n}", run.tag));
        let body = Bytes::from(object.to_string());
        match client.exchange(Method::PUT, &path, "application/json", body).await? {
            (status, bytes) if status.as_u16() == 200 => return Ok(bytes),
            (status, _) if status.as_u16() == 409 => *conflicts += 1,
            (status, _) => bail!("PUT {path}: {status}"),
        }
    }
    bail!("PUT {path}: {CONFLICTS_MAX} conflicts in a row")
}

async fn plain(client: &mut Client, method: Method, path: &str, kind: &str, body: Bytes, want: u16) -> Result<u64> {
    let (status, bytes) = client.exchange(method.clone(), path, kind, body).await?;
    if status.as_u16() != want {
        bail!("{method} {path}: {status}, expected {want}");
    }
    Ok(bytes)
}
