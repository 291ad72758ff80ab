//! The configuration in use: loaded at start, read again when its file changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Config, ConfigError};
use crate::seal::{Seal, Seals};
use crate::transformers::{Opened, Transformers};

/// How often the file is looked at. Kubernetes takes a minute; its operators wait at least that long.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Encryption at rest of one front-end.
pub struct Encryption {
    path: PathBuf,
    reload: bool,
    seals: Arc<Seals>,
    current: ArcSwap<Transformers>,
    /// Grows when values that could not be opened may be opened now.
    changed: watch::Sender<u64>,
    /// The content that is in use, or that was refused last.
    seen: parking_lot::Mutex<[u8; 32]>,
}

impl Encryption {
    /// Reads the file and asks the KMS plugins that it names. `reload`: follow changes of the file.
    pub async fn load(path: &Path, reload: bool) -> Result<Self, ConfigError> {
        let seals = Arc::new(Seals::default());
        let text = read(path)?;
        let transformers = Transformers::new(Config::parse(&text)?, &seals);
        // A plugin that does not answer yet is a matter of health, not of starting.
        join_all(transformers.kms.iter().map(|kms| kms.poll())).await;
        Ok(Encryption {
            path: path.to_owned(),
            reload,
            seals,
            current: ArcSwap::from_pointee(transformers),
            changed: watch::Sender::new(0),
            seen: parking_lot::Mutex::new(digest(&text)),
        })
    }

    /// Follows the plugins and the file for as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        let mut plugins = self.watch_plugins();
        let mut ticks = tokio::time::interval(RELOAD_INTERVAL);
        loop {
            ticks.tick().await;
            if self.reload && self.reload_once().await {
                plugins.abort_all();
                plugins = self.watch_plugins();
            }
        }
    }

    fn watch_plugins(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for kms in &self.current.load().kms {
            let (kms, changed) = (kms.clone(), self.changed.clone());
            tasks.spawn(async move { kms.watch(|| changed.send_modify(|count| *count += 1)).await });
        }
        tasks
    }

    /// Takes the file over if it has changed and is good; true if it did.
    pub async fn reload_once(&self) -> bool {
        let text = match read(&self.path) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(%error, "keeping the old encryption configuration");
                return false;
            }
        };
        let content = digest(&text);
        if *self.seen.lock() == content {
            return false;
        }
        let outcome = self.replacement(&text).await;
        *self.seen.lock() = content;
        let status = if outcome.is_ok() { "success" } else { "failure" };
        metrics::counter!("apiserver_encryption_config_controller_automatic_reloads_total", "status" => status)
            .increment(1);
        match outcome {
            Ok(transformers) => {
                self.current.store(Arc::new(transformers));
                self.changed.send_modify(|count| *count += 1);
                tracing::info!(path = %self.path.display(), "the encryption configuration was read again");
                true
            }
            Err(why) => {
                tracing::error!(%why, "keeping the old encryption configuration");
                false
            }
        }
    }

    async fn replacement(&self, text: &[u8]) -> Result<Transformers, String> {
        let transformers = Transformers::new(Config::parse(text).map_err(|e| e.to_string())?, &self.seals);
        for outcome in join_all(transformers.kms.iter().map(|kms| kms.poll())).await {
            outcome?;
        }
        Ok(transformers)
    }

    /// Tells when values that could not be opened may be opened now.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The check `kms-providers`; `None` where it does not exist: no KMS plugin, and none can come.
    pub fn health(&self) -> Option<Result<(), String>> {
        let current = self.current.load();
        if current.kms.is_empty() && !self.reload {
            return None;
        }
        let failed: Vec<String> = current.kms.iter().filter_map(|kms| kms.health().err()).collect();
        Some(if failed.is_empty() { Ok(()) } else { Err(failed.join(", ")) })
    }

    /// The sealed value of a key under the resource `prefix`; `None`: it stays as it is.
    pub fn seal(&self, prefix: &str, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.current.load().seal(prefix, key, value)
    }

    pub fn open(&self, prefix: &str, key: &[u8], stored: &Bytes) -> Result<Opened, String> {
        self.current.load().open(prefix, key, stored)
    }

    pub fn is_stale(&self, prefix: &str, seal: Seal) -> bool {
        self.current.load().is_stale(prefix, seal)
    }

    /// Has KMS plugins open what [`Encryption::open`] will need for this value.
    pub async fn prepare(&self, prefix: &str, stored: &Bytes) {
        let current = self.current.load_full();
        current.prepare(prefix, stored).await;
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}
