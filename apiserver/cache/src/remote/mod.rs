//! The store over gRPC.

pub mod connect;

use std::sync::Weak;

use kuorum_proto::v1;
use tokio::time::Instant;

use self::connect::Config;
use crate::error::StoreError;
use crate::snapshot::SnapshotError;
use crate::store::Inner;
use crate::txn::{CommitOutcome, Txn};

pub(crate) struct Remote {
    config: Config,
    store: Weak<Inner>,
}

impl Remote {
    pub fn new(config: Config, store: Weak<Inner>) -> Self {
        Remote { config, store }
    }

    pub fn start(&self) {
        let _ = (&self.config, &self.store);
    }

    pub async fn fence(&self, _deadline: Instant) -> Result<u64, StoreError> {
        Err(StoreError::Unavailable("not connected".into()))
    }

    pub async fn commit(&self, _txn: Txn, _deadline: Instant) -> Result<CommitOutcome, StoreError> {
        Err(StoreError::Unavailable("not connected".into()))
    }

    pub async fn range_at(
        &self,
        _prefix: &str,
        _revision: u64,
        _deadline: Instant,
    ) -> Result<Vec<v1::KeyValue>, SnapshotError> {
        Err(StoreError::Unavailable("not connected".into()).into())
    }

    pub async fn history(
        &self,
        _prefix: &str,
        _after: u64,
        _up_to: u64,
        _deadline: Instant,
    ) -> Result<Vec<v1::Event>, SnapshotError> {
        Err(StoreError::Unavailable("not connected".into()).into())
    }
}
