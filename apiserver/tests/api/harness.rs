//! A server in the test's process, and requests to it.

use std::sync::Arc;

use http::{Method, Request};
use http_body_util::BodyExt;
use kuorum_apiserver::app::App;
use kuorum_apiserver::auth::Peer;
use kuorum_apiserver::auth::setup::authenticators;
use kuorum_apiserver::body::Payload;
use kuorum_apiserver::bootstrap;
use kuorum_apiserver::config::Config;
use kuorum_apiserver::layers::stack;
use kuorum_apiserver::tls::ClientCa;
use kuorum_auth::authn::static_tokens::Tokens;
use kuorum_cache::Store;
use serde_json::Value;

pub struct Server {
    pub app: Arc<App>,
    pub store: Store,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Fails the test, with the body, unless the code is `code`.
    #[track_caller]
    pub fn is(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::with(without_accounts()).await
    }

    pub async fn with(config: Config) -> Self {
        let server = Self::unbootstrapped(config);
        bootstrap::run(server.app.clone(), 6443).await;
        server
    }

    pub fn unbootstrapped(config: Config) -> Self {
        let store = Store::memory();
        Self::on(config, store)
    }

    /// Another front-end on the same store.
    pub fn on(config: Config, store: Store) -> Self {
        let tokens =
            Tokens::parse("admin-token,admin,admin,system:masters\nalice-token,alice,alice-uid,dev\n").unwrap();
        let ca = Arc::new(ClientCa::load(None).unwrap());
        let mut authenticator = authenticators(&config, &store, ca).unwrap().authenticator;
        authenticator.tokens.static_tokens = tokens;
        let app = App::new(config, store.clone(), authenticator, "127.0.0.1:6443".to_owned()).unwrap();
        store.start();
        Server { app, store }
    }

    pub async fn send(&self, request: Request<Payload>) -> Answer {
        let peer = Peer::new(([127, 0, 0, 1], 1234).into(), Vec::new());
        let response = stack::handle(&self.app, &peer, request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// A request of the administrator, with a JSON body.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.call_with(method, path, &[], body.map(|b| b.to_string())).await
    }

    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<impl Into<bytes::Bytes>>,
    ) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            request = request.header("authorization", "Bearer admin-token");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(Into::into).unwrap_or_default();
        self.send(request.body(Payload::Bytes(body)).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call("PUT", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    pub async fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        self.call_with("PATCH", path, &[("content-type", kind)], Some(body.to_string())).await
    }
}

/// Pods need no ServiceAccount: the controller that makes them does not run.
pub fn without_accounts() -> Config {
    Config { disable_admission_plugins: vec!["ServiceAccount".to_owned()], ..Config::default() }
}

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const MERGE: &str = "application/merge-patch+json";

pub fn config_map(name: &str) -> Value {
    serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}})
}
