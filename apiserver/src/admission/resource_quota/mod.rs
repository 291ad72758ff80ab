//! ResourceQuota: a namespace uses no more than its quotas allow.
//!
//! What a request adds is written to the quotas' status in the transaction of the object, with a compare on their
//! versions: two front-ends cannot both use the last of something. Within one front-end the writers of a namespace take
//! turns, so that they do not make each other try again. What is given back is counted by the
//! `resourcequota-controller` (`docs/decisions/0012-quota-charges.md`).

pub mod check;
pub mod evaluators;
pub mod quota;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use kuorum_cache::Object;
use kuorum_kinds::row::Scope as KindScope;
use kuorum_kinds::value as json;
use kuorum_schema::codec;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use self::check::{Charged, Excess, Limited, Request};
use self::evaluators::Evaluator;
use self::quota::Quota;
use super::amounts;
use super::{Attributes, Charges, Operation, Plugin, Verdict, settings};
use crate::app::Call;
use crate::status::ApiError;
use crate::tls::unix_now;
use crate::verbs::store;

const VERSIONS: [(&str, &str); 3] = [
    ("apiserver.config.k8s.io/v1", "ResourceQuotaConfiguration"),
    ("resourcequota.admission.k8s.io/v1beta1", "Configuration"),
    ("resourcequota.admission.k8s.io/v1alpha1", "Configuration"),
];

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Configuration {
    limited_resources: Vec<Limited>,
}

pub struct ResourceQuota {
    limited: Vec<Limited>,
    turns: Turns,
}

impl ResourceQuota {
    pub fn new(settings: Option<&Value>) -> Result<Self, String> {
        let Configuration { limited_resources } = settings::versioned(settings, &VERSIONS)?;
        Ok(ResourceQuota { limited: limited_resources, turns: Turns::default() })
    }
}

impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn charge<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: &'a Value,
        old: Option<&'a Value>,
        charges: &'a mut Charges,
    ) -> Option<Verdict<'a>> {
        let row = &attributes.kind.row;
        if attributes.namespace.is_empty() || row.scope != KindScope::Namespaced || !row.is_stored() {
            return None;
        }
        let evaluator = Evaluator::of(row)?;
        if !evaluator.handles(attributes.operation, attributes.subresource) {
            return None;
        }
        let quotas = attributes.call.app.resource_named("", "v1", "resourcequotas");
        let any = quotas.is_ok_and(|(_, quotas)| quotas.snapshot().walk(attributes.namespace, "").remaining() > 0);
        if !any && self.limited.is_empty() {
            return None;
        }
        let old = old.filter(|_| attributes.operation == Operation::Update);
        let subresource = attributes.subresource;
        let request = Request { row, evaluator, subresource, object, old, now: unix_now() };
        Some(Box::pin(self.charge_in_turn(attributes, request, charges)))
    }
}

/// A quota, where it is stored and what it says.
struct Stored {
    object: Arc<Object>,
    value: Value,
}

impl ResourceQuota {
    async fn charge_in_turn(
        &self,
        attributes: &Attributes<'_>,
        request: Request<'_>,
        charges: &mut Charges,
    ) -> Result<(), ApiError> {
        let call = attributes.call;
        // Most changes of objects use no more than before, and need no turn.
        if request.old.is_some() && self.look(call, attributes.namespace, &request)?.1.is_ok_and(|c| c.is_empty()) {
            return Ok(());
        }
        if !attributes.dry_run {
            charges.hold(self.turns.take(attributes.namespace).await);
        }
        let (mut stored, mut outcome) = self.look(call, attributes.namespace, &request)?;
        if outcome.is_err() {
            // Refused for what the cache shows, which may be yesterday's.
            store::fence(call.app, call.deadline).await?;
            (stored, outcome) = self.look(call, attributes.namespace, &request)?;
        }
        let charged = outcome.map_err(|excess| match excess {
            Excess::Forbidden(why) => attributes.forbidden(why),
            Excess::Plain(why) => ApiError::plain_500(why),
        })?;
        let (kind, quotas) = call.app.resource_named("", "v1", "resourcequotas")?;
        for (index, used) in charged {
            let Some(Stored { object, value }) = stored.get_mut(index) else { continue };
            if let Some(status) = json::child(value, "status") {
                json::set(status, "used", amounts::write(&used));
            }
            let mut encoded = Vec::with_capacity(object.json().len() + 16);
            let offset = codec::encode_stored(value, &kind.schema, &mut encoded);
            let key = quotas.key(object.namespace(), object.name());
            charges.write(key, object.revision(), kuorum_cache::value::pack(&encoded, offset));
        }
        Ok(())
    }

    /// Holds a request against the quotas that the cache has.
    fn look(
        &self,
        call: &Call<'_>,
        namespace: &str,
        request: &Request<'_>,
    ) -> Result<(Vec<Stored>, Result<Charged, Excess>), ApiError> {
        let (_, quotas) = call.app.resource_named("", "v1", "resourcequotas")?;
        let mut walk = quotas.snapshot().walk(namespace, "");
        let mut stored = Vec::with_capacity(walk.remaining());
        while let Some(object) = walk.next_object() {
            let value = serde_json::from_slice(object.json())
                .map_err(|e| ApiError::internal(format!("stored quota {} is not JSON: {e}", object.key())))?;
            stored.push(Stored { object: object.clone(), value });
        }
        let read: Vec<Quota> = stored.iter().map(|s| Quota::read(&s.value)).collect();
        let outcome = check::check(request, &read, &self.limited);
        Ok((stored, outcome))
    }
}

/// Whose turn it is, by namespace. Only namespaces that someone waits for are remembered.
#[derive(Default)]
struct Turns(Mutex<HashMap<String, Arc<Turn<()>>>>);

impl Turns {
    async fn take(&self, namespace: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock();
            match turns.get(namespace) {
                Some(turn) => turn.clone(),
                None => {
                    turns.retain(|_, turn| Arc::strong_count(turn) > 1);
                    let turn = Arc::new(Turn::new(()));
                    turns.insert(namespace.to_owned(), turn.clone());
                    turn
                }
            }
        };
        turn.lock_owned().await
    }
}
