//! Remembers tokens for a few seconds, so that a client's next request does not pay for a signature again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

use super::objects::Objects;
use super::service_account::Seen;
use super::{Authenticated, unix_now};

/// How long a token is remembered, as by kube-apiserver.
const TTL: Duration = Duration::from_secs(10);
/// Tokens remembered at once; when there are more, those that are too old go, or else all.
const TOKENS_MAX: usize = 32 * 1024;

struct Entry {
    until: Instant,
    authenticated: Arc<Authenticated>,
    seen: Seen,
}

/// Token to user. Holds only tokens that were accepted.
pub struct TokenCache {
    entries: RwLock<HashMap<Box<str>, Entry, Xxh3DefaultBuilder>>,
}

impl Default for TokenCache {
    fn default() -> Self {
        TokenCache { entries: RwLock::new(HashMap::with_hasher(Xxh3DefaultBuilder::new())) }
    }
}

impl TokenCache {
    /// The outcome of an earlier request, if nothing that it rests on has changed.
    pub fn get(&self, token: &str, objects: &Objects) -> Option<Arc<Authenticated>> {
        let entries = self.entries.read();
        let entry = entries.get(token)?;
        (Instant::now() < entry.until && entry.seen.is_current(objects)).then(|| entry.authenticated.clone())
    }

    /// Forgets everything: what was accepted may no longer be.
    pub fn clear(&self) {
        self.entries.write().clear();
    }

    pub fn put(&self, token: &str, authenticated: Arc<Authenticated>, seen: Seen) {
        let now = Instant::now();
        let mut until = now + TTL;
        if let Some(expires) = authenticated.expires {
            let left = expires.saturating_sub(unix_now()).max(0);
            until = until.min(now + Duration::from_secs(left.unsigned_abs().min(TTL.as_secs())));
        }
        let mut entries = self.entries.write();
        if entries.len() >= TOKENS_MAX {
            entries.retain(|_, e| now < e.until);
            if entries.len() >= TOKENS_MAX {
                entries.clear();
            }
        }
        entries.insert(token.into(), Entry { until, authenticated, seen });
    }
}
