//! Encryption at rest of this front-end: the store's transformer, and the task that follows keys.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kuorum_cache::{Seal, Store, ValueTransformer};
use kuorum_encryption::{ConfigError, Encryption};

use crate::options::ServingOptions;

/// Seals what the store writes.
struct Transformer(Arc<Encryption>);

impl ValueTransformer for Transformer {
    fn seal(&self, prefix: &str, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.0.seal(prefix, key, value)
    }

    fn open(&self, prefix: &str, key: &[u8], stored: &Bytes) -> Result<(Option<Vec<u8>>, Seal), String> {
        self.0.open(prefix, key, stored).map(|(plain, seal)| (plain, seal.0))
    }

    fn is_stale(&self, prefix: &str, seal: Seal) -> bool {
        self.0.is_stale(prefix, kuorum_encryption::Seal(seal))
    }

    fn prepare<'a>(&'a self, prefix: &'a str, stored: &'a Bytes) -> Option<BoxFuture<'a, ()>> {
        // Only a KMS has to be asked.
        let remote = stored.starts_with(kuorum_encryption::kms::PREFIX.as_bytes());
        remote.then(|| Box::pin(self.0.prepare(prefix, stored)) as BoxFuture<'a, ()>)
    }
}

/// Reads the configuration, where there is one, and has the store seal by it. Before [`Store::start`].
pub async fn load(options: &ServingOptions, store: &Store) -> Result<Option<Arc<Encryption>>, ConfigError> {
    let Some(path) = &options.encryption_provider_config else { return Ok(None) };
    let reload = options.encryption_provider_config_automatic_reload;
    let encryption = Arc::new(Encryption::load(path, reload).await?);
    store.set_transformer(Arc::new(Transformer(encryption.clone())));
    Ok(Some(encryption))
}

/// Follows KMS plugins and the file, and has the store try again what it could not read, for as long as it is polled.
pub async fn run(encryption: Arc<Encryption>, store: Store) {
    let mut changes = encryption.changes();
    let follow = async {
        while changes.changed().await.is_ok() {
            store.open_again();
        }
    };
    tokio::join!(encryption.clone().run(), follow);
}
