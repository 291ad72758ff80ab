//! Routes: from request info to the handler, with the 404, 405 and 406 of a path that leads elsewhere.
//!
//! What exists follows from the rows: a path is served if its kind has a verb for it, in any method.

use std::sync::Arc;

use http::{Method, StatusCode};
use kuorum_kinds::kind::Kind;
use kuorum_kinds::row::{Scope, Subresource, SubresourceRole};
use tokio::time::Instant;

use crate::admission::Annotations;
use crate::app::{App, Call, Warnings};
use crate::auth::{Peer, User};
use crate::body::Payload;
use crate::discovery;
use crate::health;
use crate::layers::{fairness, respond};
use crate::request::info::RequestInfo;
use crate::request::negotiate::{Accept, PRODUCES, PRODUCES_LIST, Views};
use crate::request::query::Query;
use crate::status::ApiError;
use crate::verbs::{self, Response};

/// An admitted request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub app: &'a Arc<App>,
    pub peer: &'a Peer,
    pub parts: &'a http::request::Parts,
    pub query: &'a Query<'a>,
    pub info: &'a RequestInfo<'a>,
    pub user: &'a User,
    pub deadline: Instant,
    pub warnings: &'a Warnings,
    pub annotations: &'a Annotations,
}

/// Answers an admitted request.
pub async fn route(request: Request<'_>, payload: Payload) -> Result<Response, ApiError> {
    if request.info.is_resource { resource(request, payload).await } else { Box::pin(document(request)).await }
}

/// Everything that is not a resource.
async fn document(request: Request<'_>) -> Result<Response, ApiError> {
    let path = request.info.path;
    let trimmed = path.trim_end_matches('/');
    let method = &request.parts.method;
    if let Some(response) = health::respond(request.app, trimmed, request.query) {
        return Ok(response);
    }
    match trimmed {
        "" => discovery::index(&request),
        "/version" => {
            if method != Method::GET {
                return Err(ApiError::method_not_allowed());
            }
            discovery::version(&request)
        }
        "/metrics" => Ok(health::metrics(request.app)),
        _ if trimmed.starts_with(fairness::DEBUG_PREFIX) => Ok(fairness::debug(&request)),
        discovery::openid::CONFIGURATION_PATH | discovery::openid::KEYS_PATH => {
            discovery::openid::respond(&request, trimmed).unwrap_or_else(|| Ok(respond::page_not_found()))
        }
        "/openapi/v2" | "/openapi/v3" => discovery::openapi::respond(&request, trimmed).await,
        _ if trimmed.starts_with("/openapi/v3/") => discovery::openapi::respond(&request, trimmed).await,
        "/api" | "/apis" => discovery::root(&request, trimmed),
        _ if trimmed.starts_with("/api/") || trimmed.starts_with("/apis/") => discovery::group(&request, trimmed),
        _ => Ok(respond::page_not_found()),
    }
}

/// How a handler is found: by verb for objects, by role for subresources.
async fn resource(request: Request<'_>, payload: Payload) -> Result<Response, ApiError> {
    let Request { app, parts, query, info, user, deadline, warnings, annotations, .. } = request;
    let method = &parts.method;
    let kind = {
        let served = app.kinds.load();
        match served.registry.resource(info.group, info.version, info.resource) {
            Some(kind) => kind.clone(),
            None if info.group.is_empty() && info.prefix == "apis" => return Ok(respond::page_not_found()),
            None if served.registry.group(info.group).is_none() => return Ok(respond::page_not_found()),
            None => return Err(ApiError::no_such_path()),
        }
    };
    if (info.prefix == "api") != info.group.is_empty() || info.verb == "proxy" {
        return Err(ApiError::no_such_path());
    }
    let target = find(&kind, info)?;
    let connects = matches!(target, Target::Subresource(s) if s.role == SubresourceRole::Connect);
    // A proxy passes every method on.
    let method = if connects && matches!(*method, Method::HEAD | Method::OPTIONS) { &Method::GET } else { method };
    let allowed = verb_of(method, info).filter(|v| target.allows(v));
    if !kind.row.deprecation.is_empty() && (allowed.is_some() || info.verb == "watch") {
        warnings.add(kind.row.deprecation);
    }
    let verb = match allowed {
        Some(verb) => verb,
        None if info.verb == "watch" && kind.row.verbs.contains(&"list") => {
            let text = format!("watch is not supported on resources of kind {:?}", kind.row.plural);
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", text).about(
                kind.row.group,
                kind.row.plural,
                "",
            ));
        }
        None => return Err(ApiError::method_not_allowed()),
    };
    let reading_collection = info.name.is_empty() && *method == Method::GET;
    let (produces, views) = match target {
        Target::Subresource(s) if s.role == SubresourceRole::Connect => {
            return Box::pin(verbs::connect::respond(&request, &kind)).await;
        }
        Target::Collection(_) if reading_collection => (PRODUCES_LIST, Views::All),
        _ if !kind.row.verbs.contains(&"get") => (PRODUCES, Views::NoTable),
        _ => (PRODUCES, Views::All),
    };
    Accept::routable(&parts.headers, produces)?;
    let accept = Accept::negotiate(&parts.headers, query.get("pretty"), views)?;
    // Until the first load is complete, the caches would answer as if there were no objects.
    if !app.store.ready() && tokio::time::timeout_at(deadline, app.store.wait_ready()).await.is_err() {
        return Err(ApiError::unavailable("the store's objects are not loaded yet".to_owned(), 1));
    }
    let headers = &parts.headers;
    let call = Call { app, info, query, headers, accept, user, kind: &kind, deadline, warnings, annotations };
    if info.name == "." || info.name == ".." {
        return Err(ApiError::bad_request(format!("Name parameter invalid: {0:?}: may not be '{0}'", info.name)));
    }
    if let Target::Subresource(subresource) = target {
        return Box::pin(verbs::subresource::handle(&call, subresource, verb, payload)).await;
    }
    // Boxed, all but the smallest: a request's future is as large as its largest branch, and is moved several times.
    if kind.row.kind == "ComponentStatus" {
        return verbs::component_status::respond(&call, verb);
    }
    match verb {
        "get" => verbs::get::get(&call).await,
        "list" => Box::pin(verbs::list::list(&call)).await,
        "watch" => Box::pin(verbs::watch::watch(&call)).await,
        "create" => Box::pin(verbs::create::create(&call, payload)).await,
        "update" => Box::pin(verbs::update::update(&call, payload)).await,
        "patch" => Box::pin(verbs::patch::patch(&call, payload)).await,
        "delete" => Box::pin(verbs::delete::delete(&call, payload)).await,
        "deletecollection" => Box::pin(verbs::delete_collection::delete_collection(&call, payload)).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// What a path names.
#[derive(Clone, Copy)]
enum Target<'a> {
    /// All objects, of a namespace or of the cluster; these verbs are served on it.
    Collection(CollectionVerbs<'a>),
    Object(&'a Kind),
    Subresource(&'a Subresource),
}

#[derive(Clone, Copy)]
struct CollectionVerbs<'a> {
    kind: &'a Kind,
    /// A namespaced kind without its namespace: only lists and watches.
    all_namespaces: bool,
}

impl Target<'_> {
    fn allows(&self, verb: &str) -> bool {
        match self {
            Target::Collection(c) => c.allows(verb),
            Target::Object(kind) => {
                matches!(verb, "get" | "update" | "patch" | "delete" | "watch") && kind.row.verbs.contains(&verb)
            }
            Target::Subresource(s) => s.verbs.contains(&verb),
        }
    }
}

impl CollectionVerbs<'_> {
    fn allows(&self, verb: &str) -> bool {
        self.kind.row.verbs.contains(&verb)
            && match verb {
                "list" | "watch" => true,
                "create" | "deletecollection" => !self.all_namespaces,
                _ => false,
            }
    }

    fn exists(&self) -> bool {
        ["list", "watch", "create", "deletecollection"].iter().any(|v| self.allows(v))
    }
}

/// The target of a path, 404 where no method would be served.
fn find<'a>(kind: &'a Kind, info: &RequestInfo<'_>) -> Result<Target<'a>, ApiError> {
    let missing = || Err(ApiError::no_such_path());
    let namespaced = kind.row.scope == Scope::Namespaced;
    let is_namespace = kind.row.group.is_empty() && kind.row.plural == "namespaces";
    // A namespace is named by the segment that elsewhere names the scope.
    let names_itself = is_namespace && info.namespace == info.name;
    if !namespaced && !info.namespace.is_empty() && !names_itself {
        return missing();
    }
    if info.name.is_empty() {
        let all_namespaces = namespaced && info.namespace.is_empty();
        let verbs = CollectionVerbs { kind, all_namespaces };
        return if verbs.exists() { Ok(Target::Collection(verbs)) } else { missing() };
    }
    if namespaced && info.namespace.is_empty() {
        return missing();
    }
    if info.subresource.is_empty() {
        let target = Target::Object(kind);
        return if ["get", "update", "patch", "delete"].iter().any(|v| target.allows(v)) {
            Ok(target)
        } else {
            missing()
        };
    }
    match kind.row.subresources.iter().find(|s| s.name == info.subresource) {
        Some(s) if info.rest.is_empty() || s.role == SubresourceRole::Connect => Ok(Target::Subresource(s)),
        _ => missing(),
    }
}

/// The API verb of a method on a target; `None` for methods that the API does not use.
fn verb_of(method: &Method, info: &RequestInfo<'_>) -> Option<&'static str> {
    Some(match *method {
        // `/watch/` paths and `?watch` were told apart by request info; on one object a watch parameter is ignored.
        Method::GET if !info.subresource.is_empty() => "get",
        Method::GET => info.verb,
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => info.verb,
        _ => return None,
    })
}

/// 200 with a document that is ready.
pub fn ok(bytes: impl Into<bytes::Bytes>, content_type: &'static str) -> Response {
    respond::bytes_of(StatusCode::OK, bytes, content_type)
}
