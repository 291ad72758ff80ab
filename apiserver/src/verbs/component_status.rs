//! ComponentStatus: a deprecated kind that is stored nowhere. What this server can say of is its store.

use bytes::Bytes;
use http::StatusCode;
use kuorum_schema::codec;
use kuorum_schema::selector::{FieldSelector, Selector};
use serde_json::{Value, json};

use super::{Response, list, reply};
use crate::app::Call;
use crate::layers::respond;
use crate::object::table;
use crate::request::negotiate::View;
use crate::request::options::ListOptions;
use crate::status::ApiError;
use crate::tls::unix_now;

/// The store, under the name by which clients know it.
const STORE: &str = "etcd-0";

/// Answers `get` and `list`.
pub fn respond(call: &Call<'_>, verb: &str) -> Result<Response, ApiError> {
    let status = status(call);
    if verb == "get" {
        if call.info.name != STORE {
            let name = call.info.name;
            // The real server names the kind, not the resource, here.
            return Err(ApiError::not_found("", "componentstatus", name));
        }
        return reply::object(call, StatusCode::OK, encode(call, &status));
    }
    list::check_view(call)?;
    let options = ListOptions::parse(call.query)?;
    let labels = Selector::parse(&options.label_selector).map_err(|e| ApiError::bad_request(e.to_string()))?;
    let fields = FieldSelector::parse(&options.field_selector).map_err(|e| ApiError::bad_request(e.to_string()))?;
    let selected = labels.matches(&Value::Null) && fields.matches(|f| if f == "metadata.name" { STORE } else { "" });
    let objects: Vec<Value> = if selected { vec![status] } else { Vec::new() };
    let mut out = Vec::new();
    match call.accept.view {
        View::Table => {
            let include = table::Include::parse(call.query.text("includeObject"))?;
            table::head_with(call.accept.view_version, b"{}", Some(call.kind), &mut out);
            for (at, object) in objects.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                table::row(call.kind, &encode(call, object), call.accept.view_version, include, unix_now(), &mut out);
            }
            out.extend_from_slice(b"]}");
        }
        _ => {
            let items: Vec<Value> = objects.into_iter().map(without_kind).collect();
            let body = json!({"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": items});
            out = serde_json::to_vec(&body).unwrap_or_default();
        }
    }
    Ok(respond::json(StatusCode::OK, out, &call.accept))
}

fn status(call: &Call<'_>) -> Value {
    let (healthy, message) = if call.app.store.ready() { ("True", "ok") } else { ("False", "not ready") };
    json!({
        "apiVersion": "v1", "kind": "ComponentStatus", "metadata": {"name": STORE},
        "conditions": [{"type": "Healthy", "status": healthy, "message": message}],
    })
}

fn without_kind(mut object: Value) -> Value {
    if let Value::Object(map) = &mut object {
        map.remove("apiVersion");
        map.remove("kind");
    }
    object
}

fn encode(call: &Call<'_>, object: &Value) -> Bytes {
    let mut out = Vec::new();
    codec::encode(object, &call.kind.schema, &mut out);
    out.into()
}
