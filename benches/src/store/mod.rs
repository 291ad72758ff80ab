//! kuorum's store beside etcd: the same keys and values, the same concurrency, the same transaction (put if absent)
//! and the same linearizable read, each through the client that an API server would use.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use rand::RngExt as _;
use tokio::sync::mpsc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::load::meter::Meter;
use crate::load::pace::Pace;
use crate::load::report::Report;
use crate::load::scenario::Tally;

pub mod etcd;
pub mod kuorum;

/// Drives three store members and reports rates, latency and what the servers used.
#[derive(Parser, Debug, Clone)]
#[command(name = "kuorum-store-load", version)]
pub struct Args {
    /// Which store listens at the endpoints.
    #[arg(value_enum)]
    pub store: StoreKind,
    /// What to do.
    #[arg(value_enum)]
    pub operation: Operation,
    /// Client URLs of the members; requests go to the leader.
    #[arg(long, value_delimiter = ',', required = true)]
    pub endpoints: Vec<String>,
    /// TLS material, for `https` endpoints.
    #[arg(long)]
    pub cacert: Option<std::path::PathBuf>,
    #[arg(long)]
    pub cert: Option<std::path::PathBuf>,
    #[arg(long)]
    pub key: Option<std::path::PathBuf>,
    /// Operations in flight.
    #[arg(short = 'c', long, default_value_t = 128)]
    pub concurrency: u32,
    #[arg(short = 's', long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Bytes in a value.
    #[arg(long, default_value_t = 1024)]
    pub size: usize,
    /// Keys that exist before reads begin.
    #[arg(long, default_value_t = 1000)]
    pub keys: u64,
    /// Process ids of the members: their CPU time and peak memory go into the report.
    #[arg(long, value_delimiter = ',')]
    pub pids: Vec<u32>,
    #[arg(long)]
    pub json: Option<std::path::PathBuf>,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    Kuorum,
    Etcd,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Put of a new key, if it is absent.
    Create,
    /// Linearizable read of one key.
    Read,
}

/// One operation, to be answered through `done`.
pub struct Request {
    pub operation: Operation,
    pub key: Bytes,
    pub value: Bytes,
    pub done: tokio::sync::oneshot::Sender<Result<()>>,
}

/// Where workers hand in their requests.
pub type Handle = mpsc::Sender<Request>;

/// A channel to one member.
pub async fn channel(args: &Args, url: &str) -> Result<Channel> {
    let mut endpoint = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true);
    if url.starts_with("https:") {
        let read = |path: &Option<std::path::PathBuf>| {
            std::fs::read(path.as_deref().context("https needs --cacert, --cert and --key")?)
                .map_err(anyhow::Error::from)
        };
        let identity = Identity::from_pem(read(&args.cert)?, read(&args.key)?);
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&args.cacert)?)).identity(identity);
        endpoint = endpoint.tls_config(tls)?;
    }
    endpoint.connect().await.with_context(|| url.to_owned())
}

/// Runs one comparison and reports.
pub async fn run(args: Args) -> Result<Report> {
    let handle = match args.store {
        StoreKind::Etcd => etcd::start(&args).await?,
        StoreKind::Kuorum => kuorum::start(&args).await?,
    };
    let tag = format!("{:08x}", rand::rng().random::<u32>());
    let value = Bytes::from(vec![b'v'; args.size]);
    if args.operation == Operation::Read {
        let fill = Arc::new(Pace::new(args.keys.max(1), 0.0, 0.0));
        drive(&args, &handle, fill, |n| (Operation::Create, seeded(&tag, n), value.clone()), 64).await?;
    }
    let meter = Meter::start(&args.pids)?;
    let pace = Arc::new(Pace::new(0, args.seconds, 0.0));
    let tally = drive(
        &args,
        &handle,
        pace,
        |n| match args.operation {
            Operation::Create => {
                (Operation::Create, Bytes::from(format!("/registry/core/configmaps/bench/{tag}-{n}")), value.clone())
            }
            Operation::Read => {
                (Operation::Read, seeded(&tag, rand::rng().random_range(0..args.keys.max(1))), Bytes::new())
            }
        },
        args.concurrency,
    )
    .await?;
    let measured = meter.stop()?;
    let settings = serde_json::json!({"concurrency": args.concurrency, "size": args.size, "keys": args.keys});
    Ok(measured.report(format!("{:?} {:?}", args.store, args.operation), tally, settings))
}

fn seeded(tag: &str, n: u64) -> Bytes {
    Bytes::from(format!("/registry/core/configmaps/bench/seed-{tag}-{n:06}"))
}

/// Runs `concurrency` workers on this task's thread until the pace ends.
async fn drive(
    args: &Args,
    handle: &Handle,
    pace: Arc<Pace>,
    request: impl Fn(u64) -> (Operation, Bytes, Bytes),
    concurrency: u32,
) -> Result<Tally> {
    let worker = || async {
        let mut tally = Tally::default();
        while let Some(ticket) = pace.ticket().await {
            let (operation, key, value) = request(ticket.number);
            let (done, answer) = tokio::sync::oneshot::channel();
            let sent = handle.send(Request { operation, key, value, done }).await;
            let outcome = match sent {
                Ok(()) => answer.await.unwrap_or_else(|_| bail_gone()),
                Err(_) => bail_gone(),
            };
            tally.count(ticket.due.elapsed(), outcome.map(|()| args.size as u64));
        }
        tally
    };
    let mut total = Tally::default();
    for tally in futures_util::future::join_all((0..concurrency).map(|_| worker())).await {
        total.merge(tally);
    }
    if total.done == 0 {
        bail!("no operation succeeded: {}", total.example.unwrap_or_default());
    }
    Ok(total)
}

fn bail_gone() -> Result<()> {
    bail!("the connection to the store is gone")
}

/// How long one operation may take before it counts as failed.
pub const TIMEOUT: Duration = Duration::from_secs(10);
