//! The one place that tells what happens to a request, first to last.
//!
//! ```text
//! audit id → edge (drain, other origins) → panic guard → request info → deadline → authentication → audit
//!   → impersonation → priority and fairness → authorization → routes (verbs, discovery, health)
//! ← audit ← metrics ← compression ← edge ← warnings and cache headers
//! ```
//!
//! Stages are functions, not boxed services: a request pays for what it uses.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, Request, StatusCode};

use crate::admission::Annotations;
use crate::app::{App, Warnings};
use crate::auth::Peer;
use crate::auth::credentials::Credentials;
use crate::body::{Body, Payload};
use crate::request::info::request_info;
use crate::request::negotiate::Accept;
use crate::request::query::{Query, unescape};
use crate::routes;
use crate::status::ApiError;
use crate::verbs::Response;

use super::fairness::Classified;
use super::overload::Entering;
use super::{audit, audit_id, authorization, compression, deadline, impersonation, panic_guard, respond, warnings};

static NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache, private");

/// Answers one request. Never fails: what goes wrong is an answer too.
pub async fn handle(app: &Arc<App>, peer: &Peer, request: Request<Payload>) -> Response {
    let (mut parts, payload) = request.into_parts();
    let credentials = Credentials::take(&mut parts.headers, app.authenticator.header_names());
    let id = audit_id::audit_id(&parts.headers);
    let mut response = match app.edge.answer(&parts) {
        Some(response) => response,
        None => {
            let asked = Incoming { app, peer, parts: &parts, credentials: &credentials, id: &id };
            let work = answer(asked, payload);
            panic_guard::guard(work, |e| respond::refusal(e, &Accept::default())).await
        }
    };
    compression::compress(&parts.headers, &mut response);
    let headers = response.headers_mut();
    app.edge.finish(&parts.headers, headers);
    headers.insert(&audit_id::AUDIT_ID, id);
    headers.entry(CACHE_CONTROL).or_insert_with(|| NO_CACHE.clone());
    if parts.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

/// A request whose credentials were taken off.
#[derive(Clone, Copy)]
struct Incoming<'a> {
    app: &'a Arc<App>,
    peer: &'a Peer,
    parts: &'a http::request::Parts,
    credentials: &'a Credentials,
    id: &'a HeaderValue,
}

/// From request info to the route, and what every answer gets on its way back.
async fn answer(incoming: Incoming<'_>, payload: Payload) -> Response {
    let Incoming { app, peer, parts, credentials, id } = incoming;
    let started = Instant::now();
    let Some(path) = unescape(parts.uri.path(), false) else {
        return respond::text(StatusCode::BAD_REQUEST, "400 Bad Request\n");
    };
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    let info = request_info(&parts.method, &path, &query);
    let notes = Notes::default();
    let asked = audit::Asked { app, peer, parts, info: &info, id };
    let routed = admit_and_route(asked, credentials, payload, &query, &notes).await;
    let mut response = routed
        .unwrap_or_else(|error| respond::refusal(&error, &Accept::for_errors(&parts.headers, query.get("pretty"))));
    if let Some(classified) = notes.classified.get() {
        classified.tell(response.headers_mut());
    }
    let texts = notes.warnings.take();
    if !texts.is_empty() {
        warnings::append(response.headers_mut(), &texts);
    }
    // A watch is recorded when it begins; how long it lasts says nothing about the server.
    let known =
        info.is_resource && app.kinds.load().registry.resource(info.group, info.version, info.resource).is_some();
    app.measure.record(&info, known, response.status(), started.elapsed());
    response
}

/// What a request's answer says besides the answer.
#[derive(Default)]
struct Notes {
    warnings: Warnings,
    /// For the audit event.
    annotations: Annotations,
    /// Unset for a request that is not classified, or is refused before.
    classified: OnceLock<Classified>,
}

/// From the user to the audited answer.
async fn admit_and_route(
    asked: audit::Asked<'_>,
    credentials: &Credentials,
    payload: Payload,
    query: &Query<'_>,
    notes: &Notes,
) -> Result<Response, ApiError> {
    let audit::Asked { app, peer, parts, info, .. } = asked;
    let admitted = match deadline::deadline(query, app.config.request_timeout) {
        Ok(deadline) => app.authenticator.user(peer, credentials, info.path).await.map(|user| (user, deadline)),
        Err(error) => Err(error),
    };
    let (caller, deadline) = match admitted {
        Ok(admitted) => admitted,
        Err(error) => {
            Box::pin(audit::turned_away(asked, &error)).await;
            return Err(error);
        }
    };
    let entering = Entering { app, parts, query, info, user: &caller.user, deadline };
    match audit::open(asked, Some(&caller.user)) {
        None => serve_as(asked, credentials, entering, payload, notes).await,
        Some(record) => {
            caller.annotations.iter().for_each(|(key, value)| record.annotate(key, value));
            Box::pin(audit::recorded(record, info, serve_as(asked, credentials, entering, payload, notes))).await
        }
    }
}

/// As the caller, or as whom the caller may and wants to be.
async fn serve_as(
    asked: audit::Asked<'_>,
    credentials: &Credentials,
    entering: Entering<'_>,
    payload: Payload,
    notes: &Notes,
) -> Result<Response, ApiError> {
    let wanted = credentials.impersonation();
    if wanted.is_none() {
        return serve(asked, &entering, payload, notes).await;
    }
    Box::pin(async {
        match impersonation::impersonate(asked.app, entering.user, &wanted, asked.info).await? {
            None => serve(asked, &entering, payload, notes).await,
            Some(other) => {
                audit::impersonated(&other.user, other.constraint);
                let user = Arc::new(other.user);
                serve(asked, &Entering { user: &user, ..entering }, payload, notes).await
            }
        }
    })
    .await
}

/// From the limits to the route.
async fn serve(
    asked: audit::Asked<'_>,
    entering: &Entering<'_>,
    payload: Payload,
    notes: &Notes,
) -> Result<Response, ApiError> {
    let audit::Asked { app, peer, parts, info, .. } = asked;
    let Entering { query, user, deadline, .. } = *entering;
    let entered = app.overload.enter(entering).await;
    if let Some(classified) = entered.classified {
        let _ = notes.classified.set(classified);
    }
    let permit = match entered.outcome {
        Ok(permit) => permit,
        Err(refusal) => return Ok(refusal),
    };
    authorization::check(&app.authorization, user, info, query).await?;
    let request = routes::Request {
        app,
        peer,
        parts,
        query,
        info,
        user,
        deadline,
        warnings: &notes.warnings,
        annotations: &notes.annotations,
    };
    let routed = deadline::within(info, deadline, routes::route(request, payload)).await;
    audit::note(|record| notes.annotations.take().iter().for_each(|(key, value)| record.annotate(key, value)));
    let mut response = routed?;
    permit.answered(response.body_mut(), deadline);
    Ok(response)
}
