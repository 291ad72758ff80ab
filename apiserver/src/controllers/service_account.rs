//! ServiceAccount controller: every namespace has a service account called `default`.

use std::sync::Arc;
use std::time::Duration;

use kuorum_cache::Object;
use serde_json::json;

use super::queue::Queue;
use crate::app::App;
use crate::loopback::{Client, segment};
use crate::status::ApiError;

/// The account of pods that name none.
const ACCOUNT: &str = "default";
/// After a failure, how long until the next try.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub struct ServiceAccounts {
    app: Arc<App>,
    queue: Arc<Queue>,
}

impl ServiceAccounts {
    /// Begins to follow namespaces and accounts.
    pub fn new(app: Arc<App>) -> Result<Self, ApiError> {
        let queue = Arc::new(Queue::default());
        let (_, namespaces) = app.resource_named("", "v1", "namespaces")?;
        let (_, accounts) = app.resource_named("", "v1", "serviceaccounts")?;
        queue.follow(&namespaces, |_: Option<&Object>, after: Option<&Object>| {
            after.filter(|namespace| !namespace.deleting()).map(|namespace| namespace.name().to_owned())
        });
        queue.follow(&accounts, |before: Option<&Object>, after: Option<&Object>| {
            let gone = before.filter(|account| after.is_none() && account.name() == ACCOUNT);
            gone.map(|account| account.namespace().to_owned())
        });
        Ok(ServiceAccounts { app, queue })
    }

    /// Works for ever; may be dropped and run again.
    pub async fn run(&self) {
        super::for_each_namespace(&self.app, |name| self.queue.add(name));
        let client = Client::new(self.app.clone());
        loop {
            let namespace = self.queue.next().await;
            if let Err(error) = self.ensure(&client, &namespace).await {
                tracing::debug!(namespace, %error, "there is no default service account yet");
                self.queue.add_later(namespace, RETRY_INTERVAL);
            }
        }
    }

    async fn ensure(&self, client: &Client, namespace: &str) -> Result<(), String> {
        let app = &self.app;
        if !super::is_active(app, namespace) {
            return Ok(());
        }
        let (_, accounts) = app.resource_named("", "v1", "serviceaccounts").map_err(|e| e.to_string())?;
        if accounts.get(namespace, ACCOUNT).is_some() {
            return Ok(());
        }
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}});
        let path = format!("/api/v1/namespaces/{}/serviceaccounts", segment(namespace));
        super::made(client.post(&path, &account).await)
    }
}
