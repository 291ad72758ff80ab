//! Settings of connections, over TLS on loopback: cipher suites, certificates by name, GOAWAY, headers, limits, drains.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kuorum_apiserver::config::Config;
use kuorum_apiserver::options::ServingOptions;
use kuorum_apiserver::server::run_embedded;
use kuorum_cache::Store;
use rustls::{ProtocolVersion, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::tls::{Pki, Running, config, get, send, start_with};

const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

async fn connect(
    pki: &Pki,
    address: SocketAddr,
    name: &str,
    versions: &[&'static SupportedProtocolVersion],
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut tls = pki.trusting(versions);
    tls.alpn_protocols = vec![protocol.to_vec()];
    let socket = TcpStream::connect(address).await?;
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, socket).await
}

fn serving(pki: &Pki, serving: ServingOptions) -> Config {
    Config { serving, ..config(pki) }
}

async fn stop(running: Running) {
    running.shutdown.cancel();
    running.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn only_the_named_cipher_suites_are_spoken() {
    let pki = Pki::new();
    let suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    let options = ServingOptions { tls_cipher_suites: vec![suite.to_owned()], ..ServingOptions::default() };
    let running = start_with(serving(&pki, options)).await;
    let stream = connect(&pki, running.address, "localhost", TLS12, b"h2").await.unwrap();
    let spoken = stream.get_ref().1.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(spoken, rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256);
    // A drain waits for what a client has begun to say.
    drop(stream);
    let stream = connect(&pki, running.address, "localhost", BOTH, b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    drop(stream);
    stop(running).await;

    // A suite for RSA keys alone does not fit the certificate: no TLS 1.2 any more.
    let suite = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned();
    let running =
        start_with(serving(&pki, ServingOptions { tls_cipher_suites: vec![suite], ..ServingOptions::default() })).await;
    assert!(connect(&pki, running.address, "localhost", TLS12, b"h2").await.is_err());
    assert!(connect(&pki, running.address, "localhost", BOTH, b"h2").await.is_ok());
    stop(running).await;

    let running = start_with(Config { tls_min_version: "VersionTLS13".to_owned(), ..config(&pki) }).await;
    assert!(connect(&pki, running.address, "localhost", TLS12, b"h2").await.is_err());
    stop(running).await;
}

#[tokio::test]
async fn each_name_has_its_certificate() {
    let pki = Pki::new();
    pki.serving("exact", "api.example.com");
    pki.serving("own", "own.example.org");
    pki.serving("wild", "*.example.com");
    let pair = |file: &str, names: &str| {
        format!("{},{}{names}", pki.path(&format!("{file}.pem")).display(), pki.path(&format!("{file}.key")).display())
    };
    let pairs = vec![pair("exact", ":api.example.com"), pair("own", ""), pair("wild", ":*.example.com")];
    let options = ServingOptions { tls_sni_cert_key: pairs, ..ServingOptions::default() };
    let running = start_with(serving(&pki, options)).await;
    // The client checks that the certificate is for the name.
    for name in ["localhost", "api.example.com", "own.example.org", "other.example.com"] {
        connect(&pki, running.address, name, BOTH, b"h2").await.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    for name in ["a.b.example.com", "example.org"] {
        assert!(connect(&pki, running.address, name, BOTH, b"h2").await.is_err(), "{name}");
    }
    stop(running).await;

    let bad = serving(&pki, ServingOptions { tls_sni_cert_key: vec![pair("absent", "")], ..ServingOptions::default() });
    let error = run_embedded(bad, Store::memory(), CancellationToken::new(), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("absent.pem"), "{error}");
}

#[tokio::test]
async fn some_requests_end_their_connection_well() {
    let pki = Pki::new();
    let options = ServingOptions { goaway_chance: 0.02, ..ServingOptions::default() };
    let running = start_with(serving(&pki, options)).await;
    let stream = connect(&pki, running.address, "localhost", BOTH, b"h2").await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut answered = 0;
    // With a chance of 1 in 50 per request, ten thousand without one do not happen.
    while answered < 10_000 && sender.ready().await.is_ok() {
        let request =
            http::Request::builder().uri("https://localhost/version").body(Empty::<bytes::Bytes>::new()).unwrap();
        // A request that was begun before the GOAWAY is answered; one behind it is not begun.
        let Ok(response) = sender.send_request(request).await else { break };
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
        answered += 1;
    }
    assert!((1..10_000).contains(&answered), "{answered} requests on one connection");
    connection.await.unwrap().unwrap();
    stop(running).await;
}

#[tokio::test]
async fn answers_carry_the_headers_of_the_edge() {
    let pki = Pki::new();
    let options = ServingOptions {
        strict_transport_security_directives: vec!["max-age=31536000".to_owned(), "includeSubDomains".to_owned()],
        cors_allowed_origins: vec!["//example\\.com(:|$)".to_owned()],
        ..ServingOptions::default()
    };
    let running = start_with(serving(&pki, options)).await;
    for http2 in [true, false] {
        let answer = send(&pki, running.address, http2, None, "/version").await;
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000; includeSubDomains");
        assert!(answer.headers().get("access-control-allow-origin").is_none());
    }
    stop(running).await;
}

#[tokio::test]
async fn headers_beyond_the_limit_are_431() {
    let pki = Pki::new();
    let running = start_with(config(&pki)).await;
    let request = || {
        http::Request::builder()
            .uri("https://localhost/version")
            .header("host", "localhost")
            .header("x-large", "x".repeat(1_200_000))
            .body(Empty::<bytes::Bytes>::new())
            .unwrap()
    };
    let stream = connect(&pki, running.address, "localhost", BOTH, b"http/1.1").await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(sender.send_request(request()).await.unwrap().status(), 431);

    let stream = connect(&pki, running.address, "localhost", BOTH, b"h2").await.unwrap();
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    match sender.send_request(request()).await {
        Ok(answer) => assert_eq!(answer.status(), 431),
        // The client knows the server's limit and does not even send it.
        Err(error) => assert!(error.is_user() || error.to_string().contains("http2"), "{error}"),
    }
    // The server goes on.
    assert_eq!(get(&pki, running.address, true, None, "/version").await.0, 200);
    stop(running).await;
}

#[tokio::test]
async fn a_draining_server_tells_newcomers_to_go_elsewhere() {
    let pki = Pki::new();
    let options = ServingOptions { shutdown_send_retry_after: true, ..ServingOptions::default() };
    let running = start_with(serving(&pki, options)).await;
    while get(&pki, running.address, true, None, "/readyz").await.0 != 200 {
        tokio::task::yield_now().await;
    }
    // A request that has not been read to its end keeps the server there.
    let path = "/api/v1/namespaces?watch=true";
    let admin = pki.client("root", "system:masters");
    let stream = connect(&pki, running.address, "localhost", BOTH, b"http/1.1").await.unwrap();
    let (mut open, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (tx, body) = tokio::sync::mpsc::channel::<Result<http_body::Frame<bytes::Bytes>, std::convert::Infallible>>(1);
    let body = http_body_util::StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(body));
    let request =
        http::Request::builder().method("POST").uri("/version").header("host", "localhost").body(body).unwrap();
    let waiting = tokio::spawn(async move { open.send_request(request).await });
    let watch = send(&pki, running.address, true, Some(admin), path).await;
    assert_eq!(watch.status(), 200);
    running.shutdown.cancel();
    // Watches end when the drain begins.
    watch.into_body().collect().await.unwrap();
    drop((tx, waiting));
    while let Ok(stream) = connect(&pki, running.address, "localhost", BOTH, b"http/1.1").await {
        let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await else {
            break;
        };
        tokio::spawn(connection);
        let request = http::Request::builder()
            .uri("/api")
            .header("host", "localhost")
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let Ok(answer) = sender.send_request(request).await else { break };
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "5"));
    }
    running.task.await.unwrap().unwrap();
}
