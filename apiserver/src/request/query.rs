//! The query string: decoded pairs in order, with Go's ideas of numbers and booleans.

use std::borrow::Cow;

use crate::status::ApiError;

/// A decoded query string. Most requests have none, which costs no allocation.
#[derive(Clone, Debug, Default)]
pub struct Query<'a> {
    // Not a SmallVec: that would be invariant in 'a.
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Reads `a=b&c=d`. Pairs that do not decode are left out, as Go's `URL.Query()` does.
    pub fn parse(raw: &'a str) -> Self {
        let mut pairs = Vec::new();
        for pair in raw.split('&') {
            if pair.is_empty() || pair.contains(';') {
                continue;
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(key), Some(value)) = (unescape(key, true), unescape(value, true)) {
                pairs.push((key, value));
            }
        }
        Query { pairs }
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The first value of a parameter.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_ref())
    }

    /// All values of a parameter, in order.
    pub fn all<'q>(&'q self, key: &'q str) -> impl Iterator<Item = &'q str> {
        self.pairs.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_ref())
    }

    /// The first value, empty where absent.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or("")
    }

    /// A boolean as apimachinery converts it: absent, `0` and any-case `false` are false, all else (also the empty
    /// value) is true.
    pub fn flag(&self, key: &str) -> bool {
        self.optional_flag(key).unwrap_or(false)
    }

    pub fn optional_flag(&self, key: &str) -> Option<bool> {
        self.get(key).map(|v| v != "0" && !v.eq_ignore_ascii_case("false"))
    }

    /// A 64-bit integer, with the text of Go's strconv where it is none. An empty value counts as absent.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(key).filter(|v| !v.is_empty()) else { return Ok(None) };
        parse_int(text).map(Some).map_err(ApiError::bad_request)
    }
}

/// `strconv.ParseInt(text, 10, 64)` with its error text.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
    }
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: value out of range"))
}

/// `strconv.ParseUint(text, 10, 64)` with its error text.
pub fn parse_uint(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"));
    }
    text.parse().map_err(|_| format!("strconv.ParseUint: parsing {text:?}: value out of range"))
}

/// Percent-decodes (in a query `+` is a space). `None` for a bad escape or bytes that are not UTF-8.
pub fn unescape(text: &str, query: bool) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|b| b == b'%' || (query && b == b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let hex = |b: u8| (b as char).to_digit(16);
                let (high, low) = (hex(*bytes.get(at + 1)?)?, hex(*bytes.get(at + 2)?)?);
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            b'+' if query => {
                out.push(b' ');
                at += 1;
            }
            other => {
                out.push(other);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_in_order() {
        let q = Query::parse("a=1&b=x%2Cy+z&a=2&bad=%zz&flag&off=False&zero=0");
        assert_eq!(q.get("a"), Some("1"));
        assert_eq!(q.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(q.text("b"), "x,y z");
        assert_eq!(q.get("bad"), None);
        assert!(q.flag("flag") && !q.flag("off") && !q.flag("zero") && !q.flag("none"));
    }

    #[test]
    fn integers_fail_in_gos_words() {
        let q = Query::parse("a=abc&b=99999999999999999999&c=-3&d=");
        assert_eq!(q.integer("a").unwrap_err().to_string(), r#"strconv.ParseInt: parsing "abc": invalid syntax"#);
        assert_eq!(
            q.integer("b").unwrap_err().to_string(),
            r#"strconv.ParseInt: parsing "99999999999999999999": value out of range"#
        );
        assert_eq!(q.integer("c").unwrap(), Some(-3));
        assert_eq!(q.integer("d").unwrap(), None);
    }
}
