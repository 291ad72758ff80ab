//! Audit id: the client's `Audit-Id`, or a new one; the response carries it, and so does every log line.

use http::{HeaderMap, HeaderName, HeaderValue};

pub static AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// Longer ids are cut, as the real server does.
const AUDIT_ID_BYTES_MAX: usize = 64;

/// The id of a request.
pub fn audit_id(headers: &HeaderMap) -> HeaderValue {
    if let Some(given) = headers.get(&AUDIT_ID).filter(|v| !v.is_empty()) {
        let bytes = given.as_bytes();
        if let Ok(value) = HeaderValue::from_bytes(&bytes[..bytes.len().min(AUDIT_ID_BYTES_MAX)]) {
            return value;
        }
    }
    // The thread's generator: no system call per request.
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text: &str = id.as_hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_cut_or_made() {
        let mut headers = HeaderMap::new();
        assert_eq!(audit_id(&headers).len(), 36);
        headers.insert(&AUDIT_ID, HeaderValue::from_static("mine"));
        assert_eq!(audit_id(&headers), "mine");
        headers.insert(&AUDIT_ID, HeaderValue::from_str(&"x".repeat(100)).unwrap());
        assert_eq!(audit_id(&headers).len(), 64);
    }
}
