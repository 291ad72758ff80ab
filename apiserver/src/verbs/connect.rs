//! Subresources that lead to a kubelet or into a pod: exec, attach, log, portforward, proxy.
//!
//! This server reaches no kubelet. It answers what can be said from the objects alone, in the real server's words,
//! and that the rest is unreachable.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONNECTION, UPGRADE};
use kuorum_kinds::field::{Errors, FieldError};
use kuorum_kinds::kind::Kind;
use kuorum_kinds::value as json;
use serde_json::Value;

use super::Response;
use crate::admission::{Attributes, Operation};
use crate::app::Call;
use crate::body::Body;
use crate::layers::authorization;
use crate::request::negotiate::{Accept, PRODUCES, Views};
use crate::request::query::Query;
use crate::routes::Request;
use crate::status::ApiError;

/// Answers a connect request.
pub async fn respond(request: &Request<'_>, kind: &Arc<Kind>) -> Result<Response, ApiError> {
    let info = request.info;
    if info.subresource == "log" {
        // Logs are text, errors are objects: both must be acceptable.
        let mut produces = PRODUCES.to_vec();
        produces.push("text/plain");
        Accept::routable(&request.parts.headers, &produces)?;
        Accept::negotiate(&request.parts.headers, None, Views::All)?;
    }
    if info.subresource == "log" {
        let errors = log_option_errors(request.query)?;
        if !errors.is_empty() {
            return Err(ApiError::invalid("", "PodLogOptions", info.name, &errors));
        }
    }
    if matches!(info.subresource, "exec" | "attach" | "portforward") && info.verb == "get" && opens_websocket(request) {
        // A GET that opens a WebSocket does what a POST does: reading is not permission enough.
        authorization::check_verb(&request.app.authorization, request.user, info, "create").await?;
    }
    if info.subresource != "log" {
        admit(request, kind).await?;
    }
    let name = if info.subresource == "proxy" { proxied_name(kind, info.name)? } else { info.name };
    let resource = request.app.resource(kind)?;
    super::store::fence(request.app, request.deadline).await?;
    let object =
        resource.get(info.namespace, name).ok_or_else(|| ApiError::not_found(kind.row.group, kind.row.plural, name))?;
    let object: Value = serde_json::from_slice(object.json()).unwrap_or_default();
    match (kind.row.plural, info.subresource) {
        ("pods", "log") => log(request, &object),
        ("pods", "exec" | "attach") => {
            container(request, &object)?;
            Err(host(request, &object))
        }
        ("pods", "portforward") => Err(host(request, &object)),
        ("pods", "proxy") if !json::is_set(&object, "status.podIP") => {
            Err(ApiError::bad_request("address not allowed"))
        }
        // Without endpoints the real server says that the service is not there.
        ("services", "proxy") if !has_endpoints(request, name) => Err(ApiError::not_found("", "services", name)),
        ("nodes", "proxy") if json::items(&object, "status.addresses").is_empty() => {
            Err(ApiError::plain_500("no preferred addresses found; known addresses: []"))
        }
        _ => Err(unreachable_kubelet()),
    }
}

fn opens_websocket(request: &Request<'_>) -> bool {
    let says = |name: &http::HeaderName, word: &str| {
        let values = request.parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
    };
    // Over HTTP/2 there is no upgrade: an extended CONNECT says which protocol it wants.
    says(&UPGRADE, "websocket") && says(&CONNECTION, "upgrade")
}

/// Asks admission about a stream. Plugins see no object: what is connected to is named by the path.
async fn admit(request: &Request<'_>, kind: &Arc<Kind>) -> Result<(), ApiError> {
    let Request { app, info, query, user, deadline, warnings, annotations, .. } = *request;
    let (headers, accept) = (&request.parts.headers, Accept::default());
    let call = Call { app, info, query, headers, accept, user, kind, deadline, warnings, annotations };
    let mut attributes = Attributes::new(&call, Operation::Connect, false);
    app.admission.admit(&mut attributes, None, None).await?;
    app.admission.validate(&attributes, None, None).await
}

/// The name in `[scheme:]name[:port]`, as proxies are addressed.
fn proxied_name<'a>(kind: &Kind, text: &'a str) -> Result<&'a str, ApiError> {
    let parts: Vec<&str> = text.split(':').collect();
    let name = match parts.as_slice() {
        [name] | [name, _] | ["" | "http" | "https", name, _] => *name,
        _ => "",
    };
    if name.is_empty() {
        return Err(ApiError::bad_request(format!("invalid {} request {text:?}", kind.row.singular)));
    }
    Ok(name)
}

fn has_endpoints(request: &Request<'_>, service: &str) -> bool {
    let slices = request.app.resource_named("", "v1", "endpoints");
    slices.is_ok_and(|(_, endpoints)| endpoints.get(request.info.namespace, service).is_some())
}

fn log(request: &Request<'_>, pod: &Value) -> Result<Response, ApiError> {
    container(request, pod)?;
    if json::text(pod, "spec.nodeName").is_empty() {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    Err(host(request, pod))
}

fn log_option_errors(query: &Query<'_>) -> Result<Errors, ApiError> {
    let mut errors = Errors::new();
    let positive = |key: &str, errors: &mut Errors| -> Result<(), ApiError> {
        if let Some(value) = query.integer(key)?.filter(|v| *v < 1) {
            errors.push(FieldError::invalid(key, &value.into(), "must be greater than 0"));
        }
        Ok(())
    };
    if let Some(value) = query.integer("tailLines")?.filter(|v| *v < 0) {
        errors.push(FieldError::invalid("tailLines", &value.into(), "must be greater than or equal to 0"));
    }
    positive("limitBytes", &mut errors)?;
    if query.get("sinceSeconds").is_some() && query.get("sinceTime").is_some() {
        errors.push(FieldError::forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    } else {
        positive("sinceSeconds", &mut errors)?;
    }
    if query.get("stream").is_some() {
        errors.push(FieldError::forbidden("stream", "may not be specified"));
    }
    Ok(errors)
}

/// The container that is meant: named, or the only one.
fn container(request: &Request<'_>, pod: &Value) -> Result<(), ApiError> {
    let name = request.info.name;
    let names: Vec<&str> = ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| json::items(json::get(pod, "spec"), list))
        .map(|c| json::text(c, "name"))
        .collect();
    let wanted = request.query.text("container");
    if !wanted.is_empty() {
        if names.contains(&wanted) {
            return Ok(());
        }
        return Err(ApiError::bad_request(format!("container {wanted} is not valid for pod {name}")));
    }
    let default = json::get(pod, "metadata.annotations")
        .get("kubectl.kubernetes.io/default-container")
        .and_then(Value::as_str)
        .is_some_and(|d| names.contains(&d));
    if default || names.len() <= 1 {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "a container name must be specified for pod {name}, choose one of: [{}]",
        names.join(" ")
    )))
}

/// Why the pod's host cannot be reached.
fn host(request: &Request<'_>, pod: &Value) -> ApiError {
    let node = json::text(pod, "spec.nodeName");
    if node.is_empty() {
        return ApiError::bad_request(format!("pod {} does not have a host assigned", request.info.name));
    }
    let known = request.app.resource_named("", "v1", "nodes").is_ok_and(|(_, nodes)| nodes.get("", node).is_some());
    if !known {
        // The real server names the node as a pod here.
        return ApiError::not_found("", "pods", node);
    }
    unreachable_kubelet()
}

fn unreachable_kubelet() -> ApiError {
    ApiError::new(
        StatusCode::NOT_IMPLEMENTED,
        "NotImplemented",
        "this server has no connection to kubelets: exec, attach, log, port-forward and proxy are not available",
    )
}
