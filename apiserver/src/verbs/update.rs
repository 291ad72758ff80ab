//! PUT, and the loop that every change of an existing object goes through.
//!
//! Writes are optimistic: the cached object is changed and committed with a compare on its revision. The cache may be
//! a moment behind, so nothing negative is answered from it: before a refusal the caches are fenced, and if the
//! object has moved the change is tried on what it is now. On a lost race the store says what the object is now.

use bytes::Bytes;
use http::StatusCode;
use kuorum_cache::{CommitOutcome, Expect, Txn};
use kuorum_kinds::field::FieldError;
use kuorum_kinds::value as json;
use kuorum_schema::fields::{put_managed, take_managed};
use serde_json::Value;

use super::ownership::{self, Owners};
use super::store::{Current, Objects, now, set_resource_version};
use super::{Response, create, decode, grants, reply};
use crate::admission::{Attributes, Operation};
use crate::app::Call;
use crate::body::Payload;
use crate::layers::authorization;
use crate::request::options::WriteOptions;
use crate::request::query::parse_uint;
use crate::services;
use crate::status::ApiError;

/// Replaces an object.
pub async fn update(call: &Call<'_>, payload: Payload) -> Result<Response, ApiError> {
    let body = payload.read().await?;
    decode::format(call.headers)?;
    let options = WriteOptions::parse(call.query, "UpdateOptions", false)?;
    let mut object = decode::object(call, &body, options.field_validation)?;
    ownership::keep_order_in_body(&body, &mut object);
    replace(call, object, &options).await
}

/// Replaces the object by `object` (PUT, also of a subresource with the kind's own body).
pub async fn replace(call: &Call<'_>, mut object: Value, options: &WriteOptions) -> Result<Response, ApiError> {
    check_name(call, &object)?;
    create::match_namespace(call, &mut object)?;
    let uid = json::text(&object, "metadata.uid").to_owned();
    let manager = ownership::manager(call.headers, options);
    let change = Change {
        options,
        subresource: call.info.subresource,
        create: CreateIf::KindAllows,
        uid: &uid,
        owner: Owner::Manager(&manager),
        already_admitted: false,
    };
    let changed = guaranteed_update(call, &change, &mut |_| Ok(object.clone())).await?;
    changed.reply(call)
}

/// The object's name is the one on the URL.
pub fn check_name(call: &Call<'_>, object: &Value) -> Result<(), ApiError> {
    let (name, wanted) = (json::text(object, "metadata.name"), call.info.name);
    if name.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        )));
    }
    if name != wanted {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({wanted})"
        )));
    }
    Ok(())
}

/// What kind of change it is.
pub struct Change<'a> {
    pub options: &'a WriteOptions,
    /// `""` for the object itself.
    pub subresource: &'a str,
    /// Whether an absent object is created.
    pub create: CreateIf,
    /// The uid that the object must have (PUT); empty: any.
    pub uid: &'a str,
    /// Who becomes the owner of what changes.
    pub owner: Owner<'a>,
    /// The change is part of an action that has been admitted itself (a binding, an eviction).
    pub already_admitted: bool,
}

impl<'a> Change<'a> {
    /// A change by the server itself, for which nobody becomes an owner.
    pub fn untracked(options: &'a WriteOptions) -> Self {
        Change {
            options,
            subresource: "",
            create: CreateIf::Never,
            uid: "",
            owner: Owner::AsProduced,
            already_admitted: false,
        }
    }
}

/// Whether a change of an absent object creates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateIf {
    Never,
    /// Some kinds are created by PUT.
    KindAllows,
    /// An apply creates.
    Absent,
}

/// Who becomes the owner of what a change changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    Manager(&'a str),
    /// The produced object says who owns what.
    AsProduced,
}

/// An object after a change.
pub struct Changed {
    pub object: Value,
    pub json: Bytes,
    pub created: bool,
}

impl Changed {
    pub fn reply(self, call: &Call<'_>) -> Result<Response, ApiError> {
        let code = if self.created { StatusCode::CREATED } else { StatusCode::OK };
        reply::object(call, code, self.json)
    }
}

/// Makes the wanted object from the current one (`None`: there is none).
pub type Produce<'a> = dyn FnMut(Option<&Current>) -> Result<Value, ApiError> + Send + 'a;

/// How often a change is tried again after losing a race, before the client is asked to come back.
const ATTEMPTS_MAX: usize = 256;

/// Changes one object: reads, produces, admits, prepares, validates and commits, again if it lost a race.
pub async fn guaranteed_update(
    call: &Call<'_>,
    change: &Change<'_>,
    produce: &mut Produce<'_>,
) -> Result<Changed, ApiError> {
    let objects = Objects::of(call)?;
    let name = call.info.name;
    let mut found = objects.resource.get(objects.namespace(), name);
    // Whether `found` is as new as the store was during this request.
    let mut fenced = false;
    for _ in 0..ATTEMPTS_MAX {
        let current = found.clone().map(|o| objects.decode(o)).transpose()?;
        let attempt = match &current {
            Some(current) => Attempt { objects: &objects, change, fenced }.change(current, produce).await,
            None => Attempt { objects: &objects, change, fenced }.create(name, produce).await,
        };
        match attempt {
            Ok(Step::Done(changed)) => return Ok(changed),
            // The object at the key has moved; the store says to what.
            Ok(Step::Moved(now)) => {
                found = now;
                fenced = true;
            }
            Ok(Step::LookAgain) => {
                objects.fence().await?;
                fenced = true;
                found = objects.resource.get(objects.namespace(), name);
            }
            Err(error) if fenced => return Err(error),
            // Refused on what may be yesterday's object: see whether it still is that.
            Err(error) => {
                objects.fence().await?;
                fenced = true;
                let fresh = objects.resource.get(objects.namespace(), name);
                let revision = |o: &Option<std::sync::Arc<kuorum_cache::Object>>| o.as_ref().map(|o| o.revision());
                if revision(&fresh) == revision(&found) {
                    return Err(error);
                }
                found = fresh;
            }
        }
    }
    Err(ApiError::modified(call.kind.row.group, call.kind.row.plural, name))
}

/// Where one attempt ended.
enum Step {
    Done(Changed),
    Moved(Option<std::sync::Arc<kuorum_cache::Object>>),
    /// Something else in the transaction moved, or the cache must be brought forward before the answer holds.
    LookAgain,
}

struct Attempt<'a> {
    objects: &'a Objects<'a>,
    change: &'a Change<'a>,
    fenced: bool,
}

impl Attempt<'_> {
    async fn change(&self, current: &Current, produce: &mut Produce<'_>) -> Result<Step, ApiError> {
        let Attempt { objects, change, fenced } = self;
        let call = objects.call;
        self.check_uid(json::text(&current.value, "metadata.uid"))?;
        let mut object = produce(Some(current))?;
        let revision = current.object.revision();
        self.check_version(&mut object, revision)?;
        call.kind.default(&mut object);
        if let Owner::Manager(manager) = change.owner {
            Owners::of(call, change.subresource).update(Some(&current.value), &mut object, manager);
        }
        let mut attributes = Attributes::new(call, Operation::Update, change.options.dry_run);
        if !change.already_admitted {
            call.app.admission.admit(&mut attributes, Some(&mut object), Some(&current.value)).await?;
        }
        grants::check(call, &object, Some(&current.value)).await?;
        let time = now();
        let context = create::context(call, change.subresource, &time);
        // What a request may not change is carried over from the old object, but not its owners.
        let owners = take_managed(&mut object);
        call.kind.prepare_update(&mut object, &current.value, &context);
        take_managed(&mut object);
        put_managed(&mut object, owners);
        let errors = call.kind.validate_update(&object, &current.value, &context);
        if !errors.is_empty() {
            return Err(ApiError::invalid(call.kind.row.group, call.kind.row.kind, call.info.name, &errors));
        }
        call.kind.warnings(&object, Some(&current.value)).into_iter().for_each(|w| call.warnings.add(w));
        if !change.already_admitted {
            call.app.admission.validate(&attributes, Some(&object), Some(&current.value)).await?;
        }
        let key = objects.key(call.info.name);
        let txn = Txn::new().expect(key.clone(), Expect::ModRevision(revision));
        if is_finished(&object, &current.value) {
            return self.remove(current, object, txn, key).await;
        }
        let (allocated, txn) = services::allocate(call, &object, Some(&current.value), txn)?;
        let charges = call.app.admission.charge(&attributes, &object, Some(&current.value)).await?;
        let mut object = allocated.unwrap_or(object);
        let times = ownership::keep_times(&mut object, &current.value);
        let mut encoded = objects.encode(&object);
        if times.is_some() && encoded.packed() != current.object.stored() {
            take_managed(&mut object);
            put_managed(&mut object, times);
            encoded = objects.encode(&object);
        }
        // A change that changes nothing is not written, so that its version stays.
        if change.options.dry_run || objects.is_unchanged(&encoded, &current.object) {
            if !fenced {
                objects.fence().await?;
                let fresh = objects.resource.get(objects.namespace(), call.info.name);
                if fresh.as_ref().map(|o| o.revision()) != Some(revision) {
                    return Ok(Step::Moved(fresh));
                }
            }
            let json = objects.answer(&object, &encoded, revision);
            return Ok(Step::Done(Changed { object, json, created: false }));
        }
        let txn = charges.onto(objects.put(txn, key, &encoded));
        Ok(match objects.commit(txn).await? {
            CommitOutcome::Committed(revision) => {
                charges.settle(call, revision);
                let json = objects.answer(&object, &encoded, revision);
                Step::Done(Changed { object, json, created: false })
            }
            CommitOutcome::Conflict { index: 0, current, .. } => Step::Moved(current),
            CommitOutcome::Conflict { .. } => Step::LookAgain,
        })
    }

    /// The change took the last finalizer of an object that is being deleted: it goes.
    async fn remove(&self, current: &Current, object: Value, txn: Txn, key: String) -> Result<Step, ApiError> {
        let objects = self.objects;
        let encoded = objects.encode(&object);
        let revision = current.object.revision();
        let json = objects.answer(&object, &encoded, revision);
        let done = Step::Done(Changed { object, json, created: false });
        if self.change.options.dry_run {
            return Ok(done);
        }
        let txn = services::release(objects.call, &current.value, txn.delete(key))?;
        Ok(match objects.commit(txn).await? {
            CommitOutcome::Committed(_) => done,
            CommitOutcome::Conflict { index: 0, current, .. } => Step::Moved(current),
            CommitOutcome::Conflict { .. } => Step::LookAgain,
        })
    }

    /// PUT of an absent object creates it, for the kinds that say so; an apply does for all.
    async fn create(&self, name: &str, produce: &mut Produce<'_>) -> Result<Step, ApiError> {
        let Attempt { objects, change, fenced } = self;
        let call = objects.call;
        let row = &call.kind.row;
        let creates = match change.create {
            CreateIf::Never => false,
            CreateIf::KindAllows => row.create_on_update,
            CreateIf::Absent => true,
        };
        if !(creates && change.subresource.is_empty()) {
            return Err(objects.not_found(name));
        }
        if !fenced {
            return Ok(Step::LookAgain);
        }
        self.check_uid("")?;
        let mut object = produce(None)?;
        set_resource_version(&mut object, 0);
        call.kind.default(&mut object);
        if let Owner::Manager(manager) = change.owner {
            create::track(call, &mut object, manager);
        }
        let mut attributes = Attributes::new(call, Operation::Create, change.options.dry_run);
        call.app.admission.admit(&mut attributes, Some(&mut object), None).await?;
        grants::check(call, &object, None).await?;
        create::prepare(call, &mut object);
        create::validate(call, &object, "")?;
        // Whoever may update or patch may not therefore create.
        authorization::check_verb(&call.app.authorization, call.user, call.info, "create").await?;
        call.app.admission.validate(&attributes, Some(&object), None).await?;
        match create::write(objects, object, &attributes).await? {
            create::Written::Done(object, json) => Ok(Step::Done(Changed { object: *object, json, created: true })),
            create::Written::Exists(_) => Ok(Step::LookAgain),
        }
    }

    fn check_uid(&self, actual: &str) -> Result<(), ApiError> {
        let (wanted, call) = (self.change.uid, self.objects.call);
        if wanted.is_empty() || wanted == actual {
            return Ok(());
        }
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}",
            self.objects.key(call.info.name)
        );
        Err(ApiError::conflict(call.kind.row.group, call.kind.row.plural, call.info.name, why))
    }

    /// The version in the object, where there is one, must be the current one; some kinds demand it.
    fn check_version(&self, object: &mut Value, revision: u64) -> Result<(), ApiError> {
        let row = &self.objects.call.kind.row;
        let name = self.objects.call.info.name;
        let text = json::text(object, "metadata.resourceVersion");
        let wanted = if text.is_empty() {
            0
        } else {
            parse_uint(text)
                .map_err(|why| ApiError::plain_500(format!("resourceVersion: Invalid value: {text:?}: {why}")))?
        };
        if wanted == 0 && !row.unconditional_update {
            let error = FieldError::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update");
            return Err(ApiError::invalid(row.group, row.plural, name, &[error]));
        }
        if wanted != 0 && wanted != revision {
            return Err(ApiError::modified(row.group, row.plural, name));
        }
        set_resource_version(object, revision);
        Ok(())
    }
}

/// Whether an object that is being deleted has nothing left to wait for.
fn is_finished(object: &Value, old: &Value) -> bool {
    let meta = json::get(object, "metadata");
    if !json::is_set(meta, "deletionTimestamp") || json::is_set(meta, "finalizers") {
        return false;
    }
    // A namespace waits for its content as well: `spec.finalizers`.
    if json::text(object, "kind") == "Namespace" && json::text(object, "apiVersion") == "v1" {
        return !json::is_set(object, "spec.finalizers");
    }
    // A pod that still has time goes when its kubelet says so.
    let graceful = json::int(old, "metadata.deletionGracePeriodSeconds").unwrap_or(0) > 0;
    json::is_set(old, "metadata.deletionTimestamp") && !graceful
}
