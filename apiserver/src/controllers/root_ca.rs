//! Root CA certificate publisher: every namespace has the config map `kube-root-ca.crt`, with which pods know the API
//! server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kuorum_cache::Object;
use kuorum_kinds::value as json;
use serde_json::{Value, json};

use super::queue::Queue;
use crate::app::App;
use crate::loopback::{Client, segment};
use crate::status::ApiError;

const CONFIG_MAP: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";
const ANNOTATION: &str = "kubernetes.io/description";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
/// After a failure, how long until the next try.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub struct RootCa {
    app: Arc<App>,
    queue: Arc<Queue>,
    /// PEM, of the CA that has signed the serving certificates.
    file: PathBuf,
}

impl RootCa {
    /// Begins to follow namespaces and config maps. `None`: no CA is known.
    pub fn new(app: Arc<App>) -> Result<Option<Self>, ApiError> {
        let config = &app.config;
        let Some(file) = config.root_ca_file.clone().or_else(|| config.client_ca_file.clone()) else { return Ok(None) };
        let queue = Arc::new(Queue::default());
        let (_, namespaces) = app.resource_named("", "v1", "namespaces")?;
        let (_, config_maps) = app.resource_named("", "v1", "configmaps")?;
        queue.follow(&namespaces, |_: Option<&Object>, after: Option<&Object>| {
            after.filter(|namespace| !namespace.deleting()).map(|namespace| namespace.name().to_owned())
        });
        queue.follow(&config_maps, |before: Option<&Object>, after: Option<&Object>| {
            let changed = before.or(after).filter(|config_map| config_map.name() == CONFIG_MAP);
            changed.map(|config_map| config_map.namespace().to_owned())
        });
        Ok(Some(RootCa { app, queue, file }))
    }

    /// Works for ever; may be dropped and run again.
    pub async fn run(&self) {
        super::for_each_namespace(&self.app, |name| self.queue.add(name));
        let client = Client::new(self.app.clone());
        loop {
            let namespace = self.queue.next().await;
            if let Err(error) = self.publish(&client, &namespace).await {
                tracing::debug!(namespace, %error, "the root CA is not published yet");
                self.queue.add_later(namespace, RETRY_INTERVAL);
            }
        }
    }

    async fn publish(&self, client: &Client, namespace: &str) -> Result<(), String> {
        if !super::is_active(&self.app, namespace) {
            return Ok(());
        }
        let (_, config_maps) = self.app.resource_named("", "v1", "configmaps").map_err(|e| e.to_string())?;
        // Namespaces are made seldom, and the file may have been rotated.
        let ca = tokio::fs::read_to_string(&self.file).await.map_err(|e| e.to_string())?;
        let path = format!("/api/v1/namespaces/{}/configmaps", segment(namespace));
        let Some(found) = config_maps.get(namespace, CONFIG_MAP) else {
            return super::made(client.post(&path, &published(&ca)).await);
        };
        let mut current: Value = serde_json::from_slice(found.json()).map_err(|e| e.to_string())?;
        let wanted = published(&ca);
        if json::equal(json::get(&current, "data"), json::get(&wanted, "data")) {
            return Ok(());
        }
        json::set(&mut current, "data", json::get(&wanted, "data").clone());
        client.put(&format!("{path}/{CONFIG_MAP}"), &current).await.map(drop).map_err(|e| e.to_string())
    }
}

fn published(ca: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "annotations": {ANNOTATION: DESCRIPTION}},
        "data": {KEY: ca},
    })
}
