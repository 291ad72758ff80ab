//! `/openapi/v2` and `/openapi/v3`: built on first use, off the request threads, then kept.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, EXPIRES, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use kuorum_kinds::kind::Kind;
use kuorum_kinds::registry::Registry;
use kuorum_kinds::row::Scope;
use kuorum_schema::openapi;

use super::{etag, hash, with_etag};
use crate::body::Body;
use crate::layers::respond;
use crate::routes::Request;
use crate::status::ApiError;
use crate::verbs::Response;

/// The OpenAPI documents of one registry. Cheap to clone.
#[derive(Clone)]
pub struct Documents(Arc<Inner>);

struct Inner {
    resources: Vec<openapi::Resource>,
    v2: OnceLock<Document>,
    v2_protobuf: OnceLock<Document>,
    index: OnceLock<Document>,
    /// By path (`apis/apps/v1`); `None`: there is nothing at that path.
    v3: parking_lot::Mutex<BTreeMap<String, Option<Document>>>,
}

#[derive(Clone)]
struct Document {
    body: Bytes,
    etag: String,
}

impl Document {
    fn new(body: Vec<u8>) -> Self {
        Document { etag: etag(&body), body: Bytes::from(body) }
    }
}

/// Paths of v3 documents are bounded by what is served; this stops invented ones from being remembered.
const REMEMBERED_PATHS_MAX: usize = 512;

impl Documents {
    pub fn of(registry: &Registry) -> Self {
        Documents(Arc::new(Inner {
            resources: registry.iter().map(|k| resource(k)).collect(),
            v2: OnceLock::new(),
            v2_protobuf: OnceLock::new(),
            index: OnceLock::new(),
            v3: parking_lot::Mutex::default(),
        }))
    }

    fn v2(&self) -> Document {
        self.0.v2.get_or_init(|| Document::new(openapi::v2_document(&self.0.resources))).clone()
    }

    fn v2_protobuf(&self) -> Document {
        self.0.v2_protobuf.get_or_init(|| Document::new(openapi::v2_protobuf(&self.0.resources))).clone()
    }

    fn index(&self) -> Document {
        self.0.index.get_or_init(|| Document::new(openapi::v3_index(&self.0.resources))).clone()
    }

    fn v3(&self, path: &str) -> Option<Document> {
        if let Some(known) = self.0.v3.lock().get(path) {
            return known.clone();
        }
        let document = openapi::v3_document(&self.0.resources, path).map(Document::new);
        let mut all = self.0.v3.lock();
        if document.is_some() || all.len() < REMEMBERED_PATHS_MAX {
            all.insert(path.to_owned(), document.clone());
        }
        document
    }
}

fn resource(kind: &Kind) -> openapi::Resource {
    let row = &kind.row;
    let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect();
    openapi::Resource {
        group: row.group.to_owned(),
        version: row.version.to_owned(),
        kind: row.kind.to_owned(),
        plural: row.plural.to_owned(),
        namespaced: row.scope == Scope::Namespaced,
        verbs: words(row.verbs),
        subresources: row
            .subresources
            .iter()
            .map(|s| {
                let (group, version, body) = s.kind.unwrap_or((row.group, row.version, row.kind));
                openapi::Subresource {
                    name: s.name.to_owned(),
                    group: group.to_owned(),
                    version: version.to_owned(),
                    kind: body.to_owned(),
                    verbs: words(s.verbs),
                }
            })
            .collect(),
        schema: None,
    }
}

/// Answers a path under `/openapi`. Any method is answered, as by the real server.
pub async fn respond(request: &Request<'_>, path: &str) -> Result<Response, ApiError> {
    let headers = &request.parts.headers;
    let Some(form) = accepted(headers, path) else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_ACCEPTABLE;
        return Ok(response);
    };
    let documents = request.app.kinds.load().documents.openapi.clone();
    let wanted = path.to_owned();
    // Building a document takes milliseconds of CPU: not on a thread that others wait for.
    let built = tokio::task::spawn_blocking(move || match wanted.as_str() {
        "/openapi/v2" if form == Form::Protobuf => Some(documents.v2_protobuf()),
        "/openapi/v2" => Some(documents.v2()),
        "/openapi/v3" => Some(documents.index()),
        other => documents.v3(other.strip_prefix("/openapi/v3/").unwrap_or(other)),
    })
    .await
    .map_err(ApiError::internal)?;
    let Some(document) = built else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    // The index has no content type of its own in the real server; Go guesses one.
    let content_type = match form {
        Form::Protobuf => V2_PROTOBUF_SENT,
        Form::Json if path == "/openapi/v3" => "text/plain; charset=utf-8",
        Form::Json => "application/json",
    };
    let mut response = with_etag(headers, &document.etag, document.body.clone(), content_type);
    if let Some(given) = request.query.get("hash").filter(|_| path.starts_with("/openapi/v3/")) {
        let right = hash(&document.body);
        if given != right {
            return Ok(redirect(path, &right));
        }
        // A hashed address never changes its content.
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        headers.insert(EXPIRES, HeaderValue::from_static("Thu, 31 Dec 2099 23:59:59 GMT"));
    }
    Ok(response)
}

fn redirect(path: &str, hash: &str) -> Response {
    let mut response = respond::text(StatusCode::MOVED_PERMANENTLY, "");
    if let Ok(value) = HeaderValue::from_str(&format!("{path}?hash={hash}")) {
        response.headers_mut().insert(LOCATION, value);
    }
    response
}

/// What a client says when it wants version 2 in protobuf: kubectl before 1.27 takes nothing else.
const V2_PROTOBUF_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// What the real server calls its answer (`@` is not allowed in a content type).
const V2_PROTOBUF_SENT: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The form of a document.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Json,
    Protobuf,
}

/// The first form in the request's `Accept` that is served; without one, JSON.
fn accepted(headers: &HeaderMap, path: &str) -> Option<Form> {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).filter(|t| !t.is_empty());
    let Some(accept) = accept else { return Some(Form::Json) };
    accept.split(',').find_map(|clause| match clause.split(';').next().unwrap_or("").trim() {
        "application/json" | "application/*" | "*/*" => Some(Form::Json),
        V2_PROTOBUF_ASKED | V2_PROTOBUF_SENT if path == "/openapi/v2" => Some(Form::Protobuf),
        _ => None,
    })
}
