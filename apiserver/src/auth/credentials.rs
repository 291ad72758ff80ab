//! Credentials of a request, taken off its headers before anything else sees them.
//!
//! Nothing behind authentication can be led astray by a header that says who somebody is: neither this server nor
//! another one to which a request is passed on.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::RequestHeaderNames;

const IMPERSONATE: &str = "impersonate-";
const IMPERSONATE_EXTRA: &str = "impersonate-extra-";
/// A browser cannot set headers of a websocket; it may hide its token among the subprotocols.
const WEBSOCKET_BEARER: &str = "base64url.bearer.authorization.k8s.io.";
/// Front-proxy headers that are taken off whether or not a front proxy is configured.
const REMOTE: &str = "x-remote-";

/// What a request's headers said of its sender.
#[derive(Debug, Default)]
pub struct Credentials {
    /// `Authorization`, as it was sent.
    authorization: Option<HeaderValue>,
    /// The token of a websocket's subprotocol; `Err` where there is something wrong with it.
    pub websocket: Option<Result<String, &'static str>>,
    /// Headers that a front proxy may set.
    proxy: HeaderMap,
    /// Headers of impersonation.
    impersonate: HeaderMap,
}

impl Credentials {
    /// Takes all credentials off the headers.
    pub fn take(headers: &mut HeaderMap, names: Option<&RequestHeaderNames>) -> Self {
        let mut credentials = Credentials { authorization: headers.remove(AUTHORIZATION), ..Self::default() };
        let is_proxy = |name: &str| name.starts_with(REMOTE) || names.is_some_and(|n| n.has(name));
        if headers.keys().any(|name| name.as_str().starts_with(IMPERSONATE) || is_proxy(name.as_str())) {
            credentials.impersonate = split_off(headers, |name| name.starts_with(IMPERSONATE));
            credentials.proxy = split_off(headers, is_proxy);
        }
        if headers.contains_key(SEC_WEBSOCKET_PROTOCOL) && is_websocket(headers) {
            credentials.websocket = take_websocket_token(headers);
        }
        credentials
    }

    /// The token of `Authorization: Bearer <token>`; `None` also for other schemes and an empty token.
    pub fn bearer_token(&self) -> Option<&str> {
        let text = self.authorization.as_ref()?.to_str().ok()?.trim();
        let (scheme, token) = text.split_once(' ')?;
        let token = token.split(' ').next().unwrap_or("");
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    }

    pub fn proxy_headers(&self) -> &HeaderMap {
        &self.proxy
    }

    pub fn impersonation(&self) -> Impersonation<'_> {
        Impersonation(&self.impersonate)
    }
}

/// Moves headers to a map of their own.
fn split_off(headers: &mut HeaderMap, belongs: impl Fn(&str) -> bool) -> HeaderMap {
    let names: Vec<HeaderName> = headers.keys().filter(|name| belongs(name.as_str())).cloned().collect();
    let mut off = HeaderMap::new();
    for name in names {
        if let http::header::Entry::Occupied(entry) = headers.entry(&name) {
            for value in entry.remove_entry_mult().1 {
                off.append(&name, value);
            }
        }
    }
    off
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|v| v.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    };
    has(CONNECTION, "upgrade") && has(UPGRADE, "websocket")
}

/// The token among the subprotocols, which is taken out of them.
fn take_websocket_token(headers: &mut HeaderMap) -> Option<Result<String, &'static str>> {
    let mut token = None;
    let mut others: Vec<String> = Vec::new();
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|v| v.to_str().ok());
    for protocol in values.flat_map(|v| v.split(',')).map(str::trim) {
        let Some(encoded) = protocol.strip_prefix(WEBSOCKET_BEARER) else {
            others.push(protocol.to_owned());
            continue;
        };
        if token.is_some() {
            return Some(Err("multiple base64.bearer.authorization tokens specified"));
        }
        let decoded = URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        token = Some(decoded.ok_or("invalid base64.bearer.authorization token encoding"));
    }
    let token = token?;
    if others.is_empty() {
        return Some(Err("missing additional subprotocol"));
    }
    // Parts of a header value make one again.
    match HeaderValue::from_str(&others.join(",")) {
        Ok(value) => headers.insert(SEC_WEBSOCKET_PROTOCOL, value),
        Err(_) => headers.remove(SEC_WEBSOCKET_PROTOCOL),
    };
    Some(token)
}

/// Whom a request wants to be, as its headers say.
pub struct Impersonation<'a>(&'a HeaderMap);

impl Impersonation<'_> {
    /// Nothing is asked for, as in almost every request.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    pub fn user(&self) -> &str {
        self.first("impersonate-user")
    }

    pub fn uid(&self) -> &str {
        self.first("impersonate-uid")
    }

    pub fn groups(&self) -> Vec<String> {
        self.0.get_all("impersonate-group").into_iter().map(text).collect()
    }

    pub fn extra(&self) -> BTreeMap<String, Vec<String>> {
        extra(self.0, IMPERSONATE_EXTRA)
    }

    fn first(&self, name: &str) -> &str {
        self.0.get(name).and_then(|v| std::str::from_utf8(v.as_bytes()).ok()).unwrap_or_default()
    }
}

pub(super) fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The extra of headers whose names start with `prefix`; the rest of the name is a key, in which `%2f` may stand for
/// a slash.
pub(super) fn extra(headers: &HeaderMap, prefix: &str) -> BTreeMap<String, Vec<String>> {
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in headers.keys() {
        let Some(key) = name.as_str().strip_prefix(prefix) else { continue };
        let key = crate::request::query::unescape(key, false).map_or_else(|| key.to_owned(), |k| k.into_owned());
        extra.entry(key).or_default().extend(headers.get_all(name).into_iter().map(text));
    }
    extra
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn nothing_that_says_who_somebody_is_stays() {
        let mut map = headers(&[
            ("authorization", "Bearer t1"),
            ("x-remote-user", "root"),
            ("x-remote-group", "system:masters"),
            ("x-remote-extra-a%2fb", "c"),
            ("x-my-user", "root"),
            ("impersonate-user", "bob"),
            ("impersonate-group", "g1"),
            ("impersonate-group", "g2"),
            ("impersonate-extra-ex.io%2fkey", "v"),
            ("accept", "application/json"),
        ]);
        let names = RequestHeaderNames { user: vec!["X-My-User".to_owned()], ..RequestHeaderNames::default() };
        let taken = Credentials::take(&mut map, Some(&names.lower()));
        assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
        assert_eq!(taken.bearer_token(), Some("t1"));
        let wanted = taken.impersonation();
        assert_eq!((wanted.user(), wanted.uid()), ("bob", ""));
        assert_eq!(wanted.groups(), ["g1", "g2"]);
        assert_eq!(wanted.extra()["ex.io/key"], ["v"]);
        assert_eq!(taken.proxy_headers().get("x-my-user").unwrap(), "root");
    }

    #[test]
    fn only_bearer_tokens_count() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("Bearer  abc", None),
            ("Bearer ", None),
            ("Bearer abc def", Some("abc")),
            ("Basic abc", None),
            ("abc", None),
        ] {
            let taken = Credentials::take(&mut headers(&[("authorization", value)]), None);
            assert_eq!(taken.bearer_token(), token, "{value:?}");
        }
    }

    #[test]
    fn a_websocket_may_hide_its_token_among_subprotocols() {
        let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket")];
        let token = format!("{WEBSOCKET_BEARER}{}", URL_SAFE_NO_PAD.encode("secret"));
        let take = |protocols: &str, upgrades: bool| {
            let mut map = headers(&[("sec-websocket-protocol", protocols)]);
            if upgrades {
                map.extend(headers(&upgrade));
            }
            let taken = Credentials::take(&mut map, None).websocket;
            (taken, map.get(SEC_WEBSOCKET_PROTOCOL).map(text).unwrap_or_default())
        };
        assert_eq!(
            take(&format!("v5.channel.k8s.io, {token}"), true),
            (Some(Ok("secret".to_owned())), "v5.channel.k8s.io".to_owned())
        );
        assert_eq!(take(&format!("a,{token}"), false).0, None);
        assert_eq!(take("a,b", true), (None, "a,b".to_owned()));
        assert_eq!(take(&token, true).0, Some(Err("missing additional subprotocol")));
        assert!(matches!(take(&format!("a,{token},{token}"), true).0, Some(Err(_))));
        assert!(matches!(take(&format!("a,{WEBSOCKET_BEARER}!!"), true).0, Some(Err(_))));
    }
}
