//! DELETE of one object: preconditions, finalizers, graceful deletion of pods, the two steps of a namespace.
//!
//! [`decide`] says what a deletion does to an object, as a pure function; [`remove`] does it, again if the object
//! moved meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use kuorum_cache::{CommitOutcome, Expect, Txn};
use kuorum_kinds::kind::Kind;
use kuorum_kinds::row::DefaultDelete;
use kuorum_kinds::value as json;
use kuorum_schema::time::Timestamp;
use serde_json::{Value, json};

use super::delete_options::{DeleteOptions, Policy};
use super::store::{Current, Objects};
use super::{Response, reply};
use crate::admission::{Attributes, Operation};
use crate::app::Call;
use crate::body::Payload;
use crate::services;
use crate::status::ApiError;
use crate::tls::unix_now;

/// Deletes an object.
pub async fn delete(call: &Call<'_>, payload: Payload) -> Result<Response, ApiError> {
    let body = payload.read().await?;
    let options = DeleteOptions::read(call, &body)?;
    let objects = Objects::of(call)?;
    let removed = remove(&objects, call.info.name, &options).await?;
    // As the real server tells clients of the old option that dependents are still there.
    let accepted = !removed.gone && options.orphan_dependents == Some(false);
    let code = if accepted { StatusCode::ACCEPTED } else { StatusCode::OK };
    match removed.object {
        Some(json) => reply::object(call, code, json),
        None => Ok(reply::deleted(call, call.info.name, &removed.uid)),
    }
}

/// What a deletion came to.
pub struct Removed {
    /// The object, where the answer shows it: it still exists, or its kind is answered whole.
    pub object: Option<Bytes>,
    pub uid: String,
    /// Whether it is gone from the store.
    pub gone: bool,
}

/// How often a deletion is tried again after losing a race.
const ATTEMPTS_MAX: usize = 256;

/// Deletes the object called `name`, or marks it as being deleted.
pub async fn remove(objects: &Objects<'_>, name: &str, options: &DeleteOptions) -> Result<Removed, ApiError> {
    remove_of(objects, objects.namespace(), name, options).await
}

/// As [`remove`], in a namespace that the request may not name (a deletion across all of them).
pub async fn remove_of(
    objects: &Objects<'_>,
    namespace: &str,
    name: &str,
    options: &DeleteOptions,
) -> Result<Removed, ApiError> {
    let call = objects.call;
    let row = &call.kind.row;
    let mut found = objects.resource.get(namespace, name);
    let mut fenced = false;
    warn_about_children(call, options);
    for _ in 0..ATTEMPTS_MAX {
        let Some(object) = found else {
            if fenced {
                return Err(objects.not_found(name));
            }
            objects.fence().await?;
            fenced = true;
            found = objects.resource.get(namespace, name);
            continue;
        };
        let current = objects.decode(object)?;
        let admitted = match check_preconditions(call.kind, name, &current, options) {
            Ok(()) => admit(call, &current, options).await,
            Err(error) => Err(error),
        };
        if let Err(error) = admitted {
            if fenced {
                return Err(error);
            }
            objects.fence().await?;
            fenced = true;
            found = objects.resource.get(namespace, name);
            continue;
        }
        match carry_out(objects, &current, options, fenced, &Txn::new()).await? {
            Outcome::Done(removed) => return Ok(removed),
            Outcome::Moved(now) => {
                found = now;
                fenced = true;
            }
        }
    }
    Err(ApiError::modified(row.group, row.plural, name))
}

/// Deletes this version of an object, or marks it as being deleted, in one transaction with `beside`. `current` may
/// carry changes that are to be seen with the mark. `None`: the object or something else has moved, and nothing is
/// done.
pub async fn remove_with(
    objects: &Objects<'_>,
    current: &Current,
    options: &DeleteOptions,
    beside: &Txn,
) -> Result<Option<Removed>, ApiError> {
    match carry_out(objects, current, options, true, beside).await? {
        Outcome::Done(removed) => Ok(Some(removed)),
        Outcome::Moved(_) => Ok(None),
    }
}

/// Asks admission about the deletion of one object, also where a collection is deleted.
async fn admit(call: &Call<'_>, current: &Current, options: &DeleteOptions) -> Result<(), ApiError> {
    if options.already_admitted {
        return Ok(());
    }
    let (namespace, name) = (current.object.namespace(), current.object.name());
    let attributes = Attributes::new(call, Operation::Delete, options.dry_run).named(name);
    // A namespace is in no namespace, whatever its path says.
    let mut attributes = if namespace.is_empty() { attributes } else { attributes.in_namespace(namespace) };
    call.app.admission.admit(&mut attributes, None, Some(&current.value)).await?;
    call.app.admission.validate(&attributes, None, Some(&current.value)).await
}

enum Outcome {
    Done(Removed),
    Moved(Option<Arc<kuorum_cache::Object>>),
}

/// Does what [`decide`] says, with a compare on the object's version. What is `beside` goes with the first change of
/// the object.
async fn carry_out(
    objects: &Objects<'_>,
    current: &Current,
    options: &DeleteOptions,
    fenced: bool,
    beside: &Txn,
) -> Result<Outcome, ApiError> {
    let call = objects.call;
    let (namespace, name) = (current.object.namespace(), current.object.name());
    let decision = decide(call.kind, &current.value, options, unix_now());
    let revision = current.object.revision();
    let uid = json::text(&current.value, "metadata.uid").to_owned();
    let key = objects.resource.key(namespace, name);
    let whole = call.kind.row.answers_delete_whole;
    if options.dry_run && !fenced {
        objects.fence().await?;
        let fresh = objects.resource.get(namespace, name);
        if fresh.as_ref().map(|o| o.revision()) != Some(revision) {
            return Ok(Outcome::Moved(fresh));
        }
    }
    let still = |bytes: Bytes| Outcome::Done(Removed { object: Some(bytes), uid: uid.clone(), gone: false });
    match decision {
        Decision::Pending => Ok(still(objects.answer_current(current))),
        Decision::Mark(object) => {
            let encoded = objects.encode(&object);
            if options.dry_run || objects.is_unchanged(&encoded, &current.object) {
                return Ok(still(objects.answer(&object, &encoded, revision)));
            }
            let txn = Txn::new().expect(key.clone(), Expect::ModRevision(revision));
            match objects.commit(objects.put(txn, key, &encoded).and(beside.clone())).await? {
                CommitOutcome::Committed(revision) => Ok(still(objects.answer(&object, &encoded, revision))),
                CommitOutcome::Conflict { index: 0, current, .. } => Ok(Outcome::Moved(current)),
                CommitOutcome::Conflict { .. } => look_again(objects, namespace, name).await,
            }
        }
        Decision::Remove(marked) => {
            let mut revision = revision;
            let mut shown = objects.answer_current(current);
            // A pod is seen to be terminating before it goes, also when it has no time left.
            if let Some(object) = &marked {
                let encoded = objects.encode(object);
                if !options.dry_run {
                    let txn = Txn::new().expect(key.clone(), Expect::ModRevision(revision));
                    match objects.commit(objects.put(txn, key.clone(), &encoded).and(beside.clone())).await? {
                        CommitOutcome::Committed(committed) => revision = committed,
                        CommitOutcome::Conflict { index: 0, current, .. } => return Ok(Outcome::Moved(current)),
                        CommitOutcome::Conflict { .. } => return look_again(objects, namespace, name).await,
                    }
                }
                shown = objects.answer(object, &encoded, revision);
            }
            if !options.dry_run {
                let txn = Txn::new().expect(key.clone(), Expect::ModRevision(revision)).delete(key);
                let txn = if marked.is_none() { txn.and(beside.clone()) } else { txn };
                match objects.commit(services::release(call, &current.value, txn)?).await? {
                    CommitOutcome::Committed(_) => {}
                    CommitOutcome::Conflict { index: 0, current, .. } => return Ok(Outcome::Moved(current)),
                    CommitOutcome::Conflict { .. } => return look_again(objects, namespace, name).await,
                }
            }
            Ok(Outcome::Done(Removed { object: whole.then_some(shown), uid, gone: true }))
        }
    }
}

/// Something else in the transaction has moved: the object as it is now.
async fn look_again(objects: &Objects<'_>, namespace: &str, name: &str) -> Result<Outcome, ApiError> {
    objects.fence().await?;
    Ok(Outcome::Moved(objects.resource.get(namespace, name)))
}

/// What a deletion does.
#[derive(Debug, PartialEq)]
enum Decision {
    /// It is under way already; nothing changes.
    Pending,
    /// The object stays, changed: marked, with less time, or with other finalizers.
    Mark(Value),
    /// It goes now; where given, it is first marked so.
    Remove(Option<Value>),
}

/// What deleting `object` means now (`now`: seconds since 1970). The rules of `rest.BeforeDelete` and the registry.
fn decide(kind: &Kind, object: &Value, options: &DeleteOptions, now: i64) -> Decision {
    let row = &kind.row;
    if row.group.is_empty()
        && row.kind == "Namespace"
        && let Some(decision) = decide_namespace(object, options, now)
    {
        return decision;
    }
    let mut changed = object.clone();
    let graceful = match grace(kind, &mut changed, options, now) {
        Grace::Pending => return Decision::Pending,
        Grace::Seconds(seconds) => Some(seconds),
        Grace::None => None,
    };
    let finalizers = garbage_finalizers(row.default_delete, object, options);
    let waits = !finalizers.is_empty();
    if let Some(meta) = json::child(&mut changed, "metadata") {
        if waits {
            json::set(meta, "finalizers", finalizers);
        } else {
            json::remove(meta, "finalizers");
        }
    }
    match graceful {
        Some(seconds) if seconds > 0 || waits => Decision::Mark(changed),
        Some(_) => Decision::Remove(Some(changed)),
        None if waits => {
            mark(&mut changed, now);
            Decision::Mark(changed)
        }
        None => Decision::Remove(None),
    }
}

/// First a namespace is marked and its content goes; the namespace itself follows when nothing waits any more.
fn decide_namespace(object: &Value, options: &DeleteOptions, now: i64) -> Option<Decision> {
    if json::is_set(object, "metadata.deletionTimestamp") {
        return json::is_set(object, "spec.finalizers").then_some(Decision::Pending);
    }
    let mut marked = object.clone();
    if let Some(meta) = json::child(&mut marked, "metadata") {
        json::set(meta, "deletionTimestamp", timestamp(now));
        let orphan = match (options.orphan_dependents, options.propagation_policy) {
            (Some(orphan), _) => Some(orphan),
            (None, Some(policy)) => Some(policy == Policy::Orphan),
            (None, None) => None,
        };
        if orphan.is_some() {
            let mut names: Vec<Value> =
                json::items(meta, "finalizers").iter().filter(|f| *f != "orphan").cloned().collect();
            if orphan == Some(true) {
                names.push(json!("orphan"));
            }
            if names.is_empty() {
                json::remove(meta, "finalizers");
            } else {
                json::set(meta, "finalizers", names);
            }
        }
    }
    if let Some(status) = json::child(&mut marked, "status") {
        json::set(status, "phase", "Terminating");
    }
    Some(Decision::Mark(marked))
}

enum Grace {
    /// The kind goes at once.
    None,
    /// It is terminating with no less time than asked for.
    Pending,
    /// The object is marked, with so many seconds left.
    Seconds(i64),
}

/// Graceful deletion: pods only. Marks `object`.
fn grace(kind: &Kind, object: &mut Value, options: &DeleteOptions, now: i64) -> Grace {
    if !(kind.row.group.is_empty() && kind.row.kind == "Pod") {
        return Grace::None;
    }
    let asked = options.grace_period_seconds.map(at_least_one_if_negative);
    let meta = json::get(object, "metadata");
    if json::is_set(meta, "deletionTimestamp") {
        let left = json::int(meta, "deletionGracePeriodSeconds").map_or(0, at_least_one_if_negative);
        if left == 0 {
            return Grace::None;
        }
        return match asked {
            Some(period) if period < left => {
                let ends = Timestamp::parse(json::text(meta, "deletionTimestamp")).map_or(now + left, |t| t.seconds);
                set_deletion(object, ends - left + period, period, false);
                Grace::Seconds(period)
            }
            _ => Grace::Pending,
        };
    }
    let own = json::int(object, "spec.terminationGracePeriodSeconds").unwrap_or(0);
    let mut period = asked.unwrap_or(own);
    let finished = matches!(json::text(object, "status.phase"), "Failed" | "Succeeded");
    if finished || json::text(object, "spec.nodeName").is_empty() {
        period = 0;
    }
    let period = at_least_one_if_negative(period);
    set_deletion(object, now + period, period, true);
    Grace::Seconds(period)
}

fn at_least_one_if_negative(seconds: i64) -> i64 {
    if seconds < 0 { 1 } else { seconds }
}

/// Marks an object whose kind knows no grace.
fn mark(object: &mut Value, now: i64) {
    let deleted = Timestamp::parse(json::text(object, "metadata.deletionTimestamp")).ok();
    let first = deleted.is_none();
    let at = deleted.map_or(now, |t| t.seconds.min(now));
    set_deletion(object, at, 0, first);
}

/// Sets the mark; the first time the generation grows, where the object has one.
fn set_deletion(object: &mut Value, at: i64, grace_seconds: i64, first: bool) {
    let Some(meta) = json::child(object, "metadata") else { return };
    json::set(meta, "deletionTimestamp", timestamp(at));
    json::set(meta, "deletionGracePeriodSeconds", grace_seconds);
    let generation = json::int(meta, "generation").unwrap_or(0);
    if first && generation > 0 {
        json::set(meta, "generation", generation + 1);
    }
}

fn timestamp(seconds: i64) -> String {
    Timestamp { seconds, nanos: 0 }.to_rfc3339()
}

/// The object's finalizers, with those that tell the garbage collector what to do about dependents.
fn garbage_finalizers(default: DefaultDelete, object: &Value, options: &DeleteOptions) -> Vec<Value> {
    const ORPHAN: &str = "orphan";
    const FOREGROUND: &str = "foregroundDeletion";
    let own = json::items(object, "metadata.finalizers");
    let (orphan, foreground) = if default == DefaultDelete::Unsupported {
        (false, false)
    } else if let Some(orphan) = options.orphan_dependents {
        (orphan, false)
    } else if let Some(policy) = options.propagation_policy {
        (policy == Policy::Orphan, policy == Policy::Foreground)
    } else if let Some(first) = own.iter().find(|f| *f == ORPHAN || *f == FOREGROUND) {
        // Set on the object, it overrides the kind's default.
        (first == ORPHAN, first == FOREGROUND)
    } else {
        (default == DefaultDelete::Orphan, false)
    };
    let mut names: Vec<Value> = own.iter().filter(|f| *f != ORPHAN && *f != FOREGROUND).cloned().collect();
    if orphan {
        names.push(json!(ORPHAN));
    }
    if foreground {
        names.push(json!(FOREGROUND));
    }
    // Only if the set changes is the order touched.
    if names.len() == own.len() && names.iter().all(|n| own.contains(n)) { own.to_vec() } else { names }
}

pub fn check_preconditions(
    kind: &Kind,
    name: &str,
    current: &Current,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let conflict = |why: String| Err(ApiError::conflict(kind.row.group, kind.row.kind, name, why));
    let uid = json::text(&current.value, "metadata.uid");
    if let Some(wanted) = options.uid.as_deref().filter(|w| *w != uid) {
        return conflict(format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        ));
    }
    let version = current.object.revision().to_string();
    if let Some(wanted) = options.resource_version.as_deref().filter(|w| *w != version) {
        return conflict(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
        ));
    }
    Ok(())
}

/// Jobs leave their pods behind by default, which surprises.
fn warn_about_children(call: &Call<'_>, options: &DeleteOptions) {
    let unsaid = options.propagation_policy.is_none() && options.orphan_dependents.is_none();
    if unsaid && call.kind.row.group == "batch" && call.kind.row.kind == "Job" {
        call.warnings.add(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
        );
    }
}

#[cfg(test)]
mod tests;
