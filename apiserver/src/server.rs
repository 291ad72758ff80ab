//! The server: listens, terminates TLS, hands requests to the layers, drains.
//!
//! One task per connection; HTTP/2 streams are tasks of their own, so a slow or stuck client holds only itself. Every
//! phase has a limit of time and size, named below.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kuorum_cache::Store;
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, AppError};
use crate::auditor::{self, AuditError};
use crate::auth::{self, Peer};
use crate::body::Payload;
use crate::coalesce::coalesce;
use crate::config::{Config, ConfigError};
use crate::controllers::{self, Selection};
use crate::layers::{respond, stack};
use crate::tls::{Certificates, TlsError, sni};
use crate::{bootstrap, encryption, health};

/// Why a front-end did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Authentication(#[from] auth::setup::SetupError),
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("encryption provider configuration: {0}")]
    Encryption(#[from] kuorum_encryption::ConfigError),
}

/// A client that has not finished its handshake by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that has not sent its headers by then is cut off, as by the real server.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(32);
/// Most bytes of headers: Go's default.
const HEADER_BYTES_MAX: u32 = 1 << 20;
/// HTTP/1.1 buffers: the headers must fit.
const HTTP1_BUFFER_BYTES: usize = HEADER_BYTES_MAX as usize;
/// HTTP/2 receive windows: 99 % of request bodies fit a stream's, and a connection's serves many streams at once.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Largest HTTP/2 frame that is taken: a whole typical body.
const FRAME_BYTES_MAX: u32 = 64 * 1024;
/// What may wait for a slow reader of one stream before its producer is asked to wait too.
const SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// An idle HTTP/2 connection is pinged, and dropped if nobody answers: half-open connections cost memory.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// After the drain began, connections that still have requests get so long, beyond the longest request.
const DRAIN_GRACE: Duration = Duration::from_secs(5);
/// After a failed accept (out of file descriptors, say) the loop rests, rather than spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Runs a front-end until `shutdown` is cancelled and everything in flight is drained. Connects to
/// `config.storage_servers`.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), ServeError> {
    config.validate()?;
    let store = Store::connect(store_config(&config)?);
    run_embedded(config, store, shutdown, |address| tracing::info!(%address, "serving")).await
}

/// As [`run`], on a store that the caller has connected and not started (`kuorum dev`, tests). `started` is called
/// with the address once connections are accepted.
pub async fn run_embedded(
    config: Config,
    store: Store,
    shutdown: CancellationToken,
    started: impl FnOnce(SocketAddr) + Send,
) -> Result<(), ServeError> {
    config.validate()?;
    health::collect_metrics();
    let certificates = match (&config.tls_cert_file, &config.tls_private_key_file) {
        (Some(cert), Some(key)) => {
            let named = config.serving.tls_sni_cert_key.iter().map(|text| sni::Spec::parse(text)).collect();
            let invalid = |why| ConfigError::Invalid { flag: "tls-sni-cert-key", why };
            let named: Vec<sni::Spec> = Result::map_err(named, invalid)?;
            Arc::new(Certificates::load(cert, key, config.client_ca_file.as_deref(), named)?)
        }
        _ => {
            let why = "is needed (kuorum pki makes certificates)".to_owned();
            return Err(ConfigError::Invalid { flag: "tls-cert-file", why }.into());
        }
    };
    let tls = Arc::new(certificates.server_config(&config.tls_min_version, &config.serving.tls_cipher_suites)?);
    let address = SocketAddr::new(config.bind_address, config.secure_port);
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| ServeError::Listen { address, source })?;
    let authentication = auth::setup::authenticators(&config, &store, certificates.client_ca())?;
    let selection =
        Selection::parse(&config.controllers).map_err(|why| ConfigError::Invalid { flag: "controllers", why })?;
    let external = external_address(&config, address);
    let auditor = auditor::open(&config.audit)?;
    let sealing = encryption::load(&config.serving, &store).await?;
    let app = App::new(config, store, authentication.authenticator, external)?;
    auditor.iter().for_each(|auditor| drop(app.auditor.set(auditor.clone())));
    app.store.start();

    let background = TaskTracker::new();
    if let Some(sealing) = sealing {
        let _ = app.encryption.set(sealing.clone());
        let (store, drain) = (app.store.clone(), app.drain.clone());
        background.spawn(async move {
            tokio::select! { () = encryption::run(sealing, store) => {}, () = drain.cancelled() => {} }
        });
    }
    let watching = certificates.clone();
    let drain = app.drain.clone();
    background.spawn(async move {
        tokio::select! { () = watching.watch_files() => {}, () = drain.cancelled() => {} }
    });
    let (watching, drain) = (app.clone(), app.drain.clone());
    background.spawn(async move {
        tokio::select! {
            () = watching.authorization.watch_file(&watching.config.authorization) => {}
            () = drain.cancelled() => {}
        }
    });
    auth::setup::spawn(&app, &background, authentication.legacy_uses);
    background.spawn(prepare(app.clone(), address.port(), selection));
    started(address);
    serve(&app, listener, TlsAcceptor::from(tls), shutdown).await;
    background.close();
    background.wait().await;
    if let Some(auditor) = auditor {
        auditor.close().await;
    }
    Ok(())
}

/// What happens beside serving, in order: the caches fill, the first objects are made, controllers begin.
async fn prepare(app: Arc<App>, port: u16, selection: Selection) {
    tokio::select! {
        () = app.store.wait_ready() => {}
        () = app.drain.cancelled() => return,
    }
    let flow_control = tokio::spawn(controllers::flow_control::run(app.clone()));
    bootstrap::run(app.clone(), port).await;
    let aggregation = async {
        if selection.enabled("clusterrole-aggregation-controller") {
            controllers::cluster_role_aggregation::run(app.clone()).await;
        }
    };
    let namespaces = async {
        if selection.enabled("namespace-controller") {
            controllers::namespace::run(app.clone()).await;
        }
    };
    let identity = format!("{}_{port}", bootstrap::advertised(&app));
    let elected = controllers::run_elected(app.clone(), &selection, &identity);
    let presence = bootstrap::keep(app.clone(), port);
    let (_, _, _, _, flow_control) = tokio::join!(aggregation, namespaces, elected, presence, flow_control);
    if let Err(error) = flow_control {
        tracing::error!(%error, "flow control has ended");
    }
}

fn external_address(config: &Config, address: SocketAddr) -> String {
    if !config.external_hostname.is_empty() {
        return format!("{}:{}", config.external_hostname, address.port());
    }
    let ip = config.advertise_address.unwrap_or(address.ip());
    SocketAddr::new(ip, address.port()).to_string()
}

/// Accepts connections until `shutdown`, then drains: not ready at once, GOAWAY and closed ears after the delay,
/// watches end, requests in flight finish.
async fn serve(app: &Arc<App>, listener: TcpListener, tls: TlsAcceptor, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    let close = CancellationToken::new();
    let delay = app.config.shutdown_delay_duration;
    let stopping = async {
        shutdown.cancelled().await;
        app.stopping.store(true, Ordering::Release);
        app.shutdown.cancel();
        if !delay.is_zero() {
            tracing::info!(seconds = delay.as_secs(), "no longer ready; still serving");
            tokio::time::sleep(delay).await;
        }
    };
    tokio::pin!(stopping);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopping => break,
        };
        match accepted {
            Ok((socket, peer)) => {
                connections.spawn(connection(app.clone(), socket, peer, tls.clone(), close.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    app.drain.cancel();
    close.cancel();
    connections.close();
    let limit = app.config.request_timeout + DRAIN_GRACE;
    let drained = async {
        if app.config.serving.shutdown_send_retry_after {
            app.edge.refuse();
            turn_away(app, &listener, &tls, connections.wait()).await;
        } else {
            drop(listener);
            connections.wait().await;
        }
    };
    if tokio::time::timeout(limit, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections were still open at the end of the drain");
    }
}

/// Takes connections, whose requests are refused, for as long as `drained` lasts.
async fn turn_away(app: &Arc<App>, listener: &TcpListener, tls: &TlsAcceptor, drained: impl Future<Output = ()>) {
    let connections = TaskTracker::new();
    let close = CancellationToken::new();
    tokio::pin!(drained);
    loop {
        tokio::select! {
            () = &mut drained => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    connections.spawn(connection(app.clone(), socket, peer, tls.clone(), close.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    close.cancel();
    connections.close();
    // Their answers are ready: a moment for them to leave.
    let _ = tokio::time::timeout(DRAIN_GRACE, connections.wait()).await;
}

async fn connection(app: Arc<App>, socket: TcpStream, address: SocketAddr, tls: TlsAcceptor, close: CancellationToken) {
    // Small frames must not wait for an acknowledgement.
    let _ = socket.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%address, "TLS handshake took too long"),
    };
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    let chain: Vec<CertificateDer<'static>> = chain.iter().map(|c| c.clone().into_owned()).collect();
    let http2 = session.alpn_protocol() == Some(b"h2");
    let peer = Arc::new(Peer::new(address, chain));
    let outcome =
        if http2 { speak_http2(app, stream, peer, close).await } else { speak_http1(app, stream, peer, close).await };
    if let Err(error) = outcome {
        tracing::debug!(%address, %error, "connection ended");
    }
}

async fn speak_http2(
    app: Arc<App>,
    stream: TlsStream<TcpStream>,
    peer: Arc<Peer>,
    close: CancellationToken,
) -> Result<(), hyper::Error> {
    let streams = app.config.http2_max_streams_per_connection.max(1);
    let goaway_chance = app.config.serving.goaway_chance;
    // Whether the client has asked for anything.
    let spoken = Arc::new(AtomicBool::new(false));
    let asked = spoken.clone();
    // Ends this connection alone.
    let close = close.child_token();
    let going_away = close.clone();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        asked.store(true, Ordering::Relaxed);
        if goaway_chance > 0.0 && rand::random::<f64>() < goaway_chance {
            going_away.cancel();
        }
        let (app, peer) = (app.clone(), peer.clone());
        async move { Ok::<_, std::convert::Infallible>(stack::handle(&app, &peer, request.map(Payload::Incoming)).await) }
    });
    let (stream, flusher) = coalesce(stream);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        outcome = flusher.around(connection.as_mut()) => return outcome,
        () = close.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    if spoken.load(Ordering::Relaxed) {
        return flusher.around(connection.as_mut()).await;
    }
    // A client that has not even begun to speak HTTP/2 must not hold up the end of the server.
    tokio::time::timeout(DRAIN_GRACE, flusher.around(connection.as_mut())).await.unwrap_or(Ok(()))
}

async fn speak_http1(
    app: Arc<App>,
    stream: TlsStream<TcpStream>,
    peer: Arc<Peer>,
    close: CancellationToken,
) -> Result<(), hyper::Error> {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT).max_buf_size(HTTP1_BUFFER_BYTES);
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (app, peer) = (app.clone(), peer.clone());
        async move {
            // hyper's own limit is that of a buffer, which may be read beyond. HTTP/2 counts exactly.
            if header_bytes(request.headers()) > HEADER_BYTES_MAX as usize {
                let code = http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                let mut response = respond::text(code, "431 Request Header Fields Too Large");
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                return Ok::<_, std::convert::Infallible>(response);
            }
            Ok(stack::handle(&app, &peer, request.map(Payload::Incoming)).await)
        }
    });
    let (stream, flusher) = coalesce(stream);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        outcome = flusher.around(connection.as_mut()) => return outcome,
        () = close.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    flusher.around(connection.as_mut()).await
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Where the store is and how to prove who this is.
fn store_config(config: &Config) -> Result<kuorum_cache::Config, ServeError> {
    let needed = |flag, why: &str| ServeError::Config(ConfigError::Invalid { flag, why: why.to_owned() });
    if config.storage_servers.is_empty() {
        return Err(needed("storage-servers", "is needed"));
    }
    let (Some(ca), Some(cert), Some(key)) = (&config.storage_cafile, &config.storage_certfile, &config.storage_keyfile)
    else {
        return Err(needed("storage-cafile", "is needed, with --storage-certfile and --storage-keyfile"));
    };
    let tls = kuorum_cache::TlsFiles { ca: ca.clone(), cert: cert.clone(), key: key.clone() };
    Ok(kuorum_cache::Config::new(config.storage_servers.clone(), tls))
}
