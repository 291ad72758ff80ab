//! What every request shares ([`App`]) and what one request carries to its verb ([`Call`]).

use std::sync::Arc;

use http::HeaderMap;
use kuorum_cache::Store;
use kuorum_kinds::kind::Kind;
use kuorum_kinds::registry::Registry;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::auth::User;
use crate::config::Config;
use crate::request::info::RequestInfo;
use crate::request::negotiate::Accept;
use crate::request::query::Query;

/// The process-wide state. Made once, shared by reference.
pub struct App {
    pub config: Config,
    /// The way to the store: transactions, fences, snapshots, watches.
    pub store: Store,
    /// The kinds that are served. Swapped as a whole when a kind comes or goes.
    pub registry: arc_swap::ArcSwap<Registry>,
    /// Cancelled when the drain begins: watches end cleanly, new connections are refused.
    pub drain: CancellationToken,
}

/// One request on its way to a verb handler. Everything is borrowed: a call lives as long as its request, and what
/// a streaming body needs is cloned out of it.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub app: &'a Arc<App>,
    pub info: &'a RequestInfo<'a>,
    pub query: &'a Query<'a>,
    pub headers: &'a HeaderMap,
    pub accept: Accept,
    pub user: &'a User,
    pub kind: &'a Arc<Kind>,
    /// When the request must have been answered. Watches have their own.
    pub deadline: tokio::time::Instant,
    pub warnings: &'a Warnings,
}

/// Texts for `Warning:` headers, collected while a request is worked on; each text once.
#[derive(Default)]
pub struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    pub fn add(&self, text: impl Into<String>) {
        let text = text.into();
        let mut texts = self.0.lock();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}
