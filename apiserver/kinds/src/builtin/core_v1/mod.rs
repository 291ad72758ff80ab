//! The rows of the core group, v1.

mod component_status;
mod config_map;
pub mod data;
mod endpoints;
pub mod event;
mod limit_range;
mod namespace;
mod node;
pub mod persistent_volume;
pub mod persistent_volume_claim;
mod pod;
mod pod_template;
mod replication_controller;
mod resource_quota;
mod secret;
pub mod service;
mod service_account;
mod storage;

use crate::row::{CREATE_GET, DefaultDelete, GET_PATCH_UPDATE, KindRow, PROXY_VERBS, Subresource, SubresourceRole};

const NAMESPACED: KindRow = KindRow { group: "", version: "v1", ..KindRow::NAMESPACED };
const CLUSTER: KindRow = KindRow { group: "", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow { kind: "Binding", plural: "bindings", singular: "binding", verbs: &["create"], ..NAMESPACED },
    KindRow {
        kind: "ComponentStatus",
        plural: "componentstatuses",
        singular: "componentstatus",
        deprecation: "v1 ComponentStatus is deprecated in v1.19+",
        short_names: &["cs"],
        verbs: &["get", "list"],
        hooks: component_status::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        hooks: config_map::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "Endpoints",
        plural: "endpoints",
        singular: "endpoints",
        deprecation: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        short_names: &["ep"],
        create_on_update: true,
        hooks: endpoints::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        fields: event::FIELDS,
        create_on_update: true,
        default_delete: DefaultDelete::Unsupported,
        hooks: event::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "LimitRange",
        plural: "limitranges",
        singular: "limitrange",
        short_names: &["limits"],
        create_on_update: true,
        hooks: limit_range::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
        subresources: &[
            Subresource { name: "finalize", kind: None, verbs: &["update"], role: SubresourceRole::Part },
            Subresource::STATUS,
        ],
        fields: namespace::FIELDS,
        hooks: namespace::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "Node",
        plural: "nodes",
        singular: "node",
        short_names: &["no"],
        subresources: &[
            Subresource {
                name: "proxy",
                kind: Some(("", "v1", "NodeProxyOptions")),
                verbs: PROXY_VERBS,
                role: SubresourceRole::Connect,
            },
            Subresource::STATUS,
        ],
        fields: node::FIELDS,
        hooks: node::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        answers_delete_whole: true,
        short_names: &["pvc"],
        subresources: &[Subresource::STATUS],
        hooks: persistent_volume_claim::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        singular: "persistentvolume",
        answers_delete_whole: true,
        short_names: &["pv"],
        subresources: &[Subresource::STATUS],
        hooks: persistent_volume::HOOKS,
        ..CLUSTER
    },
    KindRow {
        kind: "Pod",
        plural: "pods",
        singular: "pod",
        answers_delete_whole: true,
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            Subresource {
                name: "attach",
                kind: Some(("", "v1", "PodAttachOptions")),
                verbs: CREATE_GET,
                role: SubresourceRole::Connect,
            },
            Subresource {
                name: "binding",
                kind: Some(("", "v1", "Binding")),
                verbs: &["create"],
                role: SubresourceRole::Action,
            },
            Subresource {
                name: "ephemeralcontainers",
                kind: None,
                verbs: GET_PATCH_UPDATE,
                role: SubresourceRole::Part,
            },
            Subresource {
                name: "eviction",
                kind: Some(("policy", "v1", "Eviction")),
                verbs: &["create"],
                role: SubresourceRole::Action,
            },
            Subresource {
                name: "exec",
                kind: Some(("", "v1", "PodExecOptions")),
                verbs: CREATE_GET,
                role: SubresourceRole::Connect,
            },
            Subresource { name: "log", kind: None, verbs: &["get"], role: SubresourceRole::Connect },
            Subresource {
                name: "portforward",
                kind: Some(("", "v1", "PodPortForwardOptions")),
                verbs: CREATE_GET,
                role: SubresourceRole::Connect,
            },
            Subresource {
                name: "proxy",
                kind: Some(("", "v1", "PodProxyOptions")),
                verbs: PROXY_VERBS,
                role: SubresourceRole::Connect,
            },
            Subresource { name: "resize", kind: None, verbs: GET_PATCH_UPDATE, role: SubresourceRole::Part },
            Subresource::STATUS,
        ],
        fields: pod::FIELDS,
        generation: true,
        hooks: pod::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "PodTemplate",
        plural: "podtemplates",
        singular: "podtemplate",
        answers_delete_whole: true,
        generation: true,
        hooks: pod_template::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "ReplicationController",
        plural: "replicationcontrollers",
        singular: "replicationcontroller",
        short_names: &["rc"],
        categories: &["all"],
        subresources: &[Subresource::SCALE, Subresource::STATUS],
        fields: replication_controller::FIELDS,
        generation: true,
        default_delete: DefaultDelete::Orphan,
        hooks: replication_controller::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "ResourceQuota",
        plural: "resourcequotas",
        singular: "resourcequota",
        answers_delete_whole: true,
        short_names: &["quota"],
        subresources: &[Subresource::STATUS],
        hooks: resource_quota::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        fields: secret::FIELDS,
        hooks: secret::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        answers_delete_whole: true,
        short_names: &["sa"],
        subresources: &[Subresource {
            name: "token",
            kind: Some(("authentication.k8s.io", "v1", "TokenRequest")),
            verbs: &["create"],
            role: SubresourceRole::Action,
        }],
        hooks: service_account::HOOKS,
        ..NAMESPACED
    },
    KindRow {
        kind: "Service",
        plural: "services",
        singular: "service",
        answers_delete_whole: true,
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[
            Subresource {
                name: "proxy",
                kind: Some(("", "v1", "ServiceProxyOptions")),
                verbs: PROXY_VERBS,
                role: SubresourceRole::Connect,
            },
            Subresource::STATUS,
        ],
        fields: service::FIELDS,
        create_on_update: true,
        hooks: service::HOOKS,
        ..NAMESPACED
    },
];
