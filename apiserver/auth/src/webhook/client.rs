//! The HTTP client of webhooks: JSON over HTTPS, with limits on time and size.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls_pki_types::ServerName;
use serde_json::Value;

use super::kubeconfig::{Kubeconfig, Token};
use super::tls::{self, TrustError};

/// An answer longer than this is refused: no review or key set is larger.
const ANSWER_BYTES_MAX: usize = 3 * 1024 * 1024;
/// A connection that nobody uses is closed after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Could not be sent, or no whole answer came back.
    #[error("{0}")]
    Transport(String),
    #[error("timed out after {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("{}", status_text(.code, .text))]
    Status { code: StatusCode, text: String, retry_after: Option<u64> },
    /// The answer is not what was asked for.
    #[error("{0}")]
    BadAnswer(String),
}

fn status_text(code: &StatusCode, text: &str) -> String {
    if text.is_empty() { format!("the server answered {code}") } else { text.to_owned() }
}

impl CallError {
    /// Whether the same call may succeed a little later.
    pub fn may_heal(&self) -> bool {
        match self {
            CallError::Transport(_) => true,
            CallError::Status { code, retry_after, .. } => {
                retry_after.is_some()
                    || matches!(
                        *code,
                        StatusCode::INTERNAL_SERVER_ERROR
                            | StatusCode::TOO_MANY_REQUESTS
                            | StatusCode::SERVICE_UNAVAILABLE
                            | StatusCode::GATEWAY_TIMEOUT
                    )
            }
            CallError::Timeout(_) | CallError::BadAnswer(_) => false,
        }
    }
}

/// A client of one server. Keeps connections; cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: Uri,
    credentials: Credentials,
}

#[derive(Clone)]
enum Credentials {
    None,
    Fixed(HeaderValue),
    File(std::path::PathBuf),
}

impl Client {
    /// The client of a kubeconfig's server.
    pub fn of(kubeconfig: &Kubeconfig) -> Result<Self, TrustError> {
        let roots = match (&kubeconfig.certificate_authority, kubeconfig.insecure_skip_tls_verify) {
            (_, true) => None,
            (Some(pem), false) => Some(tls::roots(pem)?),
            (None, false) => Some(tls::system_roots()),
        };
        let certificate = kubeconfig.client_certificate.as_ref().map(|(c, k)| (c.as_slice(), k.as_slice()));
        let config = tls::client_config(roots, certificate)?;
        let mut client = Self::new(&kubeconfig.server, config, kubeconfig.tls_server_name.as_deref())?;
        client.credentials = match (&kubeconfig.token, &kubeconfig.basic) {
            (Some(Token::Text(token)), _) => Credentials::Fixed(secret(format!("Bearer {token}"))?),
            (Some(Token::File(path)), _) => Credentials::File(path.clone()),
            (None, Some((user, password))) => {
                Credentials::Fixed(secret(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))?)
            }
            (None, None) => Credentials::None,
        };
        Ok(client)
    }

    /// The client of `base` (`https://host:port/path`).
    pub fn new(base: &str, tls: rustls::ClientConfig, server_name: Option<&str>) -> Result<Self, TrustError> {
        let bad = |why: String| TrustError::BadCa(why);
        let base: Uri = base.parse().map_err(|e| bad(format!("server {base:?}: {e}")))?;
        if base.host().is_none() {
            return Err(bad(format!("server {base}: no host")));
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = match server_name {
            Some(name) => {
                let name = ServerName::try_from(name.to_owned()).map_err(|e| bad(format!("tls-server-name: {e}")))?;
                builder
                    .with_server_name_resolver(hyper_rustls::FixedServerNameResolver::new(name))
                    .enable_http1()
                    .wrap_connector(tcp)
            }
            None => builder.enable_http1().wrap_connector(tcp),
        };
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Client { http, base, credentials: Credentials::None })
    }

    /// POSTs JSON to the server's URL and gives the JSON that it answers.
    pub async fn post(&self, body: &Value, timeout: Duration) -> Result<Value, CallError> {
        self.post_bytes(Bytes::from(body.to_string()), timeout).await
    }

    /// As [`Client::post`], JSON that is encoded already.
    pub async fn post_bytes(&self, body: Bytes, timeout: Duration) -> Result<Value, CallError> {
        let answer = self.send(Method::POST, self.base.clone(), body, timeout).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer).map_err(|e| CallError::BadAnswer(format!("the answer is not JSON: {e}")))
    }

    /// GETs the server's URL.
    pub async fn get(&self, timeout: Duration) -> Result<Bytes, CallError> {
        self.send(Method::GET, self.base.clone(), Bytes::new(), timeout).await
    }

    /// GETs any HTTPS URL, with the client's trust and without its credentials.
    pub async fn get_url(&self, url: &str, bearer: Option<&str>, timeout: Duration) -> Result<Bytes, CallError> {
        let url: Uri = url.parse().map_err(|e| CallError::BadAnswer(format!("{url:?} is not a URL: {e}")))?;
        if url.scheme_str() != Some("https") {
            return Err(CallError::BadAnswer(format!("{url} is not an https URL")));
        }
        let credentials = match bearer {
            Some(token) => {
                let value = secret(format!("Bearer {token}")).map_err(|e| CallError::Transport(e.to_string()))?;
                Credentials::Fixed(value)
            }
            None => Credentials::None,
        };
        Client { credentials, ..self.clone() }.send(Method::GET, url, Bytes::new(), timeout).await
    }

    async fn send(&self, method: Method, url: Uri, body: Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("kuorum/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|e| CallError::Transport(e.to_string()))?;
        if let Some(value) = self.authorization().await? {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let exchange = async {
            let response = self.http.request(request).await.map_err(transport)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|e| CallError::Transport(e.to_string()))?.to_bytes();
            Ok((parts, body))
        };
        let (parts, body) =
            tokio::time::timeout(timeout, exchange).await.map_err(|_| CallError::Timeout(timeout))??;
        if parts.status.is_success() {
            return Ok(body);
        }
        let retry_after = parts.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        let message = serde_json::from_slice::<Value>(&body).ok();
        let text = message.and_then(|m| Some(m["message"].as_str()?.to_owned())).unwrap_or_default();
        Err(CallError::Status { code: parts.status, text, retry_after })
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, CallError> {
        match &self.credentials {
            Credentials::None => Ok(None),
            Credentials::Fixed(value) => Ok(Some(value.clone())),
            Credentials::File(path) => {
                let unreadable = |e| CallError::Transport(format!("cannot read {}: {e}", path.display()));
                let token = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
                let value = secret(format!("Bearer {}", token.trim()));
                value.map(Some).map_err(|e| CallError::Transport(e.to_string()))
            }
        }
    }
}

fn secret(text: String) -> Result<HeaderValue, TrustError> {
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| TrustError::BadCertificate("credentials have characters that a header cannot have".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The client's error with what is behind it, where the reason is.
fn transport(error: hyper_util::client::legacy::Error) -> CallError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    CallError::Transport(text)
}
