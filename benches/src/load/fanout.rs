//! Watch fan-out: many watches of one collection, and how long each created object takes to reach every one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, Bytes, BytesMut};
use http::Method;
use http_body_util::BodyExt as _;
use serde::Deserialize;

use super::client::Client;
use super::kubeconfig::Target;
use super::pace::Pace;
use super::report::record;
use super::scenario::{Run, Tally};

/// Watches on one connection: below the 100 streams that servers commonly allow.
const WATCHES_PER_CONNECTION: usize = 50;
/// A watch that is behind by this long after the last create counts what it missed as failed.
const DRAIN: Duration = Duration::from_secs(30);

/// When each object of the run was sent.
type Sent = Arc<Mutex<HashMap<String, Instant>>>;

/// Opens the watches, creates objects at the pace of the run, waits until every watch has seen every object.
pub async fn run(run: &Arc<Run>, target: &Target, clients: &[Client]) -> Result<Tally> {
    let mut first = clients[0].clone();
    let list = first.expect(Method::GET, &format!("{}?limit=1", run.objects.collection), Bytes::new(), &[200]).await?;
    let version = list["metadata"]["resourceVersion"].as_str().context("a list without resourceVersion")?;
    let path = format!("{}?watch=1&resourceVersion={version}&timeoutSeconds=600", run.objects.collection);
    let sent: Sent = Arc::default();
    let (total, wanted) = tokio::sync::watch::channel(u64::MAX);

    let mut watches = Vec::new();
    let mut client = Client::connect(target).await?;
    for i in 0..run.args.watchers as usize {
        if i > 0 && i % WATCHES_PER_CONNECTION == 0 {
            client = Client::connect(target).await?;
        }
        let response = client.clone().send(Method::GET, &path, "", Bytes::new()).await?;
        if response.status() != 200 {
            bail!("GET {path}: {}", response.status());
        }
        watches.push(tokio::spawn(follow(run.clone(), response.into_body(), sent.clone(), wanted.clone())));
    }

    let pace = Arc::new(Pace::new(run.args.requests, run.args.seconds, run.args.rate));
    let creators: Vec<_> = (0..run.args.concurrency as usize)
        .map(|i| {
            let (run, pace, sent) = (run.clone(), pace.clone(), sent.clone());
            let mut client = clients[i % clients.len()].clone();
            tokio::spawn(async move {
                let mut created = 0;
                while let Some(ticket) = pace.ticket().await {
                    let name = format!("fan-{}-{}", run.tag, ticket.number);
                    let body = run.objects.manifest(&name);
                    lock(&sent).insert(name, Instant::now());
                    client.expect(Method::POST, &run.objects.collection, body, &[201]).await?;
                    created += 1;
                }
                anyhow::Ok(created)
            })
        })
        .collect();
    let mut created: u64 = 0;
    for creator in creators {
        created += creator.await??;
    }
    total.send_replace(created);
    let mut tally = Tally::default();
    for watch in watches {
        tally.merge(watch.await?);
    }
    Ok(tally)
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
}

/// Reads one watch until it has seen as many objects as `wanted` says, once that is known.
async fn follow(
    run: Arc<Run>,
    mut body: hyper::body::Incoming,
    sent: Sent,
    mut wanted: tokio::sync::watch::Receiver<u64>,
) -> Tally {
    let mut tally = Tally::default();
    let mut rest = BytesMut::new();
    let mut deadline = None;
    while tally.done < *wanted.borrow_and_update() {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            _ = wanted.changed() => { deadline = Some(tokio::time::Instant::now() + DRAIN); continue }
            () = async { match deadline { Some(at) => tokio::time::sleep_until(at).await, None => std::future::pending().await } } => None,
        };
        let Some(Ok(frame)) = frame else { break };
        let Some(data) = frame.data_ref() else { continue };
        rest.extend_from_slice(data);
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            if let Some(started) = arrival(&rest[..end], &sent) {
                run.progress.inc(1);
                tally.done += 1;
                tally.bytes += end as u64;
                record(&mut tally.latency_us, started.elapsed());
            }
            rest.advance(end + 1);
        }
    }
    let wanted = *wanted.borrow();
    if wanted != u64::MAX && tally.done < wanted {
        tally.failed += wanted - tally.done;
        tally.example = Some(format!("a watch ended after {} of {wanted} events", tally.done));
    }
    tally
}

/// When the object that `line` announces was sent, if it is one of this run.
fn arrival(line: &[u8], sent: &Sent) -> Option<Instant> {
    let event: Event = serde_json::from_slice(line).ok()?;
    if event.kind != "ADDED" {
        return None;
    }
    lock(sent).get(&event.object.metadata.name).copied()
}

fn lock(sent: &Sent) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
    sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
