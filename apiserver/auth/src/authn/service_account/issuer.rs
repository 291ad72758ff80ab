//! Signs tokens.

use super::TokenSpec;
use crate::jwt::SigningKey;

/// A pod's token that asks for exactly this time is made to live longer, and to be counted when it is used after it.
pub const WARN_AFTER_SECONDS: i64 = 60 * 60 + 7;
/// How long such a token lives.
pub const EXTENDED_EXPIRATION_SECONDS: i64 = 365 * 24 * 60 * 60;

/// The server's own key and name.
pub struct Issuer {
    name: String,
    key: SigningKey,
}

impl Issuer {
    pub fn new(name: String, key: SigningKey) -> Self {
        Issuer { name, key }
    }

    /// A signed token. `None`: the system has no random numbers.
    pub fn token(&self, spec: &TokenSpec) -> Option<String> {
        self.key.sign(&spec.claims(&self.name))
    }

    pub fn key(&self) -> &SigningKey {
        &self.key
    }
}
