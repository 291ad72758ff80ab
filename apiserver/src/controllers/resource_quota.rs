//! ResourceQuota controller: puts a quota in force, and counts again what is used when objects go.
//!
//! Admission charges a quota in the transaction of the object, so a count is written only if the quota is still what it
//! was when the counting began, and the counted caches were at least as new: a charge that came in between makes the
//! write fail, and the count is made again. What is counted is therefore never less than what is there.

use std::sync::Arc;
use std::time::Duration;

use kuorum_cache::Object;
use kuorum_kinds::row::Scope;
use kuorum_kinds::value as json;
use kuorum_schema::quantity::{Format, Quantity};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::queue::Queue;
use crate::admission::amounts::{self, Amounts};
use crate::admission::resource_quota::evaluators::{Evaluator, count_name};
use crate::admission::resource_quota::quota;
use crate::app::App;
use crate::loopback::{Client, segment};
use crate::status::ApiError;
use crate::tls::unix_now;

/// After a lost race or a failure, how long until the next try.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// How often everything is counted again: pods stop counting when their time is over, without an event.
const RESYNC_INTERVAL: Duration = Duration::from_secs(300);
/// How long the caches may take to show what the quota has seen.
const CATCH_UP_MAX: Duration = Duration::from_secs(5);

/// Kinds that can use less without going away.
const SHRINKING: [(&str, &str); 4] =
    [("", "pods"), ("", "services"), ("", "persistentvolumeclaims"), ("resource.k8s.io", "resourceclaims")];

pub struct ResourceQuotas {
    app: Arc<App>,
    /// Namespaces whose quotas are to be counted.
    queue: Arc<Queue>,
}

impl ResourceQuotas {
    /// Begins to follow quotas and whatever they count.
    pub fn new(app: Arc<App>) -> Result<Self, ApiError> {
        let queue = Arc::new(Queue::default());
        let (_, quotas) = app.resource_named("", "v1", "resourcequotas")?;
        queue.follow(&quotas, |before: Option<&Object>, after: Option<&Object>| {
            before.or(after).map(|quota| quota.namespace().to_owned())
        });
        for kind in app.kinds.load().registry.stored() {
            if kind.row.scope != Scope::Namespaced || Evaluator::of(&kind.row).is_none() {
                continue;
            }
            let shrinks = SHRINKING.contains(&(kind.row.group, kind.row.plural));
            let quotas = quotas.clone();
            queue.follow(&app.resource(kind)?, move |before: Option<&Object>, after: Option<&Object>| {
                // New objects were charged when they were written.
                let before = before.filter(|_| after.is_none() || shrinks)?;
                let counted = quotas.snapshot().walk(before.namespace(), "").remaining() > 0;
                counted.then(|| before.namespace().to_owned())
            });
        }
        Ok(ResourceQuotas { app, queue })
    }

    /// Works for ever; may be dropped and run again.
    pub async fn run(&self) {
        let client = Client::new(self.app.clone());
        let mut resync = tokio::time::interval(RESYNC_INTERVAL);
        loop {
            tokio::select! {
                _ = resync.tick() => super::for_each_namespace(&self.app, |name| self.queue.add(name)),
                namespace = self.queue.next() => {
                    if let Err(error) = self.count_namespace(&client, &namespace).await {
                        tracing::debug!(namespace, %error, "quotas are not counted yet");
                        self.queue.add_later(namespace, RETRY_INTERVAL);
                    }
                }
            }
        }
    }

    async fn count_namespace(&self, client: &Client, namespace: &str) -> Result<(), String> {
        let (_, quotas) = self.app.resource_named("", "v1", "resourcequotas").map_err(|e| e.to_string())?;
        let mut walk = quotas.snapshot().walk(namespace, "");
        while let Some(object) = walk.next_object() {
            if !object.deleting() {
                self.count(client, object).await?;
            }
        }
        Ok(())
    }

    async fn count(&self, client: &Client, object: &Object) -> Result<(), String> {
        // Other caches may be behind the one that has shown the quota.
        let deadline = Instant::now() + CATCH_UP_MAX;
        if !self.app.store.wait_for_revision(object.revision(), deadline).await {
            return Err("the caches are behind".to_owned());
        }
        let mut value: Value = serde_json::from_slice(object.json()).map_err(|e| e.to_string())?;
        let hard = amounts::read(json::get(&value, "spec.hard"));
        let used = self.used(object.namespace(), &hard, &quota::scopes(&value))?;
        let status = json!({"hard": amounts::write(&hard), "used": amounts::write(&used)});
        let known = |list| amounts::read(json::get(json::get(&value, "status"), list));
        if known("hard") == hard && known("used") == used {
            return Ok(());
        }
        json::set(&mut value, "status", status);
        let (namespace, name) = (segment(object.namespace()), segment(object.name()));
        let path = format!("/api/v1/namespaces/{namespace}/resourcequotas/{name}/status");
        match client.put(&path, &value).await {
            Ok(_) => Ok(()),
            Err(refused) if refused.code == 404 => Ok(()),
            Err(refused) => Err(refused.to_string()),
        }
    }

    /// What the objects of a namespace use of the resources in `hard`, as far as the scopes cover them.
    fn used(&self, namespace: &str, hard: &Amounts, scopes: &[quota::Scope]) -> Result<Amounts, String> {
        let mut used = Amounts::new();
        let served = self.app.kinds.load();
        for kind in served.registry.stored().filter(|kind| kind.row.scope == Scope::Namespaced) {
            let row = &kind.row;
            let Some(evaluator) = Evaluator::of(row) else { continue };
            let tracked: Vec<&String> = hard.keys().filter(|name| evaluator.tracks(row, name)).collect();
            if tracked.is_empty() {
                continue;
            }
            for name in &tracked {
                used.entry((*name).clone()).or_insert(Quantity::ZERO);
            }
            let resource = self.app.resource(kind).map_err(|e| e.to_string())?;
            let mut walk = resource.snapshot().walk(namespace, "");
            let only_objects = tracked.iter().all(|name| **name == count_name(row));
            if scopes.is_empty() && (evaluator == Evaluator::Objects || only_objects) {
                let count = i64::try_from(walk.remaining()).unwrap_or(i64::MAX);
                for name in tracked {
                    used.insert(name.clone(), Quantity::from_i64(count, Format::DecimalSi));
                }
                continue;
            }
            let now = unix_now();
            while let Some(object) = walk.next_object() {
                let object: Value = serde_json::from_slice(object.json()).map_err(|e| e.to_string())?;
                if scopes.iter().all(|scope| evaluator.covers(scope, &object)) {
                    let own = amounts::only(&evaluator.usage(row, &object, now), |name| hard.contains_key(name));
                    amounts::add(&mut used, &own);
                }
            }
        }
        Ok(used)
    }
}
