//! POST: decode, admit, prepare, validate, write if absent.

use bytes::Bytes;
use http::StatusCode;
use kuorum_cache::{CommitOutcome, Expect, Txn};
use kuorum_kinds::hooks::Context;
use kuorum_kinds::row::Scope;
use kuorum_kinds::value as json;
use serde_json::Value;

use super::ownership::{self, Owners};
use super::store::{Objects, now};
use super::{Response, decode, grants, reply};
use crate::admission::{Attributes, Operation};
use crate::app::Call;
use crate::body::Payload;
use crate::request::options::WriteOptions;
use crate::services;
use crate::status::ApiError;

/// How often a generated name is tried.
const GENERATE_NAME_ATTEMPTS: usize = 8;
/// How often a create is tried again because something else in its transaction moved (its namespace, an address).
const COMMIT_ATTEMPTS_MAX: usize = 64;

/// Creates an object.
pub async fn create(call: &Call<'_>, payload: Payload) -> Result<Response, ApiError> {
    let body = payload.read().await?;
    decode::format(call.headers)?;
    let options = WriteOptions::parse(call.query, "CreateOptions", false)?;
    let mut object = decode::object(call, &body, options.field_validation)?;
    if !call.kind.row.is_stored() {
        let manager = ownership::manager(call.headers, &options);
        Owners::of(call, "").update(None, &mut object, &manager);
        return super::subresource::review(call, object).await;
    }
    let (_, bytes) = insert(call, object, &options).await?;
    reply::object(call, StatusCode::CREATED, bytes)
}

/// Creates an object that is decoded already. Returns it as written and as it is answered.
pub async fn insert(call: &Call<'_>, mut object: Value, options: &WriteOptions) -> Result<(Value, Bytes), ApiError> {
    let objects = Objects::of(call)?;
    match_namespace(call, &mut object)?;
    call.kind.default(&mut object);
    track(call, &mut object, &ownership::manager(call.headers, options));
    let given = json::text(&object, "metadata.name").to_owned();
    let mut attributes = Attributes::new(call, Operation::Create, options.dry_run).named(&given);
    call.app.admission.admit(&mut attributes, Some(&mut object), None).await?;
    grants::check(call, &object, None).await?;
    let generated =
        json::text(&object, "metadata.name").is_empty() && !json::text(&object, "metadata.generateName").is_empty();
    let prefix = json::text(&object, "metadata.generateName").to_owned();
    let attempts = if generated { GENERATE_NAME_ATTEMPTS } else { 1 };
    for attempt in 1..=attempts {
        let mut candidate = object.clone();
        if generated {
            set_meta(&mut candidate, "name", generate_name(&prefix));
        }
        prepare(call, &mut candidate);
        validate(call, &candidate, "")?;
        let name = json::text(&candidate, "metadata.name").to_owned();
        let attributes = attributes.named(&name);
        call.app.admission.validate(&attributes, Some(&candidate), None).await?;
        match write(&objects, candidate, &attributes).await? {
            Written::Done(object, bytes) => return Ok((*object, bytes)),
            Written::Exists(name) if attempt == attempts => return Err(exists(call, &name, generated)),
            Written::Exists(_) => {}
        }
    }
    Err(ApiError::internal("no attempt was made"))
}

/// The namespace of the object is the request's: filled in, or 400 where it differs.
pub fn match_namespace(call: &Call<'_>, object: &mut Value) -> Result<(), ApiError> {
    let Some(meta) = json::child(object, "metadata") else { return Ok(()) };
    if call.kind.row.scope == Scope::Cluster {
        json::remove(meta, "namespace");
        return Ok(());
    }
    match json::text(meta, "namespace") {
        "" => json::set(meta, "namespace", call.info.namespace),
        same if same == call.info.namespace => {}
        _ => {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    }
    Ok(())
}

/// Records who makes a new object, without what the system alone sets.
pub fn track(call: &Call<'_>, object: &mut Value, manager: &str) {
    if let Some(meta) = json::existing(object, "metadata") {
        for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            json::remove(meta, key);
        }
    }
    Owners::of(call, "").update(None, object, manager);
}

/// System metadata, and the kind's own preparation.
pub fn prepare(call: &Call<'_>, object: &mut Value) {
    let time = now();
    if let Some(meta) = json::child(object, "metadata") {
        for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            json::remove(meta, key);
        }
        json::set(meta, "uid", new_uid());
        json::set(meta, "creationTimestamp", time.as_str());
    }
    call.kind.prepare_create(object, &context(call, "", &time));
}

/// What hooks may know about a request.
pub fn context<'a>(call: &'a Call<'_>, subresource: &'a str, now: &'a str) -> Context<'a> {
    Context { subresource, user: &call.user.name, groups: &call.user.groups, uid: &call.user.uid, now }
}

pub fn validate(call: &Call<'_>, object: &Value, subresource: &str) -> Result<(), ApiError> {
    let time = now();
    let errors = call.kind.validate_create(object, &context(call, subresource, &time));
    if errors.is_empty() {
        // What is refused is not warned about.
        call.kind.warnings(object, None).into_iter().for_each(|w| call.warnings.add(w));
        return Ok(());
    }
    Err(ApiError::invalid(call.kind.row.group, call.kind.row.kind, json::text(object, "metadata.name"), &errors))
}

/// Random, version 4. The thread's generator: no system call per object.
pub fn new_uid() -> String {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string()
}

/// The prefix, cut so that 63 characters suffice, and five characters that make no words.
pub fn generate_name(prefix: &str) -> String {
    const SUFFIX: usize = 5;
    const NAME_MAX: usize = 63;
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let cut = prefix.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= NAME_MAX - SUFFIX).last();
    let mut name = prefix[..cut.unwrap_or(0)].to_owned();
    for _ in 0..SUFFIX {
        name.push(ALPHABET[rand::random_range(0..ALPHABET.len())] as char);
    }
    name
}

fn set_meta(object: &mut Value, key: &str, value: String) {
    if let Some(meta) = json::child(object, "metadata") {
        json::set(meta, key, value);
    }
}

fn exists(call: &Call<'_>, name: &str, generated: bool) -> ApiError {
    let row = &call.kind.row;
    if !generated {
        return ApiError::already_exists(row.group, row.plural, name);
    }
    let text = format!(
        "{} {name:?} already exists, the server was not able to generate a unique name for the object",
        call.kind.qualified_resource()
    );
    ApiError::new(StatusCode::CONFLICT, "AlreadyExists", text).about(row.group, row.plural, name).retry_after(1)
}

pub enum Written {
    Done(Box<Value>, Bytes),
    /// There is an object of that name.
    Exists(String),
}

/// Writes a prepared object if it is absent and its namespace is still as admitted, with what is allocated for it and
/// what it is charged.
pub async fn write(objects: &Objects<'_>, mut object: Value, attributes: &Attributes<'_>) -> Result<Written, ApiError> {
    let (call, dry_run) = (objects.call, attributes.dry_run);
    // Only a version that is a number is one; the real server ignores others here too.
    if json::text(&object, "metadata.resourceVersion").parse::<u64>().is_ok_and(|v| v != 0) {
        return Err(ApiError::plain_500("resourceVersion should not be set on objects to be created"));
    }
    super::store::set_resource_version(&mut object, 0);
    let name = json::text(&object, "metadata.name").to_owned();
    let key = objects.key(&name);
    for _ in 0..COMMIT_ATTEMPTS_MAX {
        let guard = crate::admission::lifecycle::guard(call, &name).await?;
        let mut txn = Txn::new().expect(key.clone(), Expect::Absent);
        if let Some((namespace, revision)) = guard {
            txn = txn.expect(namespace, Expect::ModRevision(revision));
        }
        let (written, txn) = services::allocate(call, &object, None, txn)?;
        let charges = call.app.admission.charge(attributes, &object, None).await?;
        let written = written.unwrap_or_else(|| object.clone());
        let encoded = objects.encode(&written);
        if dry_run {
            // The store's word, not the cache's: what was deleted a moment ago may be created.
            objects.fence().await?;
            if objects.resource.get(objects.namespace(), &name).is_some() {
                return Ok(Written::Exists(name));
            }
            let bytes = objects.answer(&written, &encoded, 0);
            return Ok(Written::Done(Box::new(written), bytes));
        }
        let txn = charges.onto(objects.put(txn, key.clone(), &encoded));
        match objects.commit(txn).await? {
            CommitOutcome::Committed(revision) => {
                charges.settle(call, revision);
                let bytes = objects.answer(&written, &encoded, revision);
                return Ok(Written::Done(Box::new(written), bytes));
            }
            CommitOutcome::Conflict { index: 0, .. } => return Ok(Written::Exists(name)),
            // The namespace or a quota changed, or an address was taken: look again at what is true now.
            CommitOutcome::Conflict { .. } => {
                objects.fence().await?;
            }
        }
    }
    Err(ApiError::too_many_requests("too many concurrent changes around this object, please try again", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit_a_label() {
        assert_eq!(generate_name("gen-").len(), 9);
        let long = generate_name(&"x".repeat(100));
        assert_eq!(long.len(), 63);
        assert!(long.starts_with(&"x".repeat(58)));
        assert!(!long[58..].contains(['a', 'e', 'i', 'o', 'u', '0', '1', '3']));
    }
}
