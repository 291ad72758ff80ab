//! The objects that a run creates, and where they live.

use bytes::Bytes;
use serde_json::json;

use super::args::{Args, ObjectKind};

/// Makes paths and bodies of one kind in one namespace.
#[derive(Clone)]
pub struct Objects {
    pub collection: String,
    kind: ObjectKind,
    payload: String,
}

impl Objects {
    pub fn new(args: &Args) -> Objects {
        let plural = match args.kind {
            ObjectKind::Configmap => "configmaps",
            ObjectKind::Pod => "pods",
        };
        Objects {
            collection: format!("/api/v1/namespaces/{}/{plural}", args.namespace),
            kind: args.kind,
            payload: "0123456789abcdef".repeat(args.size.div_ceil(16))[..args.size].to_owned(),
        }
    }

    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.collection)
    }

    /// The manifest of one object.
    pub fn manifest(&self, name: &str) -> Bytes {
        manifest(self.kind, name, &self.payload)
    }
}

/// The manifest of one object: a ConfigMap with `payload`, or a Pod of about 1.3 KB.
pub fn manifest(kind: ObjectKind, name: &str, payload: &str) -> Bytes {
    let labels = json!({"app": "load", "kuorum.dev/run": "bench"});
    let object = match kind {
        ObjectKind::Configmap => json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "labels": labels}, "data": {"payload": payload},
        }),
        ObjectKind::Pod => json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": labels, "annotations": {"kuorum.dev/purpose": "load"}},
            "spec": {
                "serviceAccountName": "default",
                "containers": [container("web", 8080), container("metrics", 9090)],
                "volumes": [
                    {"name": "settings", "configMap": {"name": "web-settings"}},
                    {"name": "scratch", "emptyDir": {}},
                ],
                "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
                                 "effect": "NoExecute", "tolerationSeconds": 300}],
            },
        }),
    };
    Bytes::from(object.to_string())
}

fn container(name: &str, port: u16) -> serde_json::Value {
    json!({
        "name": name, "image": format!("registry.example/{name}:1.2.3"),
        "ports": [{"containerPort": port, "name": "http"}],
        "env": [{"name": "MODE", "value": "production"},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": "http"}, "initialDelaySeconds": 10},
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/settings"},
                         {"name": "scratch", "mountPath": "/tmp"}],
    })
}
