//! Who owns the fields that a request writes: the seam between the verbs and `kuorum_schema::fields`.

mod reset;

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use kuorum_kinds::kind::Kind;
use kuorum_kinds::registry::Registry;
use kuorum_kinds::value as json;
use kuorum_schema::Schema;
use kuorum_schema::fields::{
    ApplyError, Tracker, Versions, equal_but_for_times, managed_of, put_managed, take_managed,
};
use serde_json::Value;

use super::decode::group_version;
use super::store::now;
use crate::app::{Call, Served};
use crate::request::options::{FIELD_MANAGER_BYTES_MAX, WriteOptions, is_print};
use crate::status::ApiError;

/// The manager of what the server does by itself.
const SERVER: &str = "kube-apiserver";

/// The manager of a request: what it says, or what its user agent has before the first slash.
pub fn manager<'a>(headers: &'a HeaderMap, options: &'a WriteOptions) -> Cow<'a, str> {
    if !options.field_manager.is_empty() {
        return Cow::Borrowed(&options.field_manager);
    }
    let agent = headers.get(http::header::USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
    let agent = String::from_utf8_lossy(agent);
    let mut name = String::new();
    for c in agent.split('/').next().unwrap_or_default().chars().filter(|c| is_print(*c)) {
        if name.len() + c.len_utf8() > FIELD_MANAGER_BYTES_MAX {
            break;
        }
        name.push(c);
    }
    Cow::Owned(name)
}

/// An empty list of owners asks for the owners to be forgotten. Decoding takes it for none, as it does with every empty
/// list: it is put back from what was sent.
pub fn keep_order_to_forget(sent: &Value, object: &mut Value) {
    if managed_of(sent).as_array().is_some_and(Vec::is_empty) && managed_of(object).is_null() {
        put_managed(object, Some(Value::Array(Vec::new())));
    }
}

/// As [`keep_order_to_forget`], for a request body in JSON or YAML. Few bodies name the field without a value.
pub fn keep_order_in_body(body: &[u8], object: &mut Value) {
    let named = memchr::memmem::find(body, b"managedFields").is_some();
    if named
        && managed_of(object).is_null()
        && let Ok(document) = kuorum_schema::yaml::to_json(body)
    {
        keep_order_to_forget(&document.value, object);
    }
}

/// The versions of the kinds that are served.
struct OfRegistry<'a> {
    registry: &'a Registry,
    kind: &'a Arc<Kind>,
}

impl OfRegistry<'_> {
    /// The kind in another version of its group. Versions of one kind are stored as one.
    fn sibling(&self, api_version: &str) -> Option<&Arc<Kind>> {
        let (group, version) = group_version(api_version)?;
        let kind = self.registry.kind(group, version, self.kind.row.kind)?;
        let same = kind.row.group == self.kind.row.group && kind.row.storage_kind() == self.kind.row.storage_kind();
        same.then_some(kind)
    }
}

impl Versions for OfRegistry<'_> {
    fn convert(&self, object: &Value, api_version: &str) -> Option<(Value, Arc<Schema>)> {
        let to = self.sibling(api_version)?;
        let from = self.sibling(json::text(object, "apiVersion"))?;
        let mut object = object.clone();
        if !Arc::ptr_eq(from, to) {
            from.to_storage(&mut object);
            to.from_storage(&mut object);
        }
        Some((object, to.schema.clone()))
    }
}

/// The rules for writes of the call's kind, or of a subresource of it.
pub struct Owners<'a> {
    call: &'a Call<'a>,
    subresource: &'a str,
    served: arc_swap::Guard<Arc<Served>>,
    now: String,
}

impl<'a> Owners<'a> {
    pub fn of(call: &'a Call<'a>, subresource: &'a str) -> Self {
        Owners { call, subresource, served: call.app.kinds.load(), now: now() }
    }

    fn with<T>(&self, run: impl FnOnce(&Tracker<'_>) -> T) -> T {
        let kind = self.call.kind;
        run(&Tracker {
            schema: &kind.schema,
            api_version: &kind.api_version,
            kind: kind.row.kind,
            subresource: self.subresource,
            reset: reset::reset(kind, self.subresource),
            versions: &OfRegistry { registry: &self.served.registry, kind },
            now: &self.now,
        })
    }

    /// Records in `object`, which is to replace `live` (`None`: there is none), that `manager` has made it.
    pub fn update(&self, live: Option<&Value>, object: &mut Value, manager: &str) {
        self.with(|tracker| tracker.update(live, object, manager));
    }

    /// Merges an applied configuration into `live`.
    pub fn apply(&self, live: Option<&Value>, config: &Value, manager: &str, force: bool) -> Result<Value, ApiError> {
        self.with(|tracker| tracker.apply(live, config, manager, force)).map_err(refusal)
    }
}

/// Records a write of another kind that the server does by itself while it answers a request.
pub fn by_server(call: &Call<'_>, kind: &Arc<Kind>, subresource: &str, live: Option<&Value>, object: &mut Value) {
    Owners::of(&Call { kind, ..*call }, subresource).update(live, object, SERVER);
}

/// Whether objects of the call's kind can be written in a version.
pub fn is_version_of(call: &Call<'_>, api_version: &str) -> bool {
    let served = call.app.kinds.load();
    OfRegistry { registry: &served.registry, kind: call.kind }.sibling(api_version).is_some()
}

/// What a refused apply answers.
pub fn refusal(error: ApplyError) -> ApiError {
    match error {
        ApplyError::BadRequest(why) => ApiError::bad_request(why),
        ApplyError::Internal(why) => ApiError::plain_500(why),
        ApplyError::Conflicts(conflicts) => {
            let mut error = ApiError::new(http::StatusCode::CONFLICT, "Conflict", conflicts.message());
            for conflict in &conflicts.0 {
                let text = format!("conflict with {}", conflict.manager);
                error = error.cause("FieldManagerConflict", text, &conflict.field);
            }
            error
        }
    }
}

/// Whether nothing but times of owners differs: then the times of `old` are put into `new`, and are returned the other
/// way round, in case something else has changed.
pub fn keep_times(new: &mut Value, old: &Value) -> Option<Value> {
    let before = managed_of(old);
    if managed_of(new) == before || !equal_but_for_times(managed_of(new), before) {
        return None;
    }
    let after = take_managed(new);
    put_managed(new, Some(before.clone()));
    after
}
