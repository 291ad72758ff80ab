//! HTTP/2 connections to the target, each shared by many requests in flight.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::kubeconfig::Target;

/// A list of 5,000 Pods is 14 MB: windows that do not make the client the bottleneck.
const WINDOW_BYTES: u32 = 8 << 20;

/// One connection; clones share it.
#[derive(Clone)]
pub struct Client {
    target: Target,
    /// Whom to impersonate.
    user: Option<HeaderValue>,
    accept: &'static str,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub async fn connect(target: &Target) -> Result<Client> {
        let tcp = TcpStream::connect(&target.authority).await.with_context(|| target.authority.clone())?;
        tcp.set_nodelay(true)?;
        let tls = TlsConnector::from(target.tls.clone()).connect(target.server_name.clone(), tcp).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(4 * WINDOW_BYTES)
            .handshake(TokioIo::new(tls))
            .await?;
        tokio::spawn(connection);
        Ok(Client { target: target.clone(), user: None, accept: "application/json", sender })
    }

    /// The same connection with requests of another user, in whose name the kubeconfig's user may act.
    pub fn as_user(mut self, name: &str) -> Result<Client> {
        self.user = Some(HeaderValue::from_str(name)?);
        Ok(self)
    }

    /// The same with answers as tables, as kubectl asks for them.
    pub fn as_kubectl(self) -> Client {
        Client { accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", ..self }
    }

    /// Sends one request; the body of the answer is still to be read.
    pub async fn send(&mut self, method: Method, path: &str, kind: &str, body: Bytes) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.target.authority))
            .header("accept", self.accept)
            .header("user-agent", "kuorum-load");
        if !body.is_empty() {
            request = request.header("content-type", kind);
        }
        if let Some(authorization) = &self.target.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(user) = &self.user {
            request = request.header("impersonate-user", user);
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(Full::new(body))?).await?)
    }

    /// Sends one request and reads the answer to its end without keeping it: status and body size in bytes.
    pub async fn exchange(&mut self, method: Method, path: &str, kind: &str, body: Bytes) -> Result<(StatusCode, u64)> {
        let response = self.send(method, path, kind, body).await?;
        let status = response.status();
        let (mut body, mut size) = (response.into_body(), 0);
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                size += data.len() as u64;
            }
        }
        Ok((status, size))
    }

    /// Sends one request and reads the answer as JSON.
    pub async fn json(&mut self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, serde_json::Value)> {
        let response = self.send(method, path, "application/json", body).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&bytes).context("the answer is not JSON")?))
    }

    /// As [`Client::json`], and any other status than `expected` or `or` is an error that shows the answer.
    pub async fn expect(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
        allowed: &[u16],
    ) -> Result<serde_json::Value> {
        let (status, answer) = self.json(method.clone(), path, body).await?;
        if !allowed.contains(&status.as_u16()) {
            bail!("{method} {path}: {status}: {answer}");
        }
        Ok(answer)
    }
}
