//! Admission: what may be written, beyond what is valid. Plugins in one list, in the order in which they are asked.
//!
//! Mutating plugins run after decoding and defaulting, validating ones on the object as it would be written. What a
//! plugin writes itself ([`Charges`]) goes into the transaction that writes the object.

mod always;
mod always_pull_images;
pub mod amounts;
mod certificate_signers;
mod certificate_subject_restriction;
mod cluster_trust_bundle_attest;
mod default_class;
mod default_toleration_seconds;
mod deny_service_external_ips;
mod event_rate_limit;
mod extended_resource_toleration;
pub mod lifecycle;
mod limit_pod_hard_anti_affinity_topology;
mod limit_ranger;
mod namespace_existence;
mod node_restriction;
mod owner_references;
mod permission;
mod persistent_volume_claim_resize;
mod pod_node_selector;
mod pod_resize;
mod pod_security;
mod pod_toleration_restriction;
mod pod_topology_labels;
mod priority;
mod read;
mod references;
mod registry;
pub mod resource_quota;
mod runtime_class;
mod service_account;
mod settings;
mod storage_object_in_use_protection;
mod taint_nodes_by_condition;
mod tolerations;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use kuorum_cache::{Expect, Txn};
use kuorum_kinds::kind::Kind;
use kuorum_kinds::value as json;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use crate::app::Call;
use crate::config::{Config, ConfigError};
use crate::status::ApiError;
use settings::Settings;

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    /// exec, attach, portforward, proxy: a stream, not an object.
    Connect,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        })
    }
}

/// What a plugin may know about a request.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    pub call: &'a Call<'a>,
    pub kind: &'a Kind,
    pub operation: Operation,
    pub dry_run: bool,
    /// Empty for a create with a generated name, and for a whole collection.
    pub name: &'a str,
    pub namespace: &'a str,
    pub subresource: &'a str,
    /// Group, version and kind of the object that plugins see: the kind's own, or that of a subresource's body
    /// (Binding, Eviction, TokenRequest).
    pub object_kind: (&'a str, &'a str, &'a str),
    pass: Pass,
}

/// Which pass of the mutating plugins it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pass {
    #[default]
    First,
    /// A plugin has changed what plugins before it have seen: they are all asked once more.
    AnotherWanted,
    Another,
}

impl<'a> Attributes<'a> {
    pub fn new(call: &'a Call<'a>, operation: Operation, dry_run: bool) -> Self {
        let info = call.info;
        Attributes {
            call,
            kind: call.kind,
            operation,
            dry_run,
            name: info.name,
            namespace: info.namespace,
            subresource: info.subresource,
            object_kind: (call.kind.row.group, call.kind.row.version, call.kind.row.kind),
            pass: Pass::First,
        }
    }

    /// Has the mutating plugins asked once more after this pass (a webhook or policy has changed the object).
    pub fn ask_again(&mut self) {
        if self.pass == Pass::First {
            self.pass = Pass::AnotherWanted;
        }
    }

    /// Whether the mutating plugins have been asked before.
    pub fn is_asked_again(&self) -> bool {
        self.pass == Pass::Another
    }

    /// Puts an annotation on the request's audit event.
    pub fn annotate(&self, key: impl Into<String>, value: impl Into<String>) {
        self.call.annotations.add(key, value);
    }

    /// Whether the object is of this kind.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.kind.row.group == group && self.kind.row.kind == kind
    }

    /// Whether an object of this kind, not a subresource of it, is made.
    pub fn creates(&self, group: &str, kind: &str) -> bool {
        self.operation == Operation::Create && self.subresource.is_empty() && self.is(group, kind)
    }

    /// The refusal of a plugin: `pods "x" is forbidden: <why>`.
    pub fn forbidden(&self, why: impl std::fmt::Display) -> ApiError {
        ApiError::forbidden(self.kind.row.group, self.kind.row.plural, self.name, why)
    }

    /// As [`Attributes::forbidden`], for an object that may have no name yet.
    pub fn refusal(&self, object: &Value, why: impl std::fmt::Display) -> ApiError {
        let names = [self.name, json::text(object, "metadata.name"), json::text(object, "metadata.generateName")];
        let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or("Unknown");
        ApiError::forbidden(self.kind.row.group, self.kind.row.plural, name, why)
    }

    /// For an object that the path does not name.
    pub fn named(self, name: &'a str) -> Self {
        Attributes { name, ..self }
    }

    /// For one of a collection across namespaces.
    pub fn in_namespace(self, namespace: &'a str) -> Self {
        Attributes { namespace, ..self }
    }

    /// For a subresource whose body is of another kind.
    pub fn of_kind(self, group: &'a str, version: &'a str, kind: &'a str) -> Self {
        Attributes { object_kind: (group, version, kind), ..self }
    }

    /// Whether one of these is done to an object of this kind, not to a subresource.
    pub fn does(&self, operations: &[Operation], group: &str, kind: &str) -> bool {
        operations.contains(&self.operation) && self.subresource.is_empty() && self.is(group, kind)
    }
}

/// Annotations for the audit event of a request, collected while it is worked on. The first value of a key stays.
#[derive(Default)]
pub struct Annotations(Mutex<Vec<(String, String)>>);

impl Annotations {
    pub fn add(&self, key: impl Into<String>, value: impl Into<String>) {
        let key = key.into();
        let mut all = self.0.lock();
        if !all.iter().any(|(known, _)| *known == key) {
            all.push((key, value.into()));
        }
    }

    pub fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A plugin's answer, which may have to wait (webhooks).
pub type Verdict<'a> = Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send + 'a>>;

/// A refusal that needs no waiting.
pub fn refuse<'a>(error: ApiError) -> Verdict<'a> {
    Box::pin(std::future::ready(Err(error)))
}

/// One admission plugin.
pub trait Plugin: Send + Sync {
    /// As `--enable-admission-plugins` spells it.
    fn name(&self) -> &'static str;

    /// May change the object. `None` means that the plugin changes nothing and has nothing against this.
    fn admit<'a>(
        &'a self,
        _attributes: &'a mut Attributes<'_>,
        _object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        None
    }

    /// May refuse. `None` means that it does not.
    fn validate<'a>(
        &'a self,
        _attributes: &'a Attributes<'_>,
        _object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        None
    }

    /// What the plugin writes together with the object, when nobody has anything against it any more. Asked again
    /// whenever the transaction has lost a race. `None`: nothing.
    fn charge<'a>(
        &'a self,
        _attributes: &'a Attributes<'_>,
        _object: &'a Value,
        _old: Option<&'a Value>,
        _charges: &'a mut Charges,
    ) -> Option<Verdict<'a>> {
        None
    }
}

/// What admission writes in the transaction of an object, and the turns that it holds until that is decided.
#[derive(Default)]
pub struct Charges {
    writes: Vec<(String, u64, Bytes)>,
    turns: Vec<OwnedMutexGuard<()>>,
}

impl Charges {
    /// Replaces the value at `key`, if it is still at `revision`.
    pub fn write(&mut self, key: String, revision: u64, value: Bytes) {
        self.writes.push((key, revision, value));
    }

    /// Keeps others out until the transaction is decided and its outcome is in the caches.
    pub fn hold(&mut self, turn: OwnedMutexGuard<()>) {
        self.turns.push(turn);
    }

    pub fn onto(&self, txn: Txn) -> Txn {
        self.writes.iter().fold(txn, |txn, (key, revision, value)| {
            txn.expect(key.clone(), Expect::ModRevision(*revision)).put(key.clone(), value.clone())
        })
    }

    /// After the commit at `revision`: the next one's turn comes when the caches show what was written.
    pub fn settle(self, call: &Call<'_>, revision: u64) {
        if self.turns.is_empty() {
            return;
        }
        let (store, deadline) = (call.app.store.clone(), call.deadline);
        tokio::spawn(async move {
            store.wait_for_revision(revision, deadline).await;
            drop(self.turns);
        });
    }
}

/// Complaints as one text: several are bracketed and listed, equal ones once.
fn aggregate(complaints: &[String]) -> String {
    let mut once: Vec<&str> = Vec::with_capacity(complaints.len());
    for complaint in complaints {
        if !once.contains(&complaint.as_str()) {
            once.push(complaint);
        }
    }
    match once.as_slice() {
        [one] => (*one).to_owned(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// Adds to the list in field `key`, which is made where it is absent or `null`.
fn append(object: &mut Value, key: &str, item: Value) {
    json::set_default_if_empty(object, key, || Value::Array(Vec::new()));
    if let Some(Value::Array(items)) = json::get_mut(object, key) {
        items.push(item);
    }
}

/// The plugins of this process.
pub struct Chain(Vec<Box<dyn Plugin>>);

impl Chain {
    /// The plugins that are on by default, with those of `--enable-admission-plugins` and without those of
    /// `--disable-admission-plugins`, as `--admission-control-config-file` sets them up. Fails on names that
    /// kube-apiserver does not know, on contradictions, and on settings that mean nothing.
    pub fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let settings = Settings::load(config)?;
        registry::chosen(&config.enable_admission_plugins, &config.disable_admission_plugins, &settings).map(Chain)
    }

    /// Asks the mutating side of every plugin.
    pub async fn admit(
        &self,
        attributes: &mut Attributes<'_>,
        mut object: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        loop {
            for plugin in &self.0 {
                if let Some(verdict) = plugin.admit(attributes, object.as_deref_mut(), old) {
                    verdict.await?;
                }
            }
            if attributes.pass != Pass::AnotherWanted {
                return Ok(());
            }
            attributes.pass = Pass::Another;
        }
    }

    /// Asks the validating side of every plugin.
    pub async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        for plugin in &self.0 {
            if let Some(verdict) = plugin.validate(attributes, object, old) {
                verdict.await?;
            }
        }
        Ok(())
    }

    /// Collects what plugins write together with the object.
    pub async fn charge(
        &self,
        attributes: &Attributes<'_>,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<Charges, ApiError> {
        let mut charges = Charges::default();
        for plugin in &self.0 {
            if let Some(verdict) = plugin.charge(attributes, object, old, &mut charges) {
                verdict.await?;
            }
        }
        Ok(charges)
    }
}
