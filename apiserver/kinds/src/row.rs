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
    /// Selectable besides metadata.name and metadata.namespace.
    pub fields: &'static [SelectableField],
    /// Whether `metadata.generation` is maintained.
    pub generation: bool,
    /// PUT of an absent object creates it.
    pub create_on_update: bool,
    /// PUT without a resourceVersion is allowed.
    pub unconditional_update: bool,
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
        fields: &[],
        generation: false,
        create_on_update: false,
        unconditional_update: true,
        hooks: Hooks::NONE,
    };

    /// As `NAMESPACED`, cluster-scoped.
    pub const CLUSTER: KindRow = KindRow { scope: Scope::Cluster, ..Self::NAMESPACED };
}
