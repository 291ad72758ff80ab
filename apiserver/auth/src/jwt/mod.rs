//! JSON web tokens: the compact form, keys of either kind, signatures.
//!
//! An algorithm is accepted because the *key* has it, never because the token says so: a key knows what it can verify,
//! and `none` and the HMAC algorithms do not exist here.

mod der;
mod key;
mod sign;

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};

pub use key::{KeyError, PublicKey, VerifyError, keys_in_pem};
pub use sign::SigningKey;

/// Longer tokens are not looked at; HTTP headers are not much longer.
pub const TOKEN_BYTES_MAX: usize = 128 * 1024;

/// A token that has been taken apart and not verified.
pub struct Jwt<'a> {
    /// Header and payload as they were signed.
    signed: &'a str,
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that a reader must understand. None is understood here.
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

impl<'a> Jwt<'a> {
    /// Takes a compact token apart. `None`: it is something else.
    pub fn parse(token: &'a str) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if payload.contains('.') {
            return None;
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        if header.crit.is_some() {
            return None;
        }
        Some(Jwt { signed, header, payload: decode(payload)?, signature: decode(signature)? })
    }

    pub fn algorithm(&self) -> &str {
        &self.header.alg
    }

    /// The id of the key that is said to have signed.
    pub fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref().filter(|k| !k.is_empty())
    }

    /// The issuer that the token names. To choose a verifier by, not to be trusted.
    pub fn unverified_issuer(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Issuer {
            iss: String,
        }
        serde_json::from_slice::<Issuer>(&self.payload).ok().map(|i| i.iss)
    }

    /// The claims, if `key` has signed them.
    pub fn verify(&self, key: &PublicKey) -> Result<&[u8], VerifyError> {
        key.verify(&self.header.alg, self.signed.as_bytes(), &self.signature)?;
        Ok(&self.payload)
    }

    /// Whether the key with this id may have signed: the one that is named, or any if none is.
    pub fn may_be_of(&self, key_id: &str) -> bool {
        self.key_id().is_none_or(|kid| kid == key_id)
    }
}

/// Seconds since 1970, of a JSON number that may have a fraction.
pub fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let value = Option::<f64>::deserialize(deserializer)?;
    match value {
        // Beyond this, a float has no whole seconds.
        Some(v) if v.is_finite() && v.abs() < 9.0e15 => Ok(Some(v as i64)),
        Some(_) => Err(serde::de::Error::custom("not a date")),
        None => Ok(None),
    }
}

/// `aud`: one text or a list of them.
pub fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
        None(()),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
        OneOrMany::None(()) => Vec::new(),
    })
}

/// How far clocks may differ, in seconds.
pub const LEEWAY_SECONDS: i64 = 60;

/// Why a token is of no use now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeError {
    Expired,
    NotValidYet,
    IssuedInTheFuture,
}

/// Whether a token is valid at `now`; every date that is absent permits.
pub fn check_times(
    now: i64,
    expires: Option<i64>,
    not_before: Option<i64>,
    issued: Option<i64>,
) -> Result<(), TimeError> {
    if not_before.is_some_and(|at| now.saturating_add(LEEWAY_SECONDS) < at) {
        return Err(TimeError::NotValidYet);
    }
    if expires.is_some_and(|at| now.saturating_sub(LEEWAY_SECONDS) > at) {
        return Err(TimeError::Expired);
    }
    if issued.is_some_and(|at| now.saturating_add(LEEWAY_SECONDS) < at) {
        return Err(TimeError::IssuedInTheFuture);
    }
    Ok(())
}

/// Base64 as tokens use it.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
