//! The server as its own client: bootstrap and controllers go through the same stages and verbs as everybody.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::app::App;
use crate::auth::Peer;
use crate::body::Payload;
use crate::layers::stack;

/// A name as a segment of a path: names of RBAC objects may have any character but `/` and `%`.
pub fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// An answer other than success.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path}: {code} {message}")]
pub struct Refused {
    pub method: Method,
    pub path: String,
    pub code: u16,
    pub message: String,
}

/// A client inside the process, with the rights of system:masters.
#[derive(Clone)]
pub struct Client {
    app: Arc<App>,
    peer: Arc<Peer>,
}

impl Client {
    pub fn new(app: Arc<App>) -> Self {
        Client { app, peer: Arc::new(Peer::internal()) }
    }

    pub async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// Server-side apply. The path says `fieldManager` and, if conflicts are to be won, `force`.
    pub async fn apply(&self, path: &str, configuration: &Value) -> Result<Value, Refused> {
        self.send_as(Method::PATCH, path, "application/apply-patch+yaml", Some(configuration)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value, Refused> {
        self.send(Method::DELETE, path, None).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        self.send_as(method, path, "application/json", body).await
    }

    async fn send_as(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let refused =
            |code: u16, message: String| Refused { method: method.clone(), path: path.to_owned(), code, message };
        let payload = body.map_or_else(Bytes::new, |b| Bytes::from(b.to_string()));
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
            .header(http::header::USER_AGENT, "kube-apiserver/v1.36.0")
            .body(Payload::Bytes(payload))
            .map_err(|e| refused(400, e.to_string()))?;
        let response = stack::handle(&self.app, &self.peer, request).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        Err(refused(status.as_u16(), value["message"].as_str().unwrap_or_default().to_owned()))
    }
}
