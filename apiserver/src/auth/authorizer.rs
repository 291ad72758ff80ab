//! The authorizers of a front-end: made from its settings, fed by the changes of its caches.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use kuorum_auth::authz::RuleList;
use kuorum_auth::authz::config::{self, Mode, Shared};
use kuorum_auth::authz::node::{Graph, PodReferences, Referenced, VolumeReferences};
use kuorum_auth::authz::rbac::{GROUP, Kind, Rbac};
use kuorum_cache::{Object, Observer, Resource};
use serde_json::Value;

use super::User;
use crate::config::{Config, ConfigError};
use crate::options::AuthorizationOptions;

pub use kuorum_auth::authz::{Attributes, Chain, Decision, Reason, Refusal, Selector};

/// How often the configuration file is looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// Who may do what. Asked on every request.
pub struct Authorization {
    /// Swapped when the configuration file changes.
    chain: ArcSwap<Chain>,
    /// The index of roles and bindings, which also says what users may grant to others.
    pub rbac: Arc<Rbac>,
    /// What nodes may see. Followed only where the Node authorizer is on.
    graph: Arc<Graph>,
    /// The modes that are no webhooks: they stay as they were at the start.
    fixed: Vec<&'static str>,
}

/// The modes that a configuration file may not add or remove while the server runs.
fn fixed(modes: &[Mode]) -> Vec<&'static str> {
    let mut names: Vec<_> = modes.iter().map(Mode::name).filter(|name| *name != "Webhook").collect();
    names.sort_unstable();
    names
}

impl Authorization {
    /// The authorizers of `--authorization-mode`, or of `--authorization-config`.
    pub fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let modes = config.authorization.modes(&config.authorization_mode)?;
        let shared = Shared { rbac: Arc::default(), graph: Arc::default() };
        let chain = config::chain(&modes, &shared)
            .map_err(|e| ConfigError::Invalid { flag: "authorization-mode", why: e.to_string() })?;
        let Shared { rbac, graph } = shared;
        Ok(Authorization { chain: ArcSwap::from_pointee(chain), rbac, graph, fixed: fixed(&modes) })
    }

    /// Reads the configuration file again whenever it changes. One that is wrong changes nothing.
    pub async fn watch_file(&self, options: &AuthorizationOptions) {
        let Some(path) = &options.authorization_config else { return };
        let mut seen = tokio::fs::read(path).await.ok();
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            let now = tokio::fs::read(path).await.ok();
            if now == seen || now.is_none() {
                continue;
            }
            match self.reload(options, path) {
                Ok(()) => tracing::info!(path = %path.display(), "authorization configuration read again"),
                Err(why) => tracing::error!(%why, "keeping the old authorization configuration"),
            }
            seen = now;
        }
    }

    fn reload(&self, options: &AuthorizationOptions, path: &Path) -> Result<(), String> {
        let modes = options.load(path).map_err(|e| e.to_string())?;
        if fixed(&modes) != self.fixed {
            return Err(format!("{}: only webhooks may come and go while the server runs", path.display()));
        }
        let shared = Shared { rbac: self.rbac.clone(), graph: self.graph.clone() };
        self.chain.store(Arc::new(config::chain(&modes, &shared).map_err(|e| e.to_string())?));
        Ok(())
    }

    pub async fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        self.chain.load().authorize(attributes).await
    }

    /// The rules of a user in a namespace, as far as authorizers can list them.
    pub fn rules(&self, user: &User, namespace: &str) -> RuleList {
        self.chain.load().rules(user, namespace)
    }

    /// Follows the objects that decisions rest on. `resource` finds one by group and plural.
    pub fn observe(&self, resource: impl Fn(&str, &str) -> Option<Resource>) {
        for kind in Kind::ALL {
            if let Some(resource) = resource(GROUP, kind.plural()) {
                resource.observe(Arc::new(RbacObserver { rbac: self.rbac.clone(), kind }));
            }
        }
        if !self.fixed.contains(&"Node") {
            return;
        }
        for (group, plural, source) in [
            ("", "pods", Source::Pods),
            ("", "persistentvolumes", Source::Volumes),
            ("storage.k8s.io", "volumeattachments", Source::Attachments),
            ("resource.k8s.io", "resourceslices", Source::Slices),
        ] {
            if let Some(resource) = resource(group, plural) {
                let node_field = resource.field_index("spec.nodeName");
                resource.observe(Arc::new(GraphObserver { graph: self.graph.clone(), source, node_field }));
            }
        }
    }
}

fn read(object: &Object) -> Value {
    // Stored objects were written by this API; one that is no JSON grants nothing.
    serde_json::from_slice(object.json()).unwrap_or_default()
}

/// Keeps the RBAC index.
struct RbacObserver {
    rbac: Arc<Rbac>,
    kind: Kind,
}

impl Observer for RbacObserver {
    fn replaced(&self, objects: &[Arc<Object>]) {
        self.rbac.clear(self.kind);
        objects.iter().for_each(|object| self.changed(None, Some(object)));
    }

    fn changed(&self, before: Option<&Arc<Object>>, after: Option<&Arc<Object>>) {
        match (before, after) {
            (_, Some(object)) => self.rbac.put(self.kind, object.namespace(), object.name(), &read(object)),
            (Some(object), None) => self.rbac.remove(self.kind, object.namespace(), object.name()),
            (None, None) => {}
        }
    }
}

/// What the node graph is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Pods,
    Volumes,
    Attachments,
    Slices,
}

/// Keeps the node graph.
struct GraphObserver {
    graph: Arc<Graph>,
    source: Source,
    /// Of pods: where the cache has `spec.nodeName`.
    node_field: Option<usize>,
}

/// Fields of a pod that are set, or grow, after it was bound, and lead to more objects.
const GROWING_FIELDS: [&[u8]; 3] =
    [b"\"ephemeralContainers\"", b"\"resourceClaimStatuses\"", b"\"extendedResourceClaimStatus\""];

impl GraphObserver {
    fn node_of<'o>(&self, pod: &'o Object) -> &'o str {
        self.node_field.map_or("", |index| pod.field(index))
    }

    /// Whether what a bound pod leads to may be other than before. Most changes of a pod are of its status: they are
    /// not read.
    fn leads_elsewhere(&self, before: Option<&Arc<Object>>, after: &Object) -> bool {
        let Some(before) = before else { return true };
        before.create_revision() != after.create_revision()
            || self.node_of(before) != self.node_of(after)
            || GROWING_FIELDS.iter().any(|field| memchr::memmem::find(after.json(), field).is_some())
    }

    fn put(&self, object: &Object) {
        let value = read(object);
        let node = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
        match self.source {
            Source::Pods => {
                let references = PodReferences::of(&value);
                self.graph.put_pod(object.namespace(), object.name(), self.node_of(object), &references);
            }
            Source::Volumes => match VolumeReferences::of(&value) {
                Some(references) => self.graph.put_volume(object.name(), references),
                None => self.graph.remove_volume(object.name()),
            },
            Source::Attachments => {
                self.graph.put_direct(Referenced::Attachment, object.name(), node("/spec/nodeName"));
            }
            Source::Slices => self.graph.put_direct(Referenced::Slice, object.name(), node("/spec/nodeName")),
        }
    }
}

impl Observer for GraphObserver {
    fn replaced(&self, objects: &[Arc<Object>]) {
        self.graph.clear(match self.source {
            Source::Pods => Referenced::Pod,
            Source::Volumes => Referenced::Volume,
            Source::Attachments => Referenced::Attachment,
            Source::Slices => Referenced::Slice,
        });
        objects.iter().for_each(|object| self.changed(None, Some(object)));
    }

    fn changed(&self, before: Option<&Arc<Object>>, after: Option<&Arc<Object>>) {
        match (before, after) {
            (_, Some(pod)) if self.source == Source::Pods => {
                if self.node_of(pod).is_empty() {
                    // Not bound; an earlier pod of the name may have been.
                    if before.is_some_and(|b| !self.node_of(b).is_empty()) {
                        self.graph.remove_pod(pod.namespace(), pod.name());
                    }
                } else if self.leads_elsewhere(before, pod) {
                    self.put(pod);
                }
            }
            (_, Some(object)) => self.put(object),
            (Some(gone), None) => match self.source {
                Source::Pods => self.graph.remove_pod(gone.namespace(), gone.name()),
                Source::Volumes => self.graph.remove_volume(gone.name()),
                Source::Attachments => self.graph.put_direct(Referenced::Attachment, gone.name(), ""),
                Source::Slices => self.graph.put_direct(Referenced::Slice, gone.name(), ""),
            },
            (None, None) => {}
        }
    }
}
