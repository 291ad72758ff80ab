//! The scale subresource: an `autoscaling/v1` Scale as a view of an object's replicas.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use kuorum_kinds::field::FieldError;
use kuorum_kinds::kind::Kind;
use kuorum_kinds::row::KindRow;
use kuorum_kinds::value as json;
use kuorum_schema::codec;
use kuorum_schema::fields::{Scaled, managed_of, put_managed, take_managed};
use kuorum_schema::selector::Selector;
use serde_json::{Value, json};

use super::ownership::Owners;
use super::patch::Patch;
use super::update::{Change, Changed, check_name, guaranteed_update};
use super::{Response, create, decode, ownership, patch, reply};
use crate::app::Call;
use crate::body::Payload;
use crate::request::options::WriteOptions;
use crate::status::ApiError;
use crate::verbs::store::Objects;

/// The subresource, as owners have it.
const SUBRESOURCE: &str = "scale";

/// Reads, replaces or patches the Scale of an object.
pub async fn handle(call: &Call<'_>, verb: &str, payload: Payload) -> Result<Response, ApiError> {
    let kind = scale_kind()?;
    if verb == "get" {
        let objects = Objects::of(call)?;
        objects.fence().await?;
        let found = objects.resource.get(objects.namespace(), call.info.name);
        let current = objects.decode(found.ok_or_else(|| objects.not_found(call.info.name))?)?;
        return answer(call, &kind, StatusCode::OK, &current.value);
    }
    let (body, options) = if verb == "patch" {
        let (patch, options) = patch::read(call, payload).await?;
        (Body::Patch(patch), options)
    } else {
        let body = payload.read().await?;
        let format = decode::format(call.headers)?;
        let options = WriteOptions::parse(call.query, "UpdateOptions", false)?;
        let expected = decode::Expected::of(&kind);
        let scale = {
            let served = call.app.kinds.load();
            decode::typed(&served.registry, &body, format, expected, options.field_validation, call.warnings)?
        };
        check_name(call, &scale)?;
        (Body::Scale(scale), options)
    };
    let changed = change(call, &kind, &body, &options).await?;
    let object: Value = serde_json::from_slice(&changed.json).unwrap_or_default();
    answer(call, &kind, StatusCode::OK, &object)
}

/// What is to be written.
enum Body {
    Scale(Value),
    Patch(Patch),
}

impl Body {
    /// The new Scale, with its owners, from the current one.
    fn produce(
        &self,
        call: &Call<'_>,
        kind: &Arc<Kind>,
        current: &Value,
        options: &WriteOptions,
    ) -> Result<Value, ApiError> {
        let call = &Call { kind, ..*call };
        let owners = Owners::of(call, SUBRESOURCE);
        let mut scale = match self {
            Body::Patch(Patch::Apply(config)) => return config.apply(call, &owners, Some(current), options),
            Body::Patch(patch) => patch::apply(call, patch, current, &kind.schema, options)?,
            Body::Scale(scale) => scale.clone(),
        };
        owners.update(Some(current), &mut scale, &ownership::manager(call.headers, options));
        Ok(scale)
    }
}

/// Changes the replicas of the object to those of the Scale that `body` makes from its current one.
async fn change(call: &Call<'_>, kind: &Arc<Kind>, body: &Body, options: &WriteOptions) -> Result<Changed, ApiError> {
    // The object is written by its own rules: its hooks see no subresource.
    let change = Change::untracked(options);
    guaranteed_update(call, &change, &mut |current| {
        let Some(current) = current else { return Err(ApiError::no_such_path()) };
        let replicas_at = |api_version: &str| {
            ownership::is_version_of(call, api_version).then(|| vec!["spec".to_owned(), "replicas".to_owned()])
        };
        let scaled =
            Scaled { managed: managed_of(&current.value), api_version: &call.kind.api_version, replicas: &replicas_at };
        let mut before = view(&current.value);
        put_managed(&mut before, scaled.to_scale());
        let mut scale = body.produce(call, kind, &before, options)?;
        check_name(call, &scale)?;
        create::match_namespace(call, &mut scale)?;
        let replicas = json::int(&scale, "spec.replicas").unwrap_or(0);
        if replicas < 0 {
            let error = FieldError::invalid("spec.replicas", &replicas.into(), "must be greater than or equal to 0");
            return Err(ApiError::invalid("autoscaling", "Scale", call.info.name, &[error]));
        }
        check_uid(call, &scale, &current.value)?;
        let owners = scaled.from_scale(managed_of(&scale));
        let mut object = current.value.clone();
        if let Some(spec) = json::child(&mut object, "spec") {
            json::set(spec, "replicas", replicas);
        }
        take_managed(&mut object);
        put_managed(&mut object, owners);
        // The client's version, where it gave one, is the condition; else any version will do.
        if let Some(meta) = json::child(&mut object, "metadata") {
            match json::text(&scale, "metadata.resourceVersion") {
                "" => json::carry_over(meta, json::get(&current.value, "metadata"), "resourceVersion"),
                version => json::set(meta, "resourceVersion", version),
            }
        }
        Ok(object)
    })
    .await
}

/// A Scale that names an object means that object.
fn check_uid(call: &Call<'_>, scale: &Value, object: &Value) -> Result<(), ApiError> {
    let (wanted, uid) = (json::text(scale, "metadata.uid"), json::text(object, "metadata.uid"));
    if wanted.is_empty() || wanted == uid {
        return Ok(());
    }
    let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}");
    let row = &call.kind.row;
    Err(ApiError::conflict(row.group, row.plural, call.info.name, why))
}

/// The Scale of an object.
fn view(object: &Value) -> Value {
    let mut metadata = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if json::is_set(object, &format!("metadata.{key}")) {
            json::set(&mut metadata, key, json::get(object, &format!("metadata.{key}")).clone());
        }
    }
    let mut spec = json!({});
    if let Some(replicas) = json::int(object, "spec.replicas").filter(|r| *r != 0) {
        json::set(&mut spec, "replicas", replicas);
    }
    let mut status = json!({"replicas": json::int(object, "status.replicas").unwrap_or(0)});
    let selector = selector_text(json::get(object, "spec.selector"));
    if !selector.is_empty() {
        json::set(&mut status, "selector", selector);
    }
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec, "status": status})
}

/// A selector in its text form; ReplicationController has plain labels.
fn selector_text(selector: &Value) -> String {
    let is_label_selector = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let selector =
        if is_label_selector || !selector.is_object() { selector.clone() } else { json!({"matchLabels": selector}) };
    Selector::from_label_selector(&selector).map(|s| s.to_string()).unwrap_or_default()
}

fn answer(call: &Call<'_>, kind: &Arc<Kind>, code: StatusCode, object: &Value) -> Result<Response, ApiError> {
    let mut out = Vec::with_capacity(512);
    codec::encode(&view(object), &kind.schema, &mut out);
    reply::object_of(call, kind, code, Bytes::from(out))
}

/// Scale is not a resource of its own, so it has no row in the registry.
fn scale_kind() -> Result<Arc<Kind>, ApiError> {
    let schema = kuorum_schema::catalog()
        .kind("autoscaling", "v1", "Scale")
        .ok_or_else(|| ApiError::internal("the catalog has no autoscaling/v1 Scale"))?;
    let row = KindRow { group: "autoscaling", version: "v1", kind: "Scale", plural: "scales", ..KindRow::NAMESPACED };
    Ok(Arc::new(Kind::new(row, schema)))
}
