//! Over TLS on loopback: certificates name users, HTTP/2 and 1.1 are spoken, a drain ends cleanly.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kuorum_apiserver::config::Config;
use kuorum_apiserver::server::run_embedded;
use kuorum_cache::Store;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

pub struct Pki {
    dir: tempfile::TempDir,
    ca: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Pki {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
        let pki = Pki { dir, ca: ca.der().clone(), issuer: Issuer::new(params, key) };
        pki.serving("server", "localhost");
        pki
    }

    /// Writes a serving certificate for a name.
    pub fn serving(&self, file: &str, name: &str) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{file}.pem")), cert.pem()).unwrap();
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// A client's TLS settings that trust this authority.
    pub fn trusting(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        builder.with_root_certificates(roots).with_no_client_auth()
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub fn client(&self, name: &str, group: &str) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, name);
        subject.push(DnType::OrganizationName, group);
        params.distinguished_name = subject;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        (vec![cert.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}

pub fn config(pki: &Pki) -> Config {
    let file = |name: &str| Some(Path::new(&pki.path(name)).to_owned());
    Config {
        bind_address: [127, 0, 0, 1].into(),
        secure_port: 0,
        tls_cert_file: file("server.pem"),
        tls_private_key_file: file("server.key"),
        client_ca_file: file("ca.pem"),
        ..Config::default()
    }
}

pub struct Running {
    pub address: SocketAddr,
    pub shutdown: CancellationToken,
    pub task: tokio::task::JoinHandle<Result<(), kuorum_apiserver::server::ServeError>>,
}

async fn start(pki: &Pki) -> Running {
    start_with(config(pki)).await
}

pub async fn start_with(config: Config) -> Running {
    let shutdown = CancellationToken::new();
    let (tell, told) = tokio::sync::oneshot::channel();
    let stop = shutdown.clone();
    let task = tokio::spawn(async move {
        run_embedded(config, Store::memory(), stop, move |address| tell.send(address).unwrap()).await
    });
    Running { address: told.await.unwrap(), shutdown, task }
}

/// The status and body of a GET over a new connection.
pub async fn get(pki: &Pki, address: SocketAddr, http2: bool, identity: Option<Identity>, path: &str) -> (u16, String) {
    let response = send(pki, address, http2, identity, path).await;
    let code = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8_lossy(&body).into_owned())
}

pub async fn send(
    pki: &Pki,
    address: SocketAddr,
    http2: bool,
    identity: Option<Identity>,
    path: &str,
) -> http::Response<hyper::body::Incoming> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pki.ca.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut tls = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), socket).await.unwrap();
    let request = http::Request::builder()
        .uri(format!("https://localhost{path}"))
        .header("host", "localhost")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    if http2 {
        let (mut send, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        send.send_request(request).await.unwrap()
    } else {
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        send.send_request(request).await.unwrap()
    }
}

#[tokio::test]
async fn certificates_name_users() {
    let pki = Pki::new();
    let running = start(&pki).await;
    let namespaces = "/api/v1/namespaces";
    for http2 in [true, false] {
        let (code, _) = get(&pki, running.address, http2, Some(pki.client("root", "system:masters")), namespaces).await;
        assert_eq!(code, 200);
        let (code, body) = get(&pki, running.address, http2, Some(pki.client("eve", "dev")), namespaces).await;
        assert_eq!(code, 403);
        assert!(body.contains(r#"User \"eve\" cannot list"#), "{body}");
        let (code, body) = get(&pki, running.address, http2, None, namespaces).await;
        assert_eq!(code, 403);
        assert!(body.contains("system:anonymous"), "{body}");
        // A certificate of another CA is wrong, not absent.
        let stranger = Pki::new().client("root", "system:masters");
        let (code, _) = get(&pki, running.address, http2, Some(stranger), namespaces).await;
        assert_eq!(code, 401);
    }
    running.shutdown.cancel();
    running.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_error() {
    let pki = Pki::new();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { secure_port: taken.local_addr().unwrap().port(), ..config(&pki) };
    let error = run_embedded(config, Store::memory(), CancellationToken::new(), |_| {}).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot listen on 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn a_drain_ends_watches_cleanly() {
    let pki = Pki::new();
    let running = start(&pki).await;
    // The first objects are there when the server is ready.
    while get(&pki, running.address, true, None, "/readyz").await.0 != 200 {
        tokio::task::yield_now().await;
    }
    let path = "/api/v1/namespaces?watch=true";
    let mut watch = send(&pki, running.address, true, Some(pki.client("root", "system:masters")), path).await;
    assert_eq!(watch.status(), 200);
    let first = watch.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"{\"type\":\"ADDED\""), "{first:?}");
    running.shutdown.cancel();
    // The stream ends, and ends well: a reset would be an error.
    while let Some(frame) = watch.body_mut().frame().await {
        frame.unwrap();
    }
    running.task.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(running.address).await.is_err());
}
