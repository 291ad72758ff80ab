//! The one place that tells what happens to a request, first to last.
//!
//! ```text
//! panic guard → audit id → request info → deadline → authentication → in-flight limits → authorization
//!   → routes (verbs, discovery, health)
//! ← metrics ← compression ← warnings and cache headers
//! ```
//!
//! Stages are functions, not boxed services: a request pays for what it uses.

use std::sync::Arc;
use std::time::Instant;

use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, Request, StatusCode};

use crate::app::{App, Warnings};
use crate::auth::Peer;
use crate::body::{Body, Payload};
use crate::request::info::{RequestInfo, request_info};
use crate::request::negotiate::Accept;
use crate::request::query::{Query, unescape};
use crate::routes;
use crate::status::ApiError;
use crate::verbs::Response;

use super::{audit_id, authorization, compression, deadline, panic_guard, respond, warnings};

static NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache, private");

/// Answers one request. Never fails: what goes wrong is an answer too.
pub async fn handle(app: &Arc<App>, peer: &Peer, request: Request<Payload>) -> Response {
    let (parts, payload) = request.into_parts();
    let id = audit_id::audit_id(&parts.headers);
    let work = answer(app, peer, &parts, payload);
    let mut response = panic_guard::guard(work, |e| respond::refusal(e, &Accept::default())).await;
    compression::compress(&parts.headers, &mut response);
    let headers = response.headers_mut();
    headers.insert(&audit_id::AUDIT_ID, id);
    headers.entry(CACHE_CONTROL).or_insert_with(|| NO_CACHE.clone());
    if parts.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

/// From request info to the route, and what every answer gets on its way back.
async fn answer(app: &Arc<App>, peer: &Peer, parts: &http::request::Parts, payload: Payload) -> Response {
    let started = Instant::now();
    let Some(path) = unescape(parts.uri.path(), false) else {
        return respond::text(StatusCode::BAD_REQUEST, "400 Bad Request\n");
    };
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    let info = request_info(&parts.method, &path, &query);
    let texts = Warnings::default();
    let routed = admit_and_route(app, peer, parts, payload, &query, &info, &texts).await;
    let mut response = routed
        .unwrap_or_else(|error| respond::refusal(&error, &Accept::for_errors(&parts.headers, query.get("pretty"))));
    let texts = texts.take();
    if !texts.is_empty() {
        warnings::append(response.headers_mut(), &texts);
    }
    // A watch is recorded when it begins; how long it lasts says nothing about the server.
    let known =
        info.is_resource && app.kinds.load().registry.resource(info.group, info.version, info.resource).is_some();
    app.measure.record(&info, known, response.status(), started.elapsed());
    response
}

async fn admit_and_route(
    app: &Arc<App>,
    peer: &Peer,
    parts: &http::request::Parts,
    payload: Payload,
    query: &Query<'_>,
    info: &RequestInfo<'_>,
    texts: &Warnings,
) -> Result<Response, ApiError> {
    let deadline = deadline::deadline(query, app.config.request_timeout)?;
    let user = app.authenticator.user(peer, &parts.headers)?;
    let _permit = app.in_flight.enter(&user, info)?;
    authorization::check(app.authorizer.as_ref(), &user, info)?;
    let request = routes::Request { app, peer, parts, query, info, user: &user, deadline, warnings: texts };
    deadline::within(info, deadline, routes::route(request, payload)).await
}
