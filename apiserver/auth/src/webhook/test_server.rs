//! An HTTPS server on the loopback for tests: answers by path, and remembers what it was asked.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::Value;
use tokio::net::TcpListener;

/// One request that was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub authorization: String,
    pub body: Value,
}

/// What to answer, and what was asked. Cheap to clone.
#[derive(Clone, Default)]
pub struct Answers(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answers: HashMap<String, (u16, String)>,
    asked: Vec<Asked>,
}

impl Answers {
    pub fn set(&self, path: &str, code: u16, body: Value) {
        self.set_text(path, code, body.to_string());
    }

    pub fn set_text(&self, path: &str, code: u16, body: String) {
        self.0.lock().answers.insert(path.to_owned(), (code, body));
    }

    pub fn requests(&self) -> Vec<Asked> {
        self.0.lock().asked.clone()
    }
}

/// The server; it stops when it is dropped.
pub struct TestServer {
    /// `https://localhost:<port>`
    pub url: String,
    /// Of the authority that signed its certificate.
    pub ca_pem: String,
    pub answers: Answers,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestServer {
    pub async fn start(answers: Answers) -> Self {
        let (chain, key, ca_pem) = certificate();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(serve(listener, acceptor, answers.clone()));
        TestServer { url, ca_pem, answers, task }
    }
}

fn certificate() -> (Vec<rustls_pki_types::CertificateDer<'static>>, PrivateKeyDer<'static>, String) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    (vec![leaf.der().clone()], key, ca.pem())
}

async fn serve(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor, answers: Answers) {
    while let Ok((socket, _)) = listener.accept().await {
        let (acceptor, answers) = (acceptor.clone(), answers.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(socket).await else { return };
            let service = hyper::service::service_fn(move |request| answer(answers.clone(), request));
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    answers: Answers,
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<Full<Bytes>>, std::convert::Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let mut state = answers.0.lock();
    let (code, text) = state.answers.get(&path).cloned().unwrap_or((404, String::new()));
    state.asked.push(Asked { path, authorization, body });
    Ok(http::Response::builder().status(code).body(Full::new(Bytes::from(text))).unwrap())
}
