//! Namespace controller: empties namespaces that are being deleted, then lets them go.
//!
//! Several front-ends may run it: every step is idempotent, and the last one is decided by the object's version.

use std::sync::Arc;
use std::time::Duration;

use kuorum_kinds::row::Scope;
use kuorum_kinds::value as json;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::app::App;
use crate::loopback::{Client, Refused};
use crate::verbs::store::now;

/// How long nothing may happen in the store before terminating namespaces are looked at again: pods go when their
/// time is over, without an event that would say so.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Runs until the drain.
pub async fn run(app: Arc<App>) {
    let client = Client::new(app.clone());
    loop {
        let seen = app.store.revision();
        for name in terminating(&app) {
            if let Err(error) = empty(&app, &client, &name).await {
                // Gone meanwhile, or changed: the next round sees what is true then.
                tracing::debug!(namespace = name, %error, "namespace is not gone yet");
            }
        }
        tokio::select! {
            _ = app.store.wait_for_revision(seen + 1, Instant::now() + LOOK_AGAIN) => {}
            () = app.drain.cancelled() => return,
        }
        // One look for a burst of changes.
        tokio::task::yield_now().await;
    }
}

/// Namespaces that are marked and still have the finalizer of this controller.
fn terminating(app: &App) -> Vec<String> {
    let Ok((_, namespaces)) = app.resource_named("", "v1", "namespaces") else { return Vec::new() };
    namespaces.snapshot().iter().filter(|n| n.deleting()).map(|n| n.name().to_owned()).collect()
}

async fn empty(app: &Arc<App>, client: &Client, name: &str) -> Result<(), Refused> {
    let namespace = client.get(&format!("/api/v1/namespaces/{name}")).await?;
    if !json::items(&namespace, "spec.finalizers").iter().any(|f| f == "kubernetes") {
        return Ok(());
    }
    let mut left = Vec::new();
    let mut waiting_for = std::collections::BTreeMap::<String, usize>::new();
    for (base, resource, prefix) in deletable(app) {
        let Some(objects) = app.store.resource(&prefix) else { continue };
        if objects.snapshot().walk(name, "").remaining() == 0 {
            continue;
        }
        // Some kinds orphan what they own unless they are told otherwise, and that would wait for a garbage collector.
        let path = format!("{base}/namespaces/{name}/{resource}?propagationPolicy=Background");
        client.delete(&path).await?;
        let mut walk = objects.snapshot().walk(name, "");
        let count = walk.remaining();
        while let Some(object) = walk.next_object() {
            let object: Value = serde_json::from_slice(object.json()).unwrap_or_default();
            for finalizer in json::items(&object, "metadata.finalizers").iter().filter_map(Value::as_str) {
                *waiting_for.entry(finalizer.to_owned()).or_default() += 1;
            }
        }
        if count > 0 {
            left.push(format!("{resource} has {count} resource instances"));
        }
    }
    if !left.is_empty() {
        return report(client, name, &namespace, &left, &waiting_for).await;
    }
    let mut finalized = namespace;
    let others: Vec<Value> =
        json::items(&finalized, "spec.finalizers").iter().filter(|f| *f != "kubernetes").cloned().collect();
    if let Some(spec) = json::child(&mut finalized, "spec") {
        json::set(spec, "finalizers", others);
    }
    client.put(&format!("/api/v1/namespaces/{name}/finalize"), &finalized).await?;
    tracing::info!(namespace = name, "namespace emptied and finalized");
    Ok(())
}

/// Path base, plural and storage prefix of every namespaced kind whose collections can be deleted. Pods come first:
/// they need time to stop, in which the rest goes.
fn deletable(app: &App) -> Vec<(String, String, String)> {
    let served = app.kinds.load();
    let kinds = served
        .registry
        .stored()
        .filter(|k| k.row.scope == Scope::Namespaced && k.row.verbs.contains(&"deletecollection"));
    let mut all: Vec<_> = kinds
        .map(|k| {
            let base = if k.row.group.is_empty() {
                format!("/api/{}", k.row.version)
            } else {
                format!("/apis/{}", k.api_version)
            };
            (base, k.row.plural.to_owned(), k.storage_prefix.clone())
        })
        .collect();
    all.sort_by_key(|(_, plural, _)| plural != "pods");
    all
}

/// Says in the namespace's conditions what it still waits for.
async fn report(
    client: &Client,
    name: &str,
    namespace: &Value,
    left: &[String],
    waiting_for: &std::collections::BTreeMap<String, usize>,
) -> Result<(), Refused> {
    let finalizers: Vec<String> =
        waiting_for.iter().map(|(f, count)| format!("{f} in {count} resource instances")).collect();
    let condition = |kind: &str, on: bool, reason: &str, message: String| json!({"type": kind, "status": if on { "True" } else { "False" }, "reason": reason, "message": message});
    let mut conditions = vec![
        condition(
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered".to_owned(),
        ),
        condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".to_owned(),
        ),
        condition(
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned(),
        ),
        condition(
            "NamespaceContentRemaining",
            true,
            "SomeResourcesRemain",
            format!("Some resources are remaining: {}", left.join(", ")),
        ),
        if finalizers.is_empty() {
            let text = "All content-preserving finalizers finished".to_owned();
            condition("NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers", text)
        } else {
            let text = format!("Some content in the namespace has finalizers remaining: {}", finalizers.join(", "));
            condition("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", text)
        },
    ];
    let before = json::items(namespace, "status.conditions");
    for condition in &mut conditions {
        let same = before.iter().find(|b| json::text(b, "type") == json::text(condition, "type"));
        let since = match same {
            Some(b) if json::text(b, "status") == json::text(condition, "status") => {
                json::text(b, "lastTransitionTime").to_owned()
            }
            _ => now(),
        };
        json::set(condition, "lastTransitionTime", since);
    }
    let mut reported = namespace.clone();
    if let Some(status) = json::child(&mut reported, "status") {
        json::set(status, "conditions", conditions);
    }
    client.put(&format!("/api/v1/namespaces/{name}/status"), &reported).await.map(drop)
}
