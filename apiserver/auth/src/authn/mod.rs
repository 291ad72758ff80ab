//! Authenticators: from credentials to a [`User`].
//!
//! One file per kind of credential. Each answers "mine, and this is the user", "not mine", or "mine, and wrong";
//! [`tokens::TokenChain`] asks them in kube-apiserver's order.

pub mod bootstrap;
pub mod cache;
pub mod objects;
pub mod oidc;
pub mod service_account;
pub mod static_tokens;
pub mod tokens;
pub mod webhook_tokens;

use std::sync::Arc;

use crate::user::User;

/// Who it is, and for whom the credentials were made.
#[derive(Clone, Debug)]
pub struct Authenticated {
    pub user: Arc<User>,
    /// Audiences of the credentials, of those that were asked for.
    pub audiences: Vec<String>,
    /// For the audit log.
    pub annotations: Vec<(&'static str, String)>,
    /// Seconds since 1970, after which the credentials are no longer good.
    pub expires: Option<i64>,
}

impl Authenticated {
    /// A user whose credentials say nothing about audiences.
    pub fn new(user: User) -> Self {
        Authenticated { user: Arc::new(user), audiences: Vec::new(), annotations: Vec::new(), expires: None }
    }
}

/// Why credentials were not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// They are wrong. The text is shown to whoever reviews a token, never to the client itself.
    #[error("{0}")]
    Wrong(String),
    /// Nobody can tell just now.
    #[error("{0}")]
    Unavailable(String),
}

impl Refusal {
    pub fn wrong(why: impl Into<String>) -> Self {
        Refusal::Wrong(why.into())
    }
}

/// Outcome of one authenticator: `Ok(None)` means that the credentials are not of its kind.
pub type Outcome<T = Authenticated> = Result<Option<T>, Refusal>;

/// Seconds since 1970.
pub fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// Key of a user's extra that names the credential.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Compares secrets in a time that says nothing of where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}
