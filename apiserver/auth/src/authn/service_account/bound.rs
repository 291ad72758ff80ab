//! Tokens of TokenRequest, bound to a service account and perhaps to a pod, a secret or a node.

use super::claims::{Claims, Reference};
use super::names::{group_names, user_name};
use super::{Seen, Verifier};
use crate::authn::objects::{Facts, Kind, facts};
use crate::authn::{CREDENTIAL_ID, Refusal};
use crate::jwt::{LEEWAY_SECONDS, TimeError, check_times};
use crate::user::User;

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const NODE_UID: &str = "authentication.kubernetes.io/node-uid";

fn invalidated() -> Refusal {
    Refusal::wrong("service account token has been invalidated")
}

/// The user, if the times are right and all objects still exist.
pub async fn user(
    verifier: &Verifier,
    claims: &Claims,
    now: i64,
    seen: &mut Seen,
    annotations: &mut Vec<(&'static str, String)>,
) -> Result<User, Refusal> {
    check_times(now, claims.expires, claims.not_before, claims.issued).map_err(|error| {
        Refusal::wrong(match error {
            TimeError::Expired => "service account token has expired",
            TimeError::NotValidYet => "service account token is not valid yet",
            TimeError::IssuedInTheFuture => "service account token is issued in the future",
        })
    })?;
    let own = &claims.kubernetes;
    let (namespace, account) = (own.namespace.as_str(), &own.service_account);
    let found = find(verifier, Kind::ServiceAccount, namespace, account, seen).await?;
    let found = found.ok_or_else(|| Refusal::wrong(format!("serviceaccounts {:?} not found", account.name)))?;
    if found.uid != account.uid {
        let text = format!("service account UID ({}) does not match claim ({})", found.uid, account.uid);
        return Err(Refusal::wrong(text));
    }
    if gone(&found, now) {
        return Err(Refusal::wrong(format!("service account {namespace}/{} has been deleted", account.name)));
    }
    if let Some(secret) = &own.secret {
        bound(verifier, Kind::Secret, namespace, secret, now, seen).await?;
    }
    if let Some(pod) = &own.pod {
        bound(verifier, Kind::Pod, namespace, pod, now, seen).await?;
    }
    if let Some(node) = own.node.as_ref().filter(|_| own.pod.is_none()) {
        bound(verifier, Kind::Node, "", node, now, seen).await?;
    }
    if let Some(at) = own.warn_after.filter(|at| *at != 0 && now > *at) {
        let text = format!("subject: {}, seconds after warning threshold: {}", claims.subject, now - at);
        annotations.push(("authentication.k8s.io/stale-token", text));
    }
    let mut user = User {
        name: user_name(namespace, &account.name),
        uid: account.uid.clone(),
        groups: group_names(namespace),
        ..User::default()
    };
    if !claims.id.is_empty() {
        user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={}", claims.id)]);
    }
    for (reference, name, uid) in [(&own.pod, POD_NAME, POD_UID), (&own.node, NODE_NAME, NODE_UID)] {
        let Some(reference) = reference else { continue };
        for (key, value) in [(name, &reference.name), (uid, &reference.uid)] {
            if !value.is_empty() {
                user.extra.insert(key.to_owned(), vec![value.clone()]);
            }
        }
    }
    Ok(user)
}

/// Whether an object was deleted longer ago than clocks may differ: a pod's containers still use its token while they
/// are being stopped.
fn gone(object: &Facts, now: i64) -> bool {
    object.deleted_at.is_some_and(|at| at < now.saturating_sub(LEEWAY_SECONDS))
}

async fn find(
    verifier: &Verifier,
    kind: Kind,
    namespace: &str,
    reference: &Reference,
    seen: &mut Seen,
) -> Result<Option<Facts>, Refusal> {
    // Another UID may be that of an object that was deleted and made again elsewhere, a moment ago.
    let object = verifier.look_up(kind, namespace, &reference.name, |o| facts(o).uid != reference.uid).await?;
    Ok(object.map(|object| {
        let facts = facts(&object);
        seen.add(kind, object);
        facts
    }))
}

async fn bound(
    verifier: &Verifier,
    kind: Kind,
    namespace: &str,
    reference: &Reference,
    now: i64,
    seen: &mut Seen,
) -> Result<(), Refusal> {
    let found = find(verifier, kind, namespace, reference, seen).await?.ok_or_else(invalidated)?;
    if found.uid != reference.uid {
        let word = match kind {
            Kind::Pod => "pod",
            Kind::Node => "node",
            Kind::Secret | Kind::ServiceAccount => "secret",
        };
        return Err(Refusal::wrong(format!(
            "{word} UID ({}) does not match service account {word} ref claim ({})",
            found.uid, reference.uid
        )));
    }
    if gone(&found, now) { Err(invalidated()) } else { Ok(()) }
}
