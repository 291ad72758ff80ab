//! What every request shares ([`App`]) and what one request carries to its verb ([`Call`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use http::HeaderMap;
use kuorum_audit::Auditor;
use kuorum_cache::{Field, Resource, ResourceSpec, Store};
use kuorum_encryption::Encryption;
use kuorum_kinds::kind::Kind;
use kuorum_kinds::registry::{Registry, UnknownKind};
use kuorum_kinds::row::Scope;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission;
use crate::auth::authorizer::Authorization;
use crate::auth::{Authenticator, User};
use crate::config::{Config, ConfigError};
use crate::discovery::Documents;
use crate::layers::edge::Edge;
use crate::layers::impersonation::LastModes;
use crate::layers::measure::Measure;
use crate::layers::overload::Overload;
use crate::request::info::RequestInfo;
use crate::request::negotiate::Accept;
use crate::request::query::Query;
use crate::services::Allocators;
use crate::status::ApiError;

/// The process-wide state. Made once, shared by reference.
pub struct App {
    pub config: Config,
    /// The way to the store: transactions, fences, snapshots, watches.
    pub store: Store,
    /// The kinds that are served, with the documents that describe them. Swapped as a whole.
    pub kinds: ArcSwap<Served>,
    pub authenticator: Authenticator,
    /// How callers were last allowed to be somebody else.
    pub impersonation: LastModes,
    pub authorization: Authorization,
    pub overload: Overload,
    pub measure: Measure,
    pub admission: admission::Chain,
    pub allocators: Allocators,
    /// What happens to a request before it is looked at.
    pub edge: Edge,
    /// Records requests; unset: none is.
    pub auditor: OnceLock<Arc<Auditor>>,
    /// Seals what is stored; unset: nothing is.
    pub encryption: OnceLock<Arc<Encryption>>,
    /// Where clients reach this server: `host:port`, for discovery documents.
    pub external_address: String,
    /// Whether the bootstrap objects are there.
    pub bootstrapped: AtomicBool,
    /// Set at the shutdown signal: readyz is false from then on.
    pub stopping: AtomicBool,
    /// Cancelled at the shutdown signal.
    pub shutdown: CancellationToken,
    /// Cancelled when the drain begins, after the shutdown delay: watches end cleanly.
    pub drain: CancellationToken,
}

/// Why the state cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A row names a kind that the catalog lacks: a defect of the build.
    #[error(transparent)]
    UnknownKind(#[from] UnknownKind),
}

/// The kinds that are served and what is derived from them.
pub struct Served {
    pub registry: Registry,
    pub documents: Documents,
}

impl App {
    /// Registers every stored kind with the store's cache and derives the discovery documents. Call before
    /// [`Store::start`].
    pub fn new(
        config: Config,
        store: Store,
        authenticator: Authenticator,
        external_address: String,
    ) -> Result<Arc<Self>, AppError> {
        let registry = Registry::builtin()?;
        for kind in registry.stored() {
            store.register(resource_spec(kind));
        }
        store.register(crate::services::ports::resource_spec());
        let authorization = Authorization::from_config(&config)?;
        authorization.observe(|group, plural| {
            let kind = registry.stored().find(|kind| kind.row.group == group && kind.row.plural == plural)?;
            store.resource(&kind.storage_prefix)
        });
        let documents = Documents::of(&registry);
        Ok(Arc::new(App {
            allocators: Allocators::from_config(&config)?,
            admission: admission::Chain::from_config(&config)?,
            authorization,
            overload: Overload::from_config(&config),
            measure: Measure::default(),
            kinds: ArcSwap::from_pointee(Served { registry, documents }),
            edge: Edge::new(&config.serving),
            auditor: OnceLock::new(),
            encryption: OnceLock::new(),
            authenticator,
            impersonation: LastModes::default(),
            external_address,
            bootstrapped: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            shutdown: CancellationToken::new(),
            drain: CancellationToken::new(),
            store,
            config,
        }))
    }

    /// The cached objects of a kind. Every stored kind is registered at start.
    pub fn resource(&self, kind: &Kind) -> Result<Resource, ApiError> {
        self.store
            .resource(&kind.storage_prefix)
            .ok_or_else(|| ApiError::internal(format!("{} is not stored", kind.qualified_resource())))
    }

    /// The cached objects of a built-in kind.
    pub fn resource_named(&self, group: &str, version: &str, plural: &str) -> Result<(Arc<Kind>, Resource), ApiError> {
        let served = self.kinds.load();
        let kind = served
            .registry
            .resource(group, version, plural)
            .ok_or_else(|| ApiError::internal(format!("{plural}.{group} is not served")))?;
        Ok((kind.clone(), self.resource(kind)?))
    }

    /// Whether this server should get traffic.
    pub fn is_ready(&self) -> bool {
        self.bootstrapped.load(Ordering::Acquire) && self.store.ready() && !self.stopping.load(Ordering::Acquire)
    }
}

/// What the cache needs to know of a kind.
fn resource_spec(kind: &Arc<Kind>) -> ResourceSpec {
    let field = |f: &kuorum_kinds::row::SelectableField| Field::new(f.name, f.value);
    ResourceSpec {
        prefix: kind.storage_prefix.clone(),
        namespaced: kind.row.scope == Scope::Namespaced,
        fields: kind.row.fields.iter().map(field).collect(),
    }
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
    pub deadline: Instant,
    pub warnings: &'a Warnings,
    /// What admission adds to the request's audit event.
    pub annotations: &'a admission::Annotations,
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
