//! The rows of the core group, v1.

use crate::row::{CREATE_GET, DefaultDelete, GET_PATCH_UPDATE, KindRow, PROXY_VERBS, Subresource, SubresourceRole};

const NAMESPACED: KindRow = KindRow { group: "", version: "v1", ..KindRow::NAMESPACED };
const CLUSTER: KindRow = KindRow { group: "", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow { kind: "Binding", plural: "bindings", singular: "binding", verbs: &["create"], ..NAMESPACED },
    KindRow {
        kind: "ComponentStatus",
        plural: "componentstatuses",
        singular: "componentstatus",
        short_names: &["cs"],
        verbs: &["get", "list"],
        ..CLUSTER
    },
    KindRow { kind: "ConfigMap", plural: "configmaps", singular: "configmap", short_names: &["cm"], ..NAMESPACED },
    KindRow {
        kind: "Endpoints",
        plural: "endpoints",
        singular: "endpoints",
        short_names: &["ep"],
        create_on_update: true,
        ..NAMESPACED
    },
    KindRow {
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        create_on_update: true,
        default_delete: DefaultDelete::Unsupported,
        ..NAMESPACED
    },
    KindRow {
        kind: "LimitRange",
        plural: "limitranges",
        singular: "limitrange",
        short_names: &["limits"],
        create_on_update: true,
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
        ..CLUSTER
    },
    KindRow {
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        short_names: &["pvc"],
        subresources: &[Subresource::STATUS],
        ..NAMESPACED
    },
    KindRow {
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        singular: "persistentvolume",
        short_names: &["pv"],
        subresources: &[Subresource::STATUS],
        ..CLUSTER
    },
    KindRow {
        kind: "Pod",
        plural: "pods",
        singular: "pod",
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
        generation: true,
        ..NAMESPACED
    },
    KindRow { kind: "PodTemplate", plural: "podtemplates", singular: "podtemplate", generation: true, ..NAMESPACED },
    KindRow {
        kind: "ReplicationController",
        plural: "replicationcontrollers",
        singular: "replicationcontroller",
        short_names: &["rc"],
        categories: &["all"],
        subresources: &[Subresource::SCALE, Subresource::STATUS],
        generation: true,
        default_delete: DefaultDelete::Orphan,
        ..NAMESPACED
    },
    KindRow {
        kind: "ResourceQuota",
        plural: "resourcequotas",
        singular: "resourcequota",
        short_names: &["quota"],
        subresources: &[Subresource::STATUS],
        ..NAMESPACED
    },
    KindRow { kind: "Secret", plural: "secrets", singular: "secret", ..NAMESPACED },
    KindRow {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        subresources: &[Subresource {
            name: "token",
            kind: Some(("authentication.k8s.io", "v1", "TokenRequest")),
            verbs: &["create"],
            role: SubresourceRole::Action,
        }],
        ..NAMESPACED
    },
    KindRow {
        kind: "Service",
        plural: "services",
        singular: "service",
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
        create_on_update: true,
        ..NAMESPACED
    },
];
