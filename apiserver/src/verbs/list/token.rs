//! Continue tokens: where the next page of a list begins, in the encoding that the real server uses.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kuorum_schema::codec;
use serde::{Deserialize, Serialize};

const VERSION: &str = "meta.k8s.io/v1";

/// A decoded token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The revision that all pages show; `None`: each the latest (what a client gets to go on with after 410).
    pub revision: Option<u64>,
    /// The first key of the page, behind the list's own prefix.
    pub start: String,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(default, rename = "v")]
    version: String,
    #[serde(default, rename = "rv")]
    revision: i64,
    #[serde(default, rename = "start")]
    start: String,
}

impl Token {
    /// The token of the page behind the object with key `last` (behind the list's own prefix).
    pub fn behind(last: &str, revision: Option<u64>) -> Self {
        Token { revision, start: format!("{last}\0") }
    }

    pub fn encode(&self) -> String {
        let revision = self.revision.map_or(-1, |revision| i64::try_from(revision).unwrap_or(i64::MAX));
        let wire = Wire { version: VERSION.to_owned(), revision, start: self.start.clone() };
        // Strings and numbers always serialise.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).unwrap_or_default())
    }

    /// The error is the text behind `invalid continue token: `.
    pub fn decode(text: &str) -> Result<Self, String> {
        let invalid = |why: &str| format!("continue key is not valid: {why}");
        let json = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| invalid(&format!("illegal base64 data at input byte {}", first_illegal(text))))?;
        let wire: Wire = match serde_json::from_slice(&json) {
            Ok(wire) => wire,
            Err(error) => {
                let why = codec::type_meta(&json).err().map_or_else(|| error.to_string(), |e| e.to_string());
                return Err(invalid(&why));
            }
        };
        if wire.version != VERSION {
            return Err(invalid(&format!("server does not recognize this encoded version {}", wire.version)));
        }
        if wire.revision == 0 {
            return Err(invalid(&format!("incorrect encoded start resourceVersion (version {VERSION})")));
        }
        if wire.start.is_empty() {
            return Err(invalid(&format!("encoded start key empty (version {VERSION})")));
        }
        // A key that a path would clean leads out of the list.
        let path = wire.start.strip_prefix('/').unwrap_or(&wire.start);
        if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return Err(invalid("invalid start key"));
        }
        Ok(Token { revision: u64::try_from(wire.revision).ok(), start: path.to_owned() })
    }
}

/// The position that Go's decoder complains about.
fn first_illegal(text: &str) -> usize {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.bytes().position(|b| !legal(b)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_real_servers() {
        let token = Token::behind("default/web-0", Some(42));
        let text = token.encode();
        let json = URL_SAFE_NO_PAD.decode(&text).unwrap();
        assert_eq!(String::from_utf8(json).unwrap(), r#"{"v":"meta.k8s.io/v1","rv":42,"start":"default/web-0\u0000"}"#);
        assert_eq!(Token::decode(&text), Ok(token));
        let latest = Token::behind("a", None);
        assert_eq!(Token::decode(&latest.encode()), Ok(latest));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let of = |json: &str| Token::decode(&URL_SAFE_NO_PAD.encode(json)).unwrap_err();
        let begins = "continue key is not valid: ";
        assert_eq!(Token::decode("!!").unwrap_err(), format!("{begins}illegal base64 data at input byte 0"));
        assert!(of(r#"{"v":"v2","rv":1,"start":"a"}"#).ends_with("does not recognize this encoded version v2"));
        assert!(of(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a"}"#).contains("incorrect encoded start resourceVersion"));
        assert!(of(r#"{"v":"meta.k8s.io/v1","rv":1}"#).contains("encoded start key empty"));
        for start in ["../secrets", "a/../b", "a//b", "/", "."] {
            let json = format!(r#"{{"v":"meta.k8s.io/v1","rv":1,"start":"{start}"}}"#);
            assert_eq!(of(&json), format!("{begins}invalid start key"), "{start}");
        }
    }
}
