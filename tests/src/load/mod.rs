//! Load with a memory: writers and watchers that remember what the server has acknowledged, and hold it to that.
//!
//! A write is acknowledged when the client has its success. Every acknowledged write must be there afterwards; a write
//! whose answer was lost may be there or not. A revision that a write got is greater than every revision that was
//! acknowledged before the write was sent.

mod ledger;
mod watcher;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, PostParams};
use kube::config::Kubeconfig;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use ledger::Ledger;

/// Where the load writes.
const NAMESPACE: &str = "crash";

/// A request that takes longer has an unknown outcome. Above a leader's loss, below the test's patience.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Writers and watchers at work.
pub struct Load {
    ledger: Arc<Ledger>,
    stop: watch::Sender<bool>,
    writers: Vec<JoinHandle<()>>,
    watchers: Vec<JoinHandle<Result<()>>>,
    clients: Vec<kube::Client>,
}

impl Load {
    /// Starts `writers` writers and one watcher on each of the front-ends that `kubeconfigs` lead to.
    pub async fn start(kubeconfigs: &[PathBuf], writers: usize) -> Result<Self> {
        let mut clients = Vec::new();
        for path in kubeconfigs {
            clients.push(client(path).await?);
        }
        let first = clients.first().context("no front-end")?;
        let namespace = Namespace {
            metadata: kube::api::ObjectMeta { name: Some(NAMESPACE.to_owned()), ..Default::default() },
            ..Default::default()
        };
        Api::<Namespace>::all(first.clone()).create(&PostParams::default(), &namespace).await?;

        let ledger = Arc::new(Ledger::default());
        let (stop, stopped) = watch::channel(false);
        let mut load = Self { ledger, stop, writers: Vec::new(), watchers: Vec::new(), clients };
        for (index, client) in load.clients.iter().enumerate() {
            let api = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
            let from = api.list(&Default::default()).await?.metadata.resource_version.context("a list's version")?;
            load.watchers.push(tokio::spawn(watcher::run(index, api, from, load.ledger.clone(), stopped.clone())));
        }
        for id in 0..writers {
            // A writer goes to another front-end after each failure, as a client behind a balancer does.
            let apis = load.clients.iter().map(|client| Api::namespaced(client.clone(), NAMESPACE)).collect();
            load.writers.push(tokio::spawn(writer::run(id, apis, load.ledger.clone(), stopped.clone())));
        }
        Ok(load)
    }

    /// What was acknowledged so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Stops the writers, checks that every front-end has all that was acknowledged, and that each watcher has seen
    /// all of it, in order.
    pub async fn finish(self) -> Result<Arc<Ledger>> {
        // An error means that all have ended, which the next lines find out.
        let _ = self.stop.send(true);
        for writer in self.writers {
            writer.await.context("a writer panicked")?;
        }
        for (index, client) in self.clients.iter().enumerate() {
            let api = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
            self.ledger.check_contents(&api).await.with_context(|| format!("front-end {}", index + 1))?;
        }
        for watcher in self.watchers {
            watcher.await.context("a watcher panicked")??;
        }
        Ok(self.ledger)
    }
}

/// A client of the front-end that `kubeconfig` leads to.
pub async fn client(kubeconfig: &std::path::Path) -> Result<kube::Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).context("kubeconfig")?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
    // A retry that the ledger does not know of could make a lost answer look like a conflict.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(2));
    Ok(kube::Client::try_from(config)?)
}

/// Checks again, on new connections, that a front-end has all that `ledger` remembers.
pub async fn check(kubeconfig: &std::path::Path, ledger: &Ledger) -> Result<()> {
    ledger.check_contents(&Api::namespaced(client(kubeconfig).await?, NAMESPACE)).await
}
