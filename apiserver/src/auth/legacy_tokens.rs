//! Notes on Secrets when their tokens were last used, for the controller that invalidates those that nobody uses.

use std::sync::Arc;

use kuorum_auth::authn::service_account::LegacyTokenUse;
use kuorum_auth::authn::service_account::legacy::{LAST_USED_LABEL, day};
use kuorum_kinds::value as json;
use tokio::sync::mpsc;

use crate::app::App;
use crate::loopback::{Client, Refused};
use crate::tls::unix_now;

/// Sets the label of each Secret whose token is used.
pub async fn note(app: Arc<App>, mut uses: mpsc::Receiver<LegacyTokenUse>) {
    let client = Client::new(app);
    while let Some(used) = uses.recv().await {
        if let Err(error) = label(&client, &used).await {
            tracing::warn!(%error, "cannot note the use of a service account token");
        }
    }
}

async fn label(client: &Client, used: &LegacyTokenUse) -> Result<(), Refused> {
    let path = format!("/api/v1/namespaces/{}/secrets/{}", used.namespace, used.name);
    let mut secret = client.get(&path).await?;
    // A Secret that was made again in between is another one.
    if json::text(&secret, "metadata.uid") != used.uid {
        return Ok(());
    }
    if let Some(labels) = json::child(&mut secret, "metadata").and_then(|m| json::child(m, "labels")) {
        json::set(labels, LAST_USED_LABEL, day(unix_now()));
    }
    client.put(&path, &secret).await.map(drop)
}
