//! The default roles and bindings: made, and at every start completed, as kube-apiserver does.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::Method;
use kuorum_auth::authz::policy::{self, Action, PolicyObject, reconcile};
use kuorum_auth::authz::rbac::{GROUP, Kind};

use crate::loopback::{Client, Refused};

/// How many objects are worked on at once: they wait for the same disks.
const CONCURRENCY: usize = 16;
/// How often an object is read again after somebody else changed it.
const ATTEMPTS_MAX: usize = 5;

/// Roles first: a binding without its role grants nothing, and says so to whoever asks meanwhile.
pub async fn ensure(client: &Client) -> Result<(), Refused> {
    let objects = policy::objects().map_err(|error| Refused {
        method: Method::GET,
        path: "bootstrap policy".to_owned(),
        code: 500,
        message: error.to_string(),
    })?;
    let (roles, bindings): (Vec<_>, Vec<_>) =
        objects.into_iter().partition(|object| matches!(object.kind, Kind::Role | Kind::ClusterRole));
    for phase in [roles, bindings] {
        let work = phase.into_iter().map(|object| async move {
            match ensure_one(client, &object).await {
                // What cannot be made (its namespace is being deleted, say) must not keep the server from starting.
                Err(refused) if refused.code < 500 && refused.code != 429 => {
                    tracing::warn!(%refused, "an object of the bootstrap policy is left out");
                    Ok(())
                }
                done => done,
            }
        });
        stream::iter(work).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    }
    Ok(())
}

async fn ensure_one(client: &Client, wanted: &PolicyObject) -> Result<(), Refused> {
    let collection = match wanted.namespace() {
        "" => format!("/apis/{GROUP}/v1/{}", wanted.kind.plural()),
        namespace => format!("/apis/{GROUP}/v1/namespaces/{namespace}/{}", wanted.kind.plural()),
    };
    let path = format!("{collection}/{}", wanted.name());
    let mut attempt = 1;
    loop {
        let existing = match client.get(&path).await {
            Ok(object) => Some(object),
            Err(refused) if refused.code == 404 => None,
            Err(refused) => return Err(refused),
        };
        let done = match reconcile(existing.as_ref(), &wanted.object) {
            Action::Nothing => return Ok(()),
            Action::Create => client.post(&collection, &wanted.object).await.map(drop),
            Action::Update(updated) => {
                tracing::info!(
                    kind = wanted.kind.plural(),
                    name = wanted.name(),
                    "the bootstrap policy adds what is missing"
                );
                client.put(&path, &updated).await.map(drop)
            }
            Action::Recreate => {
                tracing::info!(kind = wanted.kind.plural(), name = wanted.name(), "bound another role; made anew");
                client.delete(&path).await?;
                client.post(&collection, &wanted.object).await.map(drop)
            }
        };
        match done {
            // Another front-end was faster, or somebody changed it.
            Err(refused) if refused.code == 409 && attempt < ATTEMPTS_MAX => attempt += 1,
            done => return done,
        }
    }
}
