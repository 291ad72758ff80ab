//! What other parties need to verify service-account tokens: the issuer's document and its keys.

use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method};
use kuorum_auth::jwt::PublicKey;
use serde::Serialize;
use serde_json::json;

use crate::layers::respond;
use crate::request::negotiate::Accept;
use crate::routes::Request;
use crate::status::ApiError;
use crate::verbs::Response;

pub const CONFIGURATION_PATH: &str = "/.well-known/openid-configuration";
pub const KEYS_PATH: &str = "/openid/v1/jwks";
const KEYS_CONTENT_TYPE: &str = "application/jwk-set+json";
/// Keys may be kept for an hour: so long a new one must be published before it signs.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// Answers one of the two paths. `None`: this server has no issuer that others could reach.
pub fn respond(request: &Request<'_>, path: &str) -> Option<Result<Response, ApiError>> {
    let config = &request.app.config;
    let keys = &request.app.authenticator.service_account_keys;
    let issuer = config.service_account_issuer.first().filter(|issuer| issuer.starts_with("https://"))?;
    if keys.is_empty() {
        return None;
    }
    let (content_type, document) = match path {
        CONFIGURATION_PATH => {
            let uri = &config.authentication.service_account_jwks_uri;
            let own = format!("https://{}{KEYS_PATH}", request.app.external_address);
            ("application/json", configuration(issuer, if uri.is_empty() { &own } else { uri }, keys))
        }
        _ => (KEYS_CONTENT_TYPE, json!({"keys": keys.iter().map(PublicKey::jwk).collect::<Vec<_>>()}).to_string()),
    };
    if request.parts.method != Method::GET {
        return Some(Err(ApiError::method_not_allowed()));
    }
    if let Err(error) = Accept::routable(&request.parts.headers, &[content_type]) {
        return Some(Err(error));
    }
    let mut response = respond::bytes_of(http::StatusCode::OK, document, content_type);
    response.headers_mut().insert(CACHE_CONTROL, CACHE);
    Some(Ok(response))
}

/// The fields in the order of Go's type.
#[derive(Serialize)]
struct Configuration<'a> {
    issuer: &'a str,
    jwks_uri: &'a str,
    response_types_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: Vec<&'static str>,
}

fn configuration(issuer: &str, keys_url: &str, keys: &[PublicKey]) -> String {
    let mut algorithms: Vec<&str> = keys.iter().map(PublicKey::algorithm).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    let document = Configuration {
        issuer,
        jwks_uri: keys_url,
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: algorithms,
    };
    // A struct of texts always serialises.
    serde_json::to_string(&document).unwrap_or_default()
}
