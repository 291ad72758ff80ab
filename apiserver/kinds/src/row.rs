//! A row: everything about a kind that is data. Constant, so that a table of rows reads like a table.

use crate::hooks::Hooks;

/// Whether objects live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// The verbs of a resource, as discovery lists them (alphabetical).
pub const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The verbs of a subresource that is read and written like its parent.
pub const GET_PATCH_UPDATE: &[&str] = &["get", "patch", "update"];
/// The verbs of a streaming subresource, which opens with GET (WebSocket) or POST (SPDY).
pub const CREATE_GET: &[&str] = &["create", "get"];
/// The verbs of an HTTP proxy: every method.
pub const PROXY_VERBS: &[&str] = &["create", "delete", "get", "patch", "update"];

/// One subresource of a kind, as discovery lists it.
#[derive(Clone, Copy, Debug)]
pub struct Subresource {
    /// `status`, `scale`, `binding`…
    pub name: &'static str,
    /// The kind of its body where it is not the parent's: `("autoscaling", "v1", "Scale")`.
    pub kind: Option<(&'static str, &'static str, &'static str)>,
    pub verbs: &'static [&'static str],
    /// What it does. Data for the verbs; a subresource with its own protocol is `Connect`.
    pub role: SubresourceRole,
}

impl Subresource {
    pub const STATUS: Subresource =
        Subresource { name: "status", kind: None, verbs: GET_PATCH_UPDATE, role: SubresourceRole::Status };
    pub const SCALE: Subresource = Subresource {
        name: "scale",
        kind: Some(("autoscaling", "v1", "Scale")),
        verbs: GET_PATCH_UPDATE,
        role: SubresourceRole::Scale,
    };
}

/// How the verb handlers treat a subresource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubresourceRole {
    /// Writes only `status` (and metadata where the kind's hooks say so).
    Status,
    /// `autoscaling/v1` Scale view of the object.
    Scale,
    /// Writes one named part of the object through the subresource hooks (finalize, approval, resize…).
    Part,
    /// A create-only action (binding, eviction, token).
    Action,
    /// Proxied to a node or a pod (exec, attach, log, portforward, proxy).
    Connect,
}

/// What a DELETE without a propagation policy does to dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultDelete {
    /// The garbage collector removes them later.
    Background,
    /// They stay, without their owner (finalizer `orphan`).
    Orphan,
    /// The kind knows no garbage collection: orphaning finalizers are never added.
    Unsupported,
}

/// One built-in kind.
#[derive(Clone, Copy)]
pub struct KindRow {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// `pods`
    pub plural: &'static str,
    /// `pod`
    pub singular: &'static str,
    /// Empty for the usual `<kind>List`.
    pub list_kind: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub scope: Scope,
    pub verbs: &'static [&'static str],
    pub subresources: &'static [Subresource],
    /// `group/version/kind` that is stored; `None`: this one. (HPA v1 is stored as v2, events.k8s.io as core.)
    pub storage: Option<(&'static str, &'static str, &'static str)>,
    /// The version that kube-apiserver stores, where it differs from `storage`: only `storageVersionHash` tells.
    pub hash_version: Option<&'static str>,
    /// Selectable besides metadata.name and metadata.namespace.
    pub fields: &'static [SelectableField],
    /// Whether `metadata.generation` is maintained (by `Kind::prepare_create` and `prepare_update`).
    pub generation: bool,
    /// PUT of an absent object creates it.
    pub create_on_update: bool,
    /// PUT without a resourceVersion is allowed.
    pub unconditional_update: bool,
    pub default_delete: DefaultDelete,
    /// DELETE answers with the object as it was, where others answer with a Status.
    pub answers_delete_whole: bool,
    /// The `Warning:` that every use of the kind brings; empty for nearly all.
    pub deprecation: &'static str,
    /// What is said of a field selector that names none of `fields`.
    pub unknown_field: fn(field: &str) -> String,
    pub hooks: Hooks,
}

/// A field that a field selector may name.
#[derive(Clone, Copy)]
pub struct SelectableField {
    /// As the selector spells it: `spec.nodeName`.
    pub name: &'static str,
    /// Reads its text from an object (empty where unset).
    pub value: fn(&serde_json::Value) -> String,
}

impl KindRow {
    /// What most rows share: namespaced, all verbs, no generation, unconditional updates allowed.
    pub const NAMESPACED: KindRow = KindRow {
        group: "",
        version: "v1",
        kind: "",
        plural: "",
        singular: "",
        list_kind: "",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: ALL_VERBS,
        subresources: &[],
        storage: None,
        hash_version: None,
        fields: &[],
        generation: false,
        create_on_update: false,
        unconditional_update: true,
        default_delete: DefaultDelete::Background,
        answers_delete_whole: false,
        deprecation: "",
        unknown_field: |field| format!("field label not supported: {field}"),
        hooks: Hooks::NONE,
    };

    /// As `NAMESPACED`, cluster-scoped.
    pub const CLUSTER: KindRow = KindRow { scope: Scope::Cluster, ..Self::NAMESPACED };

    /// `"v1"`, `"apps/v1"`
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The kind of a list of these: `PodList`.
    pub fn list_kind(&self) -> String {
        if self.list_kind.is_empty() { format!("{}List", self.kind) } else { self.list_kind.to_owned() }
    }

    /// Whether objects of this kind are kept in the store (reviews and bindings are not).
    pub fn is_stored(&self) -> bool {
        self.verbs.contains(&"watch")
    }

    /// `(group, version, kind)` of the stored form.
    pub fn storage_kind(&self) -> (&'static str, &'static str, &'static str) {
        self.storage.unwrap_or((self.group, self.version, self.kind))
    }

    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }
}
