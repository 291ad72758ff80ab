//! Who asks: authenticators turn a connection and its headers into a [`User`].
//!
//! The order is kube-apiserver's: client certificate, then bearer token, then anonymous. Credentials that are
//! presented and wrong are refused with 401, never served as anonymous.

pub mod authorizer;
pub mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;

use crate::status::ApiError;
use crate::tls::{ClientCa, unix_now};
use tokens::Tokens;

pub use kuorum_auth::user::{AUTHENTICATED, MASTERS, UNAUTHENTICATED, User};

/// The other end of a connection.
pub struct Peer {
    pub address: SocketAddr,
    credentials: PeerCredentials,
}

enum PeerCredentials {
    None,
    /// Calls from inside the process.
    Internal(Arc<User>),
    /// A client certificate chain, with the outcome of its last verification.
    Certificate {
        chain: Vec<CertificateDer<'static>>,
        verified: Mutex<Option<Verified>>,
    },
}

struct Verified {
    /// Of the CA; a reload makes the outcome void.
    generation: usize,
    /// Seconds since 1970.
    expires: i64,
    user: Option<Arc<User>>,
}

impl Peer {
    pub fn new(address: SocketAddr, chain: Vec<CertificateDer<'static>>) -> Self {
        let credentials = if chain.is_empty() {
            PeerCredentials::None
        } else {
            PeerCredentials::Certificate { chain, verified: Mutex::new(None) }
        };
        Peer { address, credentials }
    }

    /// The server calling itself.
    pub fn internal() -> Self {
        Peer {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            credentials: PeerCredentials::Internal(Arc::new(User::loopback())),
        }
    }
}

/// All authenticators of a front-end.
pub struct Authenticator {
    client_ca: Option<Arc<ClientCa>>,
    tokens: Tokens,
    /// `None`: requests without credentials are refused.
    anonymous: Option<Arc<User>>,
}

impl Authenticator {
    pub fn new(client_ca: Option<Arc<ClientCa>>, tokens: Tokens, anonymous: bool) -> Self {
        Authenticator { client_ca, tokens, anonymous: anonymous.then(|| Arc::new(User::anonymous())) }
    }

    /// The user of a request, or 401.
    pub fn user(&self, peer: &Peer, headers: &HeaderMap) -> Result<Arc<User>, ApiError> {
        if let PeerCredentials::Internal(user) = &peer.credentials {
            return Ok(user.clone());
        }
        let mut wrong = false;
        match self.certificate_user(peer) {
            Ok(Some(user)) => return Ok(user),
            Ok(None) => {}
            Err(why) => {
                tracing::debug!(%why, "client certificate refused");
                wrong = true;
            }
        }
        if let Some(token) = bearer_token(headers) {
            match self.tokens.get(token) {
                Some(user) => return Ok(user.clone()),
                None => wrong = true,
            }
        }
        match &self.anonymous {
            Some(user) if !wrong => Ok(user.clone()),
            _ => Err(ApiError::unauthorized()),
        }
    }

    /// The user of a bearer token, for TokenReview.
    pub fn token_user(&self, token: &str) -> Option<Arc<User>> {
        self.tokens.get(token).cloned()
    }

    fn certificate_user(&self, peer: &Peer) -> Result<Option<Arc<User>>, String> {
        let PeerCredentials::Certificate { chain, verified } = &peer.credentials else { return Ok(None) };
        let Some(ca) = &self.client_ca else { return Ok(None) };
        let generation = ca.generation();
        let now = unix_now();
        let mut last = verified.lock();
        if let Some(v) = last.as_ref().filter(|v| v.generation == generation && now < v.expires) {
            return Ok(v.user.clone());
        }
        let found = ca.user(chain)?;
        let expires = found.as_ref().map_or(i64::MAX, |(_, at)| *at);
        let user = found.map(|(user, _)| Arc::new(user.authenticated()));
        *last = Some(Verified { generation, expires, user: user.clone() });
        Ok(user)
    }
}

/// The token of `Authorization: Bearer <token>`; `None` also for other schemes and an empty token.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = text.split_once(' ')?;
    let token = token.split(' ').next().unwrap_or("");
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut h = HeaderMap::new();
        h.insert(http::header::AUTHORIZATION, value.parse().unwrap());
        h
    }

    #[test]
    fn wrong_credentials_are_not_anonymous() {
        let tokens = Tokens::parse("t1,alice,u1,\"dev,ops\"\n").unwrap();
        let auth = Authenticator::new(None, tokens, true);
        let peer = Peer::new(([127, 0, 0, 1], 1).into(), Vec::new());
        let name = |h: &HeaderMap| auth.user(&peer, h).map(|u| u.name.clone()).map_err(|e| e.code().as_u16());
        assert_eq!(name(&headers("Bearer t1")), Ok("alice".to_owned()));
        assert_eq!(name(&headers("bearer t1")), Ok("alice".to_owned()));
        assert_eq!(name(&headers("Bearer nope")), Err(401));
        assert_eq!(name(&HeaderMap::new()), Ok("system:anonymous".to_owned()));
        assert_eq!(name(&headers("Basic abc")), Ok("system:anonymous".to_owned()));
        let user = auth.user(&peer, &headers("Bearer t1")).unwrap();
        assert_eq!(user.groups, ["dev", "ops", "system:authenticated"]);
    }
}
