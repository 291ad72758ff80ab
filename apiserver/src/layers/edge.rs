//! The outermost stage: what is decided before a request is looked at, and what every answer carries.
//!
//! `Strict-Transport-Security`, answers to scripts of other origins (CORS), and refusals while the server drains.

use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CONNECTION, ORIGIN, RETRY_AFTER,
    STRICT_TRANSPORT_SECURITY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use regex::Regex;

use super::respond;
use crate::body::Body;
use crate::options::ServingOptions;
use crate::verbs::Response;

/// Seconds after which a client that met a draining server may come back, to another one.
const RETRY_AFTER_SECONDS: u32 = 5;
/// What balancers ask while a server drains.
const HEALTH_PATHS: [&str; 3] = ["/readyz", "/livez", "/healthz"];

/// Settings of the edge.
#[derive(Default)]
pub struct Edge {
    strict_transport_security: Option<HeaderValue>,
    origins: Vec<Regex>,
    /// Set when the drain begins, where clients are to be told so.
    refusing: AtomicBool,
}

impl Edge {
    /// `options` have been validated; what does not hold then is left out.
    pub fn new(options: &ServingOptions) -> Self {
        let directives = options.strict_transport_security().ok().flatten();
        Edge {
            strict_transport_security: directives.and_then(|text| HeaderValue::from_str(&text).ok()),
            origins: options.cors_allowed_origins.iter().filter_map(|origin| Regex::new(origin).ok()).collect(),
            refusing: AtomicBool::new(false),
        }
    }

    /// From now on requests are turned away.
    pub fn refuse(&self) {
        self.refusing.store(true, Ordering::Release);
    }

    /// The answer to a request that goes no further: refused, or a question about other origins.
    pub fn answer(&self, parts: &http::request::Parts) -> Option<Response> {
        if self.refusing.load(Ordering::Relaxed) && !HEALTH_PATHS.iter().any(|path| parts.uri.path().starts_with(path))
        {
            let text = "The apiserver is shutting down, please try again later.\n";
            let mut response = respond::text(StatusCode::TOO_MANY_REQUESTS, text);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
            if parts.version < Version::HTTP_2 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            return Some(response);
        }
        if parts.method == Method::OPTIONS && self.allowed_origin(&parts.headers).is_some() {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Some(response);
        }
        None
    }

    /// Adds what every answer carries.
    pub fn finish(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if let Some(value) = &self.strict_transport_security {
            answer.insert(STRICT_TRANSPORT_SECURITY, value.clone());
        }
        let Some(origin) = self.allowed_origin(request) else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_METHODS, "POST, GET, OPTIONS, PUT, DELETE, PATCH"),
            (
                ACCESS_CONTROL_ALLOW_HEADERS,
                "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, If-Modified-Since",
            ),
            (ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
            (ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
        ] {
            answer.insert(name, HeaderValue::from_static(value));
        }
    }

    fn allowed_origin<'a>(&self, request: &'a HeaderMap) -> Option<&'a HeaderValue> {
        if self.origins.is_empty() {
            return None;
        }
        let origin = request.get(ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|allowed| allowed.is_match(text)).then_some(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, path: &str, origin: Option<&str>) -> http::request::Parts {
        let mut request = http::Request::builder().method(method).uri(path);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn scripts_of_allowed_origins_are_told_what_they_may_do() {
        let options =
            ServingOptions { cors_allowed_origins: vec!["//example\\.com(:|$)".to_owned()], ..Default::default() };
        let edge = Edge::new(&options);
        // origin, whether it is allowed
        let table = [
            (Some("https://example.com"), true),
            (Some("https://example.com:8080"), true),
            (Some("https://example.com.evil.org"), false),
            (Some("https://other.org"), false),
            (None, false),
        ];
        for (origin, allowed) in table {
            let asked = parts("OPTIONS", "/api", origin);
            assert_eq!(edge.answer(&asked).map(|r| r.status().as_u16()), allowed.then_some(204), "{origin:?}");
            assert!(edge.answer(&parts("GET", "/api", origin)).is_none());
            let mut headers = HeaderMap::new();
            edge.finish(&asked.headers, &mut headers);
            let told = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).and_then(|v| v.to_str().ok());
            assert_eq!(told, origin.filter(|_| allowed));
        }
        assert!(Edge::default().answer(&parts("OPTIONS", "/api", Some("https://example.com"))).is_none());
    }

    #[test]
    fn a_draining_server_says_so_to_all_but_probes() {
        let edge = Edge::default();
        assert!(edge.answer(&parts("GET", "/api/v1/pods", None)).is_none());
        edge.refuse();
        let refused = edge.answer(&parts("GET", "/api/v1/pods", None)).unwrap();
        assert_eq!((refused.status().as_u16(), refused.headers()[RETRY_AFTER].to_str().unwrap()), (429, "5"));
        assert_eq!(refused.headers()[CONNECTION], "close");
        assert!(edge.answer(&parts("GET", "/readyz", None)).is_none());
    }
}
