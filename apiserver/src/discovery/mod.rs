//! Discovery: what is served, derived from the registry. Documents are made once per registry and then shared.

pub mod aggregated;
pub mod groups;
pub mod openapi;
pub mod openid;

use std::collections::HashMap;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use kuorum_kinds::registry::Registry;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::layers::respond;
use crate::request::negotiate::{Accept, Format, Views};
use crate::routes::Request;
use crate::status::ApiError;
use crate::verbs::Response;

/// The documents of one registry, as compact JSON.
pub struct Documents {
    /// `/apis`
    group_list: Bytes,
    /// `/apis/<group>` and `/apis/<group>/<version>`, `/api/v1`.
    by_path: HashMap<String, Bytes>,
    aggregated_core: aggregated::Document,
    aggregated_groups: aggregated::Document,
    /// `/`
    index: Bytes,
    pub openapi: openapi::Documents,
}

impl Documents {
    pub fn of(registry: &Registry) -> Self {
        let mut by_path = HashMap::new();
        for group in registry.groups() {
            let base = if group.name.is_empty() { "/api".to_owned() } else { format!("/apis/{}", group.name) };
            if !group.name.is_empty() {
                by_path.insert(base.clone(), encode(&groups::group(group)));
            }
            for version in &group.versions {
                let list = groups::resource_list(registry, &group.name, version);
                by_path.insert(format!("{base}/{}", version.version), encode(&list));
            }
        }
        let mut paths: Vec<&str> = by_path.keys().map(String::as_str).collect();
        paths.extend(OTHER_PATHS);
        paths.sort_unstable();
        Documents {
            group_list: encode(&groups::group_list(registry)),
            index: encode(&json!({ "paths": paths })),
            aggregated_core: aggregated::Document::new(registry, true),
            aggregated_groups: aggregated::Document::new(registry, false),
            openapi: openapi::Documents::of(registry),
            by_path,
        }
    }
}

/// Paths of the index that do not come from the registry.
const OTHER_PATHS: &[&str] = &[
    "/api",
    "/apis",
    "/apis/",
    "/healthz",
    "/healthz/log",
    "/healthz/ping",
    "/healthz/poststarthook/bootstrap-controller",
    "/healthz/storage",
    "/livez",
    "/livez/log",
    "/livez/ping",
    "/livez/poststarthook/bootstrap-controller",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/readyz",
    "/readyz/informer-sync",
    "/readyz/log",
    "/readyz/ping",
    "/readyz/poststarthook/bootstrap-controller",
    "/readyz/shutdown",
    "/readyz/storage",
    "/version",
];

fn encode(value: &impl serde::Serialize) -> Bytes {
    // Structs of strings, numbers and lists always serialise.
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

/// `/`: the paths that are served.
pub fn index(request: &Request<'_>) -> Result<Response, ApiError> {
    let served = request.app.kinds.load();
    // The real server indents this one for everybody.
    let mut out = Vec::new();
    kuorum_schema::codec::pretty(&served.documents.index, &mut out);
    Ok(respond::bytes_of(StatusCode::OK, out, Format::Json.content_type()))
}

/// `/version`. kubectl compares `minor` with its own; `gitVersion` names the compatible release, with ours as build
/// metadata, which every semantic version parser ignores.
pub fn version(request: &Request<'_>) -> Result<Response, ApiError> {
    Accept::routable(&request.parts.headers, &["application/json"])?;
    let body = json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": concat!("v1.36.2+kuorum.", env!("CARGO_PKG_VERSION")),
        "gitCommit": option_env!("KUORUM_GIT_COMMIT").unwrap_or(""),
        "gitTreeState": "clean",
        "buildDate": option_env!("KUORUM_BUILD_DATE").unwrap_or("1970-01-01T00:00:00Z"),
        "goVersion": "rust",
        "compiler": "rustc",
        "platform": concat!("linux/", "amd64"),
    });
    let mut out = Vec::new();
    kuorum_schema::codec::pretty(&encode(&body), &mut out);
    Ok(respond::bytes_of(StatusCode::OK, out, Format::Json.content_type()))
}

/// `/api` and `/apis`: the lists of versions and groups, or the aggregated form. Any method is answered, as by the
/// real server.
pub fn root(request: &Request<'_>, path: &str) -> Result<Response, ApiError> {
    let headers = &request.parts.headers;
    let served = request.app.kinds.load();
    let documents = &served.documents;
    if let Some(format) = aggregated::wanted(headers) {
        let document = if path == "/api" { &documents.aggregated_core } else { &documents.aggregated_groups };
        return Ok(aggregated_response(document, format, headers));
    }
    let accept = Accept::negotiate(headers, request.query.get("pretty"), Views::None)?;
    let body = match path {
        "/api" => encode(&groups::api_versions(&request.app.external_address)),
        _ => documents.group_list.clone(),
    };
    let mut response = respond::json(StatusCode::OK, body.to_vec(), &accept);
    response.headers_mut().append(http::header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

fn aggregated_response(document: &aggregated::Document, format: Format, headers: &HeaderMap) -> Response {
    let (content_type, body) = match format {
        Format::Json | Format::Protobuf => {
            ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", document.json.clone())
        }
        Format::Yaml => (
            "application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Bytes::from(respond::yaml_of(&document.json)),
        ),
    };
    with_etag(headers, &document.etag, body, content_type)
}

/// 304 where the client has this version already, else the document with its tag.
pub fn with_etag(request: &HeaderMap, etag: &str, body: Bytes, content_type: &'static str) -> Response {
    let known = request
        .get(IF_NONE_MATCH)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.split(',').map(|t| t.trim().trim_start_matches("W/")).any(|t| t == etag || t == "*"));
    let mut response = if known {
        let mut r = Response::new(crate::body::Body::empty());
        *r.status_mut() = StatusCode::NOT_MODIFIED;
        r
    } else {
        respond::bytes_of(StatusCode::OK, body, content_type)
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, value);
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    headers.append(http::header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// A quoted tag of a document's content.
pub fn etag(body: &[u8]) -> String {
    format!("\"{}\"", hash(body))
}

/// Upper-case hexadecimal SHA-256, as the hashes of OpenAPI documents are written.
pub fn hash(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|b| format!("{b:02X}")).collect()
}

/// `/apis/<group>`, `/apis/<group>/<version>` and `/api/<version>`.
pub fn group(request: &Request<'_>, path: &str) -> Result<Response, ApiError> {
    let served = request.app.kinds.load();
    let Some(body) = served.documents.by_path.get(path) else {
        let group = path.strip_prefix("/apis/").and_then(|rest| rest.split('/').next());
        return match group {
            Some(name) if name.is_empty() || served.registry.group(name).is_none() => Ok(respond::page_not_found()),
            _ => Err(ApiError::no_such_path()),
        };
    };
    let is_group = path.strip_prefix("/apis/").is_some_and(|rest| !rest.contains('/'));
    if !is_group && request.parts.method != Method::GET {
        return Err(ApiError::method_not_allowed());
    }
    let accept = Accept::negotiate(&request.parts.headers, request.query.get("pretty"), Views::None)?;
    Ok(respond::json(StatusCode::OK, body.to_vec(), &accept))
}
