//! Flow control: keeps the bootstrap objects as they should be, takes FlowSchemas and PriorityLevelConfigurations over
//! into priority and fairness, says in each schema whether its level exists, and moves seats between levels.
//!
//! Runs in every front-end, each for itself: all read the same objects, and what two of them write at once is the
//! same, so the one that is too late has nothing left to do.

mod conditions;
mod objects;

use std::sync::Arc;
use std::time::Duration;

use kuorum_cache::{Object, Observer, Resource};
use kuorum_fairness::spec::{FlowSchema, PriorityLevel};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::App;
use crate::loopback::{Client, Refused};
use conditions::Conditions;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const VERSION: &str = "v1";
const SCHEMAS: &str = "flowschemas";
const LEVELS: &str = "prioritylevelconfigurations";

/// How long to wait before trying again what the store or another writer prevented.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The path of an object, with who writes it.
fn path(plural: &str, name: &str, subresource: &str, manager: &str) -> String {
    format!("/apis/{GROUP}/{VERSION}/{plural}{name}{subresource}?fieldManager={manager}")
}

/// Is told when an object changes.
struct Changed(Arc<Notify>);

impl Observer for Changed {
    fn replaced(&self, _: &[Arc<Object>]) {
        self.0.notify_one();
    }

    fn changed(&self, _: Option<&Arc<Object>>, _: Option<&Arc<Object>>) {
        self.0.notify_one();
    }
}

/// Runs until the drain.
pub async fn run(app: Arc<App>) {
    let (schemas, levels) =
        match (app.resource_named(GROUP, VERSION, SCHEMAS), app.resource_named(GROUP, VERSION, LEVELS)) {
            (Ok((_, schemas)), Ok((_, levels))) => (schemas, levels),
            (Err(error), _) | (_, Err(error)) => return tracing::error!(%error, "no flow control"),
        };
    let client = Client::new(app.clone());
    let changed = Arc::new(Notify::new());
    schemas.observe(Arc::new(Changed(changed.clone())));
    levels.observe(Arc::new(Changed(changed.clone())));
    let mut conditions = Conditions::default();
    let mut adjust = interval(Duration::from_nanos(kuorum_fairness::ADJUSTMENT_PERIOD));
    adjust.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let retry = work(&app, &client, &schemas, &levels, &mut conditions).await;
        let again = async {
            match retry {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(again);
        loop {
            tokio::select! {
                () = changed.notified() => break,
                () = &mut again => break,
                _ = adjust.tick() => {
                    if let Some(fairness) = app.overload.fairness() {
                        fairness.engine.adjust(fairness.now());
                    }
                }
                () = app.drain.cancelled() => return,
            }
        }
    }
}

/// One round. Returns when to begin another one even if nothing changes.
async fn work(
    app: &App,
    client: &Client,
    schemas: &Resource,
    levels: &Resource,
    conditions: &mut Conditions,
) -> Option<Instant> {
    let schemas = all(schemas);
    let levels = all(levels);
    let wanted = [
        objects::ensure(client, LEVELS, kuorum_fairness::bootstrap::priority_levels(), &levels).await,
        objects::ensure(client, SCHEMAS, kuorum_fairness::bootstrap::flow_schemas(), &schemas).await,
    ];
    let mut retry = None;
    if let Some(fairness) = app.overload.fairness() {
        let usable = read(&levels, "PriorityLevelConfiguration", PriorityLevel::from_json);
        let found = |name: &str| usable.iter().any(|level| level.metadata.name == name);
        let writes = conditions.due(&schemas, found, Instant::now(), crate::verbs::store::now);
        retry = writes.again;
        let parsed = read(&schemas, "FlowSchema", FlowSchema::from_json);
        fairness.engine.configure(fairness.now(), usable, parsed);
        let written = futures_util::future::join_all(
            writes.schemas.iter().map(|(name, condition)| conditions::write(client, name, condition)),
        );
        for outcome in written.await {
            note(outcome, &mut retry);
        }
    }
    wanted.into_iter().flatten().for_each(|outcome| note(outcome, &mut retry));
    retry
}

/// A change that did not succeed is tried again. One that came too late is not: an event has told of the other's, or
/// will.
fn note(outcome: Result<(), Refused>, retry: &mut Option<Instant>) {
    let Err(error) = outcome else { return };
    if matches!(error.code, 404 | 409) {
        return tracing::debug!(%error, "somebody else was faster");
    }
    tracing::warn!(%error, "flow control objects are not as they should be yet");
    let soon = Instant::now() + RETRY_INTERVAL;
    *retry = Some(retry.map_or(soon, |at| at.min(soon)));
}

fn all(resource: &Resource) -> Vec<Value> {
    resource.snapshot().iter().filter_map(|object| serde_json::from_slice(object.json()).ok()).collect()
}

/// The objects that can be used; validation lets no others in.
fn read<T>(objects: &[Value], kind: &str, from_json: fn(&Value) -> Result<T, String>) -> Vec<T> {
    let parsed = objects.iter().filter_map(|object| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        from_json(object).inspect_err(|why| tracing::warn!(kind, name, why, "ignored")).ok()
    });
    parsed.collect()
}
