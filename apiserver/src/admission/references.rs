//! Other objects that a pod names.

use kuorum_kinds::value as json;
use serde_json::Value;

/// Where volumes name a secret, besides `secret.secretName`.
const VOLUME_SECRETS: [&str; 11] = [
    "azureFile.secretName",
    "cephfs.secretRef.name",
    "cinder.secretRef.name",
    "flexVolume.secretRef.name",
    "rbd.secretRef.name",
    "secret.secretName",
    "scaleIO.secretRef.name",
    "iscsi.secretRef.name",
    "storageos.secretRef.name",
    "csi.nodePublishSecretRef.name",
    "glusterfs.secretRef.name",
];

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let spec = json::get(pod, "spec");
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| json::items(spec, list))
}

/// Names in the environment of containers: `env[].valueFrom.<key>.name` and `envFrom[].<from>.name`.
fn environment<'a>(pod: &'a Value, key: &'static str, from: &'static str) -> impl Iterator<Item = &'a str> {
    containers(pod).flat_map(move |container| {
        let keys = json::items(container, "env").iter().map(move |v| json::get(json::get(v, "valueFrom"), key));
        let sources = json::items(container, "envFrom").iter().map(move |s| json::get(s, from));
        keys.chain(sources).filter(|r| r.is_object()).map(|r| json::text(r, "name"))
    })
}

fn volumes(pod: &Value) -> impl Iterator<Item = &Value> {
    json::items(pod, "spec.volumes").iter()
}

/// Sources of projected volumes of one kind.
pub fn projections<'a>(pod: &'a Value, kind: &'static str) -> impl Iterator<Item = &'a Value> {
    let sources = volumes(pod).flat_map(|volume| json::items(volume, "projected.sources"));
    sources.map(move |source| json::get(source, kind)).filter(|s| s.is_object())
}

/// The secrets that a pod names.
pub fn secrets(pod: &Value) -> impl Iterator<Item = &str> {
    let pull = json::items(pod, "spec.imagePullSecrets").iter().map(|s| json::text(s, "name"));
    let of_volumes = volumes(pod).flat_map(|v| VOLUME_SECRETS.iter().map(move |path| json::text(v, path)));
    let projected = projections(pod, "secret").map(|s| json::text(s, "name"));
    pull.chain(environment(pod, "secretKeyRef", "secretRef"))
        .chain(of_volumes)
        .chain(projected)
        .filter(|name| !name.is_empty())
}

/// The config maps that a pod names.
pub fn config_maps(pod: &Value) -> impl Iterator<Item = &str> {
    let of_volumes = volumes(pod).map(|v| json::text(v, "configMap.name"));
    let projected = projections(pod, "configMap").map(|s| json::text(s, "name"));
    environment(pod, "configMapKeyRef", "configMapRef").chain(of_volumes).chain(projected).filter(|n| !n.is_empty())
}

/// Whether a pod names a claim.
pub fn has_claim(pod: &Value) -> bool {
    volumes(pod).any(|v| json::get(v, "persistentVolumeClaim").is_object())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_found_wherever_they_are() {
        let secrets_of = |spec: Value| secrets(&json!({"spec": spec})).map(str::to_owned).collect::<Vec<_>>();
        let rows = [
            (json!({"imagePullSecrets": [{"name": "a"}]}), vec!["a"]),
            (json!({"ephemeralContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "a"}}}]}]}), vec!["a"]),
            (
                json!({"initContainers": [{"envFrom": [{"secretRef": {"name": "a"}}, {"configMapRef": {"name": "b"}}]}]}),
                vec!["a"],
            ),
            (
                json!({"volumes": [{"csi": {"nodePublishSecretRef": {"name": "a"}}}, {"secret": {"secretName": "b"}}]}),
                vec!["a", "b"],
            ),
            (
                json!({"volumes": [{"projected": {"sources": [{"secret": {"name": "a"}}, {"configMap": {"name": "b"}}]}}]}),
                vec!["a"],
            ),
            (json!({"volumes": [{"emptyDir": {}}], "containers": [{"env": [{"value": "x"}]}]}), vec![]),
        ];
        for (spec, expected) in rows {
            assert_eq!(secrets_of(spec.clone()), expected, "{spec}");
        }
        let pod = json!({"spec": {"volumes": [{"configMap": {"name": "a"}}], "containers": [{"envFrom": [{"configMapRef": {"name": "b"}}]}]}});
        assert_eq!(config_maps(&pod).collect::<Vec<_>>(), ["b", "a"]);
        assert!(has_claim(&json!({"spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "c"}}]}})));
    }
}
