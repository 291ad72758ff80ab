//! The scale subresource: an `autoscaling/v1` Scale as a view of an object's replicas.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use kuorum_kinds::field::FieldError;
use kuorum_kinds::kind::Kind;
use kuorum_kinds::row::KindRow;
use kuorum_kinds::value as json;
use kuorum_schema::codec;
use kuorum_schema::selector::Selector;
use serde_json::{Value, json};

use super::update::{Change, Changed, check_name, guaranteed_update};
use super::{Response, create, decode, patch, reply};
use crate::app::Call;
use crate::body::Payload;
use crate::request::options::WriteOptions;
use crate::status::ApiError;
use crate::verbs::store::Objects;

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
    let changed = if verb == "patch" {
        let (patch, options) = patch::read(call, payload).await?;
        let apply = |scale: &Value| patch::apply(call, &patch, scale, &kind.schema, &options);
        change(call, &options, &apply).await?
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
        change(call, &options, &|_| Ok(scale.clone())).await?
    };
    let object: Value = serde_json::from_slice(&changed.json).unwrap_or_default();
    answer(call, &kind, StatusCode::OK, &object)
}

/// Changes the replicas of the object to those of the Scale that `produce` makes from its current one.
async fn change(
    call: &Call<'_>,
    options: &WriteOptions,
    produce: &(dyn Fn(&Value) -> Result<Value, ApiError> + Send + Sync),
) -> Result<Changed, ApiError> {
    // The object is written by its own rules: its hooks see no subresource.
    let change = Change { options, subresource: "", may_create: false, uid: "" };
    guaranteed_update(call, &change, &mut |current| {
        let Some(current) = current else { return Err(ApiError::no_such_path()) };
        let mut scale = produce(&view(&current.value))?;
        check_name(call, &scale)?;
        create::match_namespace(call, &mut scale)?;
        let replicas = json::int(&scale, "spec.replicas").unwrap_or(0);
        if replicas < 0 {
            let error = FieldError::invalid("spec.replicas", &replicas.into(), "must be greater than or equal to 0");
            return Err(ApiError::invalid("autoscaling", "Scale", call.info.name, &[error]));
        }
        let mut object = current.value.clone();
        if let Some(spec) = json::child(&mut object, "spec") {
            json::set(spec, "replicas", replicas);
        }
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
