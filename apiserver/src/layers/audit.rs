//! Audit stage: opens a request's record, and writes it when the answer is known.
//!
//! The record is at hand while its request is worked on, as the current one of the task ([`note`]): decoders,
//! authorization and admission add to it wherever they are. Without a policy there is none, and nothing is done.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{FutureExt, Stream};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use kuorum_audit::policy::Attributes;
use kuorum_audit::{Facts, Record, ResponseStatus, UserInfo};
use kuorum_schema::{protobuf, yaml};
use serde_json::Value;

use crate::app::App;
use crate::auth::{Peer, User};
use crate::body::Body;
use crate::request::info::RequestInfo;
use crate::status::ApiError;
use crate::verbs::Response;

/// A `Status` is smaller; larger answers are not looked at for one.
const STATUS_BYTES_MAX: usize = 64 * 1024;

tokio::task_local! {
    static RECORD: Arc<Record>;
}

/// What a record begins with.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub app: &'a Arc<App>,
    pub peer: &'a Peer,
    pub parts: &'a http::request::Parts,
    pub info: &'a RequestInfo<'a>,
    pub id: &'a HeaderValue,
}

/// Opens the record of a request; `None`: nothing is recorded of it. `user`: none was recognised.
pub fn open(asked: Asked<'_>, user: Option<&User>) -> Option<Arc<Record>> {
    let auditor = asked.app.auditor.get()?;
    let Asked { peer, parts, info, id, .. } = asked;
    let request = Attributes {
        user: user.map(|user| user.name.as_str()),
        groups: user.map_or(&[], |user| &user.groups),
        verb: info.verb,
        is_resource: info.is_resource,
        path: info.path,
        namespace: info.namespace,
        group: info.group,
        resource: info.resource,
        subresource: info.subresource,
        name: info.name,
    };
    let facts = || Facts {
        audit_id: String::from_utf8_lossy(id.as_bytes()).into_owned(),
        request_uri: parts.uri.path_and_query().map_or_else(String::new, |uri| uri.as_str().to_owned()),
        user: user.map(user_info).unwrap_or_default(),
        source_ips: source_ips(&parts.headers, peer),
        user_agent: text(&parts.headers, USER_AGENT.as_str()).to_owned(),
        api_version: info.version.to_owned(),
        received: SystemTime::now(),
    };
    auditor.begin(&request, facts).map(Arc::new)
}

/// Records a request that is refused before it has a user, or a deadline.
pub async fn turned_away(asked: Asked<'_>, error: &ApiError) {
    if let Some(record) = open(asked, None) {
        record.response_object(&error.status().to_json());
        record.turned_away(status_of(error)).await;
    }
}

/// Works on a request and records what came of it.
pub async fn recorded(
    record: Arc<Record>,
    info: &RequestInfo<'_>,
    work: impl Future<Output = Result<Response, ApiError>>,
) -> Result<Response, ApiError> {
    if !record.received().await {
        metrics::counter!("apiserver_audit_requests_rejected_total").increment(1);
        return Err(ApiError::internal("failed to store audit event"));
    }
    let work = std::panic::AssertUnwindSafe(RECORD.scope(record.clone(), work)).catch_unwind();
    match work.await {
        Ok(Ok(response)) => Ok(answered(record, info, response).await),
        Ok(Err(error)) => {
            if info.is_long_running() {
                record.response_started(error.code().as_u16()).await;
            }
            record.response_object(&error.status().to_json());
            record.completed(status_of(&error)).await;
            Err(error)
        }
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| s.to_string()).or_else(|| panic.downcast_ref().cloned());
            record.panicked(&text.unwrap_or_default()).await;
            std::panic::resume_unwind(panic)
        }
    }
}

async fn answered(record: Arc<Record>, info: &RequestInfo<'_>, mut response: Response) -> Response {
    let code = response.status().as_u16();
    if info.is_long_running() {
        record.response_started(code).await;
        if response.body().is_open_ended() {
            let body = std::mem::replace(response.body_mut(), Body::empty());
            *response.body_mut() = Body::stream(Recorded { body, record });
            return response;
        }
    }
    let wants_object = record.wants_response_object() && !info.is_long_running();
    let small = response.body().as_full().is_some_and(|body| body.len() <= STATUS_BYTES_MAX);
    let json = (wants_object || small).then(|| json_of_body(&mut response)).flatten();
    if let (true, Some(json)) = (wants_object, &json) {
        record.response_object(json);
    }
    record.completed(ResponseStatus::of_answer(code, json.as_deref())).await;
    response
}

/// The body as JSON, whatever the client asked for. The response stays as it is.
fn json_of_body(response: &mut Response) -> Option<Vec<u8>> {
    let mut parts: Vec<Bytes> = Vec::new();
    let mut body = std::mem::replace(response.body_mut(), Body::empty());
    if body.is_open_ended() {
        *response.body_mut() = body;
        return None;
    }
    while let Some(part) = body.next_ready() {
        parts.push(part);
    }
    let whole = parts.concat();
    *response.body_mut() = match <[Bytes; 1]>::try_from(parts) {
        Ok([one]) => Body::full(one),
        Err(parts) => Body::chunks(parts),
    };
    match text(response.headers(), CONTENT_TYPE.as_str()).split(';').next().unwrap_or_default().trim() {
        "application/json" => Some(whole),
        "application/yaml" => serde_json::to_vec(&yaml::to_json(&whole).ok()?.value).ok(),
        "application/vnd.kubernetes.protobuf" => json_of_protobuf(&whole),
        _ => None,
    }
}

fn json_of_protobuf(message: &[u8]) -> Option<Vec<u8>> {
    let envelope = protobuf::open(message).ok()?;
    let (api_version, kind) = (&envelope.type_meta.api_version, &envelope.type_meta.kind);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let schema = kuorum_schema::catalog().kind(group, version, kind)?;
    let mut value = protobuf::decode(envelope.raw, &schema).ok()?;
    value["kind"] = kind.as_str().into();
    value["apiVersion"] = api_version.as_str().into();
    serde_json::to_vec(&value).ok()
}

fn status_of(error: &ApiError) -> ResponseStatus {
    ResponseStatus::of_answer(error.code().as_u16(), Some(&error.status().to_json()))
}

/// A body that lasts: its record is complete when it ends, or when the client goes.
struct Recorded {
    body: Body,
    record: Arc<Record>,
}

impl Stream for Recorded {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let frame = std::task::ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), cx));
            match frame {
                None => return Poll::Ready(None),
                Some(Ok(frame)) => {
                    if let Ok(part) = frame.into_data() {
                        return Poll::Ready(Some(part.into_bytes()));
                    }
                }
                Some(Err(never)) => match never {},
            }
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.record.ended();
    }
}

/// Does something with the record of the request that this task works on, if there is one.
pub fn note(what: impl FnOnce(&Record)) {
    let _ = RECORD.try_with(|record| what(record));
}

/// Adds an annotation to the current request's record.
pub fn annotate(key: &str, value: &str) {
    note(|record| record.annotate(key, value));
}

/// Notes what the authorizers said: `allow` or `forbid`.
pub fn authorized(decision: &str, reason: &dyn std::fmt::Display) {
    note(|record| {
        record.annotate("authorization.k8s.io/decision", decision);
        record.annotate("authorization.k8s.io/reason", &reason.to_string());
    });
}

/// Notes the user that the current request is made as. `constraint`: the rule that allowed it, where it has a name.
pub fn impersonated(user: &User, constraint: &str) {
    note(|record| record.impersonated(user_info(user), constraint));
}

/// Notes the object that a request carries, decoded.
pub fn request_object(object: &Value, encode: impl FnOnce(&Value) -> Vec<u8>) {
    note(|record| {
        record.refer(&object["metadata"]);
        if record.wants_request_object() {
            record.request_object(&encode(object));
        }
    });
}

/// Notes a patch, or options, as they came: JSON, or YAML.
pub fn request_body(body: &[u8]) {
    note(|record| {
        if record.wants_request_object() {
            match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
                Ok(_) => record.request_object(body),
                Err(_) => {
                    let value = yaml::to_json(body).map(|document| document.value).unwrap_or_default();
                    record.request_object(&serde_json::to_vec(&value).unwrap_or_default());
                }
            }
        }
    });
}

fn user_info(user: &User) -> UserInfo {
    UserInfo {
        username: user.name.clone(),
        uid: user.uid.clone(),
        groups: user.groups.clone(),
        extra: user.extra.clone(),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Where a request came from: what proxies say, then the other end of the connection, which nobody can invent.
fn source_ips(headers: &HeaderMap, peer: &Peer) -> Vec<String> {
    let mut ips: Vec<std::net::IpAddr> =
        text(headers, "x-forwarded-for").split(',').filter_map(|part| part.trim().parse().ok()).collect();
    if let Ok(real) = text(headers, "x-real-ip").parse()
        && !ips.contains(&real)
    {
        ips.push(real);
    }
    let remote = peer.address.ip().to_canonical();
    if ips.last() != Some(&remote) {
        ips.push(remote);
    }
    ips.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_what_proxies_say_and_the_peer() {
        let peer = Peer::new(([10, 0, 0, 9], 1234).into(), Vec::new());
        // X-Forwarded-For, X-Real-Ip, what is recorded
        let table = [
            ("", "", "10.0.0.9"),
            ("1.1.1.1, 2.2.2.2", "", "1.1.1.1 2.2.2.2 10.0.0.9"),
            ("1.1.1.1", "1.1.1.1", "1.1.1.1 10.0.0.9"),
            ("1.1.1.1", "3.3.3.3", "1.1.1.1 3.3.3.3 10.0.0.9"),
            ("nonsense, 2.2.2.2", "also", "2.2.2.2 10.0.0.9"),
            ("10.0.0.9", "", "10.0.0.9"),
            ("::1", "", "::1 10.0.0.9"),
        ];
        for (forwarded, real, want) in table {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_static(forwarded));
            headers.insert("x-real-ip", HeaderValue::from_static(real));
            assert_eq!(source_ips(&headers, &peer).join(" "), want);
        }
    }
}
