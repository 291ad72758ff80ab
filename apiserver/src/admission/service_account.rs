//! ServiceAccount: every pod has a service account that exists, a token of it where it may be read, and the account's
//! pull secrets; an account can say which secrets its pods may use.

use std::collections::BTreeSet;
use std::time::Duration;

use kuorum_kinds::value as json;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::read::{Metadata, Name, null_as_default};
use super::{Attributes, Operation, Plugin, Verdict, refuse};
use crate::app::Call;
use crate::status::ApiError;
use crate::verbs::{create, store};

pub struct ServiceAccount;

const ACCOUNTS: Name = Name("", "v1", "serviceaccounts");
/// The account of pods that name none. Its controller makes it soon after the namespace, so it is waited for.
const DEFAULT: &str = "default";
const DEFAULT_WAIT: Duration = Duration::from_secs(2);
/// Pods that kubelets make for what they run by themselves.
const MIRROR: &str = "kubernetes.io/config.mirror";
const ENFORCE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

const VOLUME_PREFIX: &str = "kube-api-access-";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// An hour and a little: the odd number marks tokens that were asked for here.
const TOKEN_SECONDS: i64 = 3607;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Account {
    metadata: Metadata,
    #[serde(deserialize_with = "null_as_default")]
    secrets: Vec<Reference>,
    #[serde(deserialize_with = "null_as_default")]
    image_pull_secrets: Vec<Reference>,
    automount_service_account_token: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    #[serde(deserialize_with = "null_as_default")]
    name: String,
}

impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.creates("", "Pod") {
            return None;
        }
        let pod = object?;
        if is_mirror(pod) {
            return check_mirror(pod).err().map(|why| refuse(attributes.refusal(pod, why)));
        }
        let attributes: &'a Attributes<'_> = attributes;
        if json::text(pod, "spec.serviceAccountName").is_empty()
            && let Some(spec) = json::child(pod, "spec")
        {
            // Both names of the field are always shown.
            json::set(spec, "serviceAccountName", DEFAULT);
            json::set(spec, "serviceAccount", DEFAULT);
        }
        let name = json::text(pod, "spec.serviceAccountName").to_owned();
        Some(Box::pin(async move {
            let account = account(attributes, &name).await.map_err(|why| attributes.refusal(pod, why))?;
            use_account(pod, &account);
            check_secrets(pod, &account).map_err(|why| attributes.refusal(pod, why))
        }))
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let adds_container = attributes.operation == Operation::Update
            && attributes.subresource == "ephemeralcontainers"
            && attributes.is("", "Pod");
        if !adds_container && !attributes.creates("", "Pod") {
            return None;
        }
        let pod = object?;
        if !adds_container && is_mirror(pod) {
            return check_mirror(pod).err().map(|why| refuse(attributes.forbidden(why)));
        }
        let name = json::text(pod, "spec.serviceAccountName");
        if name.is_empty() {
            let why = format!("no service account specified for pod {}/{}", attributes.namespace, attributes.name);
            return Some(refuse(attributes.forbidden(why)));
        }
        let check = move |account: &Account| match adds_container {
            true => check_ephemeral_secrets(pod, account),
            false => check_secrets(pod, account),
        };
        // The cache answers at once for all but the first pods of a namespace.
        if let Ok(Some(found)) = cached(attributes.call, attributes.namespace, name) {
            return check(&found).err().map(|why| refuse(attributes.forbidden(why)));
        }
        Some(Box::pin(async move {
            let account = account(attributes, name).await.map_err(|why| attributes.forbidden(why))?;
            check(&account).map_err(|why| attributes.forbidden(why))
        }))
    }
}

fn cached(call: &Call<'_>, namespace: &str, name: &str) -> Result<Option<Account>, ApiError> {
    ACCOUNTS.get_in(call, namespace, name)
}

/// The account of that name, or why there is none. Waits a little for the default one.
async fn account(attributes: &Attributes<'_>, name: &str) -> Result<Account, String> {
    let (call, namespace) = (attributes.call, attributes.namespace);
    let failed = |why: &dyn std::fmt::Display| format!("error looking up service account {namespace}/{name}: {why}");
    let look = || cached(call, namespace, name).map_err(|e| failed(&e));
    if let Some(found) = look()? {
        return Ok(found);
    }
    // Perhaps it was made a moment ago, through another front-end.
    let mut seen = store::fence(call.app, call.deadline).await.map_err(|e| failed(&e))?;
    let until = if name == DEFAULT { (Instant::now() + DEFAULT_WAIT).min(call.deadline) } else { Instant::now() };
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if !call.app.store.wait_for_revision(seen + 1, until).await {
            return Err(failed(&format_args!("serviceaccount {name:?} not found")));
        }
        seen = call.app.store.revision();
    }
}

fn is_mirror(pod: &Value) -> bool {
    json::get(pod, "metadata.annotations").get(MIRROR).is_some()
}

/// A mirror pod shows what a kubelet runs by itself, which has no rights in the cluster.
fn check_mirror(pod: &Value) -> Result<(), &'static str> {
    if json::is_set(pod, "spec.serviceAccountName") {
        return Err("a mirror pod may not reference service accounts");
    }
    if super::references::secrets(pod).next().is_some() {
        return Err("a mirror pod may not reference secrets");
    }
    let projects = |volume: &Value| {
        json::items(volume, "projected.sources").iter().any(|s| json::get(s, "serviceAccountToken").is_object())
    };
    if json::items(pod, "spec.volumes").iter().any(projects) {
        return Err("a mirror pod may not use ServiceAccountToken volume projections");
    }
    Ok(())
}

/// Gives a pod the token volume and the pull secrets of its account.
fn use_account(pod: &mut Value, account: &Account) {
    let automount = json::get(pod, "spec.automountServiceAccountToken").as_bool();
    let Some(spec) = json::child(pod, "spec") else { return };
    if automount.or(account.automount_service_account_token).unwrap_or(true) {
        mount_token(spec);
    }
    if !json::is_set(spec, "imagePullSecrets") && !account.image_pull_secrets.is_empty() {
        let secrets: Vec<Value> = account.image_pull_secrets.iter().map(|s| json!({"name": s.name})).collect();
        json::set(spec, "imagePullSecrets", secrets);
    }
}

/// Mounts a projected token into every container that has nothing at its path.
fn mount_token(spec: &mut Value) {
    let existing = json::items(spec, "volumes").iter().map(|v| json::text(v, "name"));
    let existing = existing.into_iter().find(|name| name.starts_with(VOLUME_PREFIX)).map(str::to_owned);
    let name = existing.clone().unwrap_or_else(|| create::generate_name(VOLUME_PREFIX));
    let mount = json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH});
    let mut used = false;
    for list in ["initContainers", "containers"] {
        for container in json::items_mut(spec, list) {
            if !json::items(container, "volumeMounts").iter().any(|m| json::text(m, "mountPath") == MOUNT_PATH) {
                super::append(container, "volumeMounts", mount.clone());
                used = true;
            }
        }
    }
    if used && existing.is_none() {
        super::append(spec, "volumes", token_volume(&name));
    }
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{
            "path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
        }]}},
    ]}})
}

impl Account {
    fn enforces_secrets(&self) -> bool {
        let value = self.metadata.annotations.get(ENFORCE_SECRETS).map(String::as_str).unwrap_or_default();
        matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
    }
}

/// Whether a pod uses only secrets that its account lists, where the account asks for that.
fn check_secrets(pod: &Value, account: &Account) -> Result<(), String> {
    if !account.enforces_secrets() {
        return Ok(());
    }
    let owner = &account.metadata.name;
    let mountable: BTreeSet<&str> = account.secrets.iter().map(|s| s.name.as_str()).collect();
    for volume in json::items(pod, "spec.volumes") {
        let secret = json::get(volume, "secret");
        let name = json::text(secret, "secretName");
        if secret.is_object() && !mountable.contains(name) {
            return Err(format!(
                "volume with secret.secretName=\"{name}\" is not allowed because service account {owner} does not reference that secret"
            ));
        }
    }
    check_environment(pod, "initContainers", "init container", &mountable, owner)?;
    check_environment(pod, "containers", "container", &mountable, owner)?;
    let pullable: BTreeSet<&str> = account.image_pull_secrets.iter().map(|s| s.name.as_str()).collect();
    for (at, secret) in json::items(pod, "spec.imagePullSecrets").iter().enumerate() {
        let name = json::text(secret, "name");
        if !pullable.contains(name) {
            return Err(format!(
                "imagePullSecrets[{at}].name=\"{name}\" is not allowed because service account {owner} does not reference that imagePullSecret"
            ));
        }
    }
    Ok(())
}

/// As [`check_secrets`], for containers that are added to a running pod.
fn check_ephemeral_secrets(pod: &Value, account: &Account) -> Result<(), String> {
    if !account.enforces_secrets() {
        return Ok(());
    }
    let mountable: BTreeSet<&str> = account.secrets.iter().map(|s| s.name.as_str()).collect();
    check_environment(pod, "ephemeralContainers", "ephemeral container", &mountable, &account.metadata.name)
}

fn check_environment(
    pod: &Value,
    list: &str,
    what: &str,
    mountable: &BTreeSet<&str>,
    owner: &str,
) -> Result<(), String> {
    for container in json::items(json::get(pod, "spec"), list) {
        let name = json::text(container, "name");
        let refusal = |by: String, secret: &str| {
            Err(format!(
                "{what} {name} with {by} referencing secret.secretName=\"{secret}\" is not allowed because service account {owner} does not reference that secret"
            ))
        };
        for variable in json::items(container, "env") {
            let key = json::get(variable, "valueFrom.secretKeyRef");
            let secret = json::text(key, "name");
            if key.is_object() && !mountable.contains(secret) {
                return refusal(format!("envVar {}", json::text(variable, "name")), secret);
            }
        }
        for source in json::items(container, "envFrom") {
            let reference = json::get(source, "secretRef");
            let secret = json::text(reference, "name");
            if reference.is_object() && !mountable.contains(secret) {
                return refusal("envFrom".to_owned(), secret);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(value: Value) -> Account {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_token_is_mounted_where_there_is_nothing() {
        let mut spec = json!({
            "initContainers": [{"name": "i"}],
            "containers": [{"name": "a"}, {"name": "b", "volumeMounts": [{"name": "own", "mountPath": MOUNT_PATH}]}],
        });
        mount_token(&mut spec);
        let name = json::text(&spec["volumes"][0], "name").to_owned();
        assert!(name.starts_with(VOLUME_PREFIX) && name.len() == VOLUME_PREFIX.len() + 5, "{name}");
        let mount = json!([{"name": name, "readOnly": true, "mountPath": MOUNT_PATH}]);
        assert_eq!(
            (&spec["initContainers"][0]["volumeMounts"], &spec["containers"][0]["volumeMounts"]),
            (&mount, &mount)
        );
        assert_eq!(spec["containers"][1]["volumeMounts"][0]["name"], "own");
        assert_eq!(spec["volumes"][0], token_volume(&name));
        // A pod that was read from the server is not given a second one.
        let before = spec.clone();
        mount_token(&mut spec);
        assert_eq!(spec, before);
    }

    #[test]
    fn the_pod_decides_about_the_token_before_the_account() {
        let rows = [
            (None, None, true),
            (None, Some(false), false),
            (Some(true), Some(false), true),
            (Some(false), Some(true), false),
        ];
        for (of_pod, of_account, expected) in rows {
            let mut pod = json!({"spec": {"containers": [{"name": "c"}], "automountServiceAccountToken": of_pod}});
            use_account(
                &mut pod,
                &account(json!({"automountServiceAccountToken": of_account, "imagePullSecrets": [{"name": "p"}]})),
            );
            assert_eq!(json::is_set(&pod, "spec.volumes"), expected, "{of_pod:?} {of_account:?}");
            assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "p"}]));
        }
        let mut own = json!({"spec": {"imagePullSecrets": [{"name": "mine"}]}});
        use_account(&mut own, &account(json!({"imagePullSecrets": [{"name": "p"}]})));
        assert_eq!(own["spec"]["imagePullSecrets"], json!([{"name": "mine"}]));
    }

    #[test]
    fn mirror_pods_reference_nothing() {
        let rows = [
            (json!({}), None),
            (json!({"serviceAccountName": "x"}), Some("a mirror pod may not reference service accounts")),
            (json!({"volumes": [{"secret": {"secretName": "s"}}]}), Some("a mirror pod may not reference secrets")),
            (json!({"imagePullSecrets": [{"name": "s"}]}), Some("a mirror pod may not reference secrets")),
            (
                json!({"volumes": [{"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
                Some("a mirror pod may not use ServiceAccountToken volume projections"),
            ),
        ];
        for (spec, expected) in rows {
            assert_eq!(check_mirror(&json!({"spec": spec})).err(), expected, "{spec}");
        }
    }

    #[test]
    fn an_account_can_limit_secrets() {
        let strict = account(json!({
            "metadata": {"name": "sa", "annotations": {ENFORCE_SECRETS: "true"}},
            "secrets": [{"name": "ok"}], "imagePullSecrets": [{"name": "pull"}],
        }));
        let env =
            |name: &str| json!([{"name": "c", "env": [{"name": "V", "valueFrom": {"secretKeyRef": {"name": name}}}]}]);
        let env_from = |name: &str| json!([{"name": "c", "envFrom": [{"secretRef": {"name": name}}]}]);
        let why = |what: &str, name: &str| {
            format!(
                "{what} referencing secret.secretName=\"{name}\" is not allowed because service account sa does not reference that secret"
            )
        };
        let rows = [
            (json!({"containers": env("ok"), "imagePullSecrets": [{"name": "pull"}]}), None),
            (json!({"containers": env("no")}), Some(why("container c with envVar V", "no"))),
            (json!({"initContainers": env_from("no")}), Some(why("init container c with envFrom", "no"))),
            (
                json!({"volumes": [{"secret": {"secretName": "no"}}]}),
                Some("volume with secret.secretName=\"no\" is not allowed because service account sa does not reference that secret".to_owned()),
            ),
            (
                json!({"imagePullSecrets": [{"name": "ok"}]}),
                Some("imagePullSecrets[0].name=\"ok\" is not allowed because service account sa does not reference that imagePullSecret".to_owned()),
            ),
        ];
        for (spec, expected) in rows {
            let pod = json!({"spec": spec});
            assert_eq!(check_secrets(&pod, &strict).err(), expected, "{pod}");
            assert_eq!(
                check_secrets(&pod, &account(json!({"metadata": {"annotations": {ENFORCE_SECRETS: "no"}}}))),
                Ok(())
            );
        }
        let debug = json!({"spec": {"ephemeralContainers": env("no")}});
        assert_eq!(check_ephemeral_secrets(&debug, &strict), Err(why("ephemeral container c with envVar V", "no")));
        assert_eq!(check_ephemeral_secrets(&json!({"spec": {"ephemeralContainers": env("ok")}}), &strict), Ok(()));
    }
}
