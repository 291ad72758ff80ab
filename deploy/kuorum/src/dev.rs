//! `kuorum dev`: a front-end and a one-member store in one process, with certificates and a kubeconfig of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use kuorum_apiserver::config::Config;
use kuorum_apiserver::server;
use kuorum_storage::Embedded;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::logging::{self, LogArgs};
use crate::pki::{self, layout::Layout};
use crate::probe::{self, Trust};
use crate::{files, kubeconfig, signals};

/// Name of the cluster, the context and the user in the kubeconfig.
const NAME: &str = "kuorum-dev";
/// Leaf certificates are renewed at a start this long before they end.
const RENEW_DAYS: u32 = 30;
const CERTIFICATE_DAYS: u32 = 365;
/// Between two questions whether the server is ready, and how long each may take.
const READY_PAUSE: Duration = Duration::from_millis(10);
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of `kuorum dev`: those of `kuorum apiserver`, and a directory.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Directory for the data, the certificates and the kubeconfig; made when it does not exist
    #[arg(long, value_name = "DIR", default_value = "./kuorum-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    log: LogArgs,
}

/// Runs until a signal, or until the store has to leave service.
pub async fn run(args: DevArgs) -> Result<()> {
    let start = Instant::now();
    logging::init(&args.log.log_level, args.log.log_format)?;
    let shutdown = signals::shutdown()?;

    files::create_private_dir(&args.data_dir).with_context(|| format!("make {}", args.data_dir.display()))?;
    let dir = args.data_dir.canonicalize().with_context(|| format!("open {}", args.data_dir.display()))?;
    // One recorder serves the process: the front-end's, whose /metrics is the one that can be reached.
    kuorum_apiserver::health::collect_metrics();
    // The store comes first: it holds the directory, so that two starts cannot both make certificates.
    let store = Embedded::start(&dir.join("store")).await?;
    let result = serve(&dir, args.config, &store, shutdown, start).await;
    store.shutdown().await;
    result
}

async fn serve(
    dir: &Path,
    mut config: Config,
    store: &Embedded,
    shutdown: CancellationToken,
    start: Instant,
) -> Result<()> {
    let layout = Layout::new(dir.join("pki"));
    certificates(&layout, &mut config)?;

    let connector = store.connector();
    let members = vec!["http://embedded".to_owned()];
    let front_end = kuorum_cache::Store::connect(kuorum_cache::Config::new(members, move |_| {
        let channel = connector.channel();
        async move { Ok(channel) }
    }));

    let (started, address) = oneshot::channel();
    // Nobody waits for the address any more when the server is about to end anyway.
    let started = move |address: SocketAddr| {
        let _ = started.send(address);
    };
    let mut server = std::pin::pin!(server::run_embedded(config, front_end, shutdown.clone(), started));
    let announced = announce(dir, &layout, address, start);
    let mut announced = std::pin::pin!(announced);
    let mut is_announced = false;
    let failure = loop {
        tokio::select! {
            served = &mut server => return served.map_err(Into::into),
            result = &mut announced, if !is_announced => match result {
                Ok(()) => is_announced = true,
                Err(error) => break error,
            },
            reason = store.fatal() => break anyhow!("the store left service: {reason}"),
        }
    };
    shutdown.cancel();
    // Requests that are being answered may end; what becomes of them no longer matters.
    let _ = server.await;
    Err(failure)
}

/// Makes or renews the certificates, and fills in the flags that name them where the user has not.
fn certificates(layout: &Layout, config: &mut Config) -> Result<()> {
    let mut sans: Vec<String> = Vec::new();
    sans.extend(
        [Some(config.bind_address), config.advertise_address]
            .into_iter()
            .flatten()
            .filter(|address| !address.is_unspecified())
            .map(|address| address.to_string()),
    );
    if !config.external_hostname.is_empty() {
        sans.push(config.external_hostname.clone());
    }
    let spec = pki::Spec {
        sans,
        members: Vec::new(),
        service_cluster_ip_range: config.service_cluster_ip_range.join(","),
        days: CERTIFICATE_DAYS,
    };
    pki::init(layout, &spec, false)?;
    for path in pki::rotate(layout, Some(RENEW_DAYS), CERTIFICATE_DAYS)? {
        tracing::info!(path = %path.display(), "renewed a certificate that was about to end");
    }
    pki::ensure_serving_names(layout, &spec)?;

    if config.tls_cert_file.is_none() {
        let pair = layout.apiserver();
        (config.tls_cert_file, config.tls_private_key_file) = (Some(pair.cert), Some(pair.key));
    }
    config.client_ca_file.get_or_insert_with(|| layout.ca().cert);
    if config.service_account_key_file.is_empty() {
        config.service_account_key_file.push(layout.service_account_public_key());
        config.service_account_signing_key_file.get_or_insert_with(|| layout.service_account_key());
    }
    Ok(())
}

/// Writes the kubeconfig and, once the server is ready, tells the user what to type next.
async fn announce(dir: &Path, layout: &Layout, address: oneshot::Receiver<SocketAddr>, start: Instant) -> Result<()> {
    // Without an address the server ends by itself, and says why.
    let Ok(address) = address.await else { return std::future::pending().await };
    let endpoint = format!("https://{}", reachable(address));
    let path = dir.join("kubeconfig");
    let ca = std::fs::read_to_string(layout.ca().cert).context("read the authority's certificate")?;
    kubeconfig::write(&path, &kubeconfig::build(NAME, &endpoint, &ca, &kubeconfig::admin(layout, NAME)?))?;
    while !is_ready(&endpoint).await {
        tokio::time::sleep(READY_PAUSE).await;
    }
    println!("kuorum {} is ready ({} ms)", env!("CARGO_PKG_VERSION"), start.elapsed().as_millis());
    println!("  endpoint:    {endpoint}");
    println!("  kubeconfig:  {}", path.display());
    println!("  next:        kubectl --kubeconfig {} get namespaces", path.display());
    Ok(())
}

/// Asks as a balancer would: through the port, so that "ready" means ready for a client.
async fn is_ready(endpoint: &str) -> bool {
    let url = format!("{endpoint}/readyz");
    // The certificate may be the user's own, from an authority that is not known here.
    let asked = tokio::task::spawn_blocking(move || probe::get(&url, &Trust::Anybody, READY_TIMEOUT)).await;
    // 401 is all that a server without anonymous access ever says to a balancer.
    asked.is_ok_and(|answer| answer.is_ok_and(|answer| matches!(answer.status.as_str(), "200" | "401")))
}

/// An address that a client on this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
