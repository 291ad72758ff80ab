//! Who asks: authenticators turn a connection and its headers into a [`User`].
//!
//! The order is kube-apiserver's: front proxy, client certificate, bearer token, then anonymous. Credentials that are
//! presented and wrong are refused with 401, never served as anonymous.

pub mod authorizer;
pub mod certificate;
pub mod credentials;
pub mod legacy_tokens;
pub mod setup;
pub mod trust;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use kuorum_auth::authn::service_account::Issuer;
use kuorum_auth::authn::tokens::TokenChain;
use kuorum_auth::authn::{Authenticated, Refusal};
use kuorum_auth::jwt::PublicKey;
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;

use crate::status::ApiError;
use crate::tls::{ClientCa, unix_now};
use certificate::Subject;
use credentials::Credentials;

pub use kuorum_auth::user::{AUTHENTICATED, MASTERS, UNAUTHENTICATED, User};

/// The other end of a connection.
pub struct Peer {
    pub address: SocketAddr,
    credentials: PeerCredentials,
}

enum PeerCredentials {
    None,
    /// Calls from inside the process.
    Internal(Arc<Authenticated>),
    /// A client certificate chain, with the outcomes of its last verifications.
    Certificate {
        chain: Vec<CertificateDer<'static>>,
        user: Mutex<Option<Verified<Option<Arc<Authenticated>>>>>,
        proxy: Mutex<Option<Verified<()>>>,
    },
}

/// The outcome of a verification against a CA.
struct Verified<T> {
    /// Of the CA; a reload makes the outcome void.
    generation: usize,
    /// Seconds since 1970.
    expires: i64,
    outcome: T,
}

impl<T: Clone> Verified<T> {
    fn current(last: &Option<Self>, ca: &ClientCa) -> Option<T> {
        let last = last.as_ref().filter(|v| v.generation == ca.generation() && unix_now() < v.expires);
        last.map(|v| v.outcome.clone())
    }
}

impl Peer {
    pub fn new(address: SocketAddr, chain: Vec<CertificateDer<'static>>) -> Self {
        let credentials = if chain.is_empty() {
            PeerCredentials::None
        } else {
            PeerCredentials::Certificate { chain, user: Mutex::new(None), proxy: Mutex::new(None) }
        };
        Peer { address, credentials }
    }

    /// The server calling itself.
    pub fn internal() -> Self {
        Peer {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            credentials: PeerCredentials::Internal(Arc::new(Authenticated::new(User::loopback()))),
        }
    }
}

/// Names of the headers in which a front proxy says who somebody is, in lower case.
#[derive(Clone, Debug, Default)]
pub struct RequestHeaderNames {
    pub user: Vec<String>,
    pub uid: Vec<String>,
    pub group: Vec<String>,
    pub extra_prefix: Vec<String>,
}

impl RequestHeaderNames {
    pub fn lower(mut self) -> Self {
        for list in [&mut self.user, &mut self.uid, &mut self.group, &mut self.extra_prefix] {
            list.iter_mut().for_each(|name| name.make_ascii_lowercase());
        }
        self
    }

    /// Whether a header is one of them.
    pub fn has(&self, name: &str) -> bool {
        [&self.user, &self.uid, &self.group].into_iter().flatten().any(|n| n == name)
            || self.extra_prefix.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }
}

/// The front proxy: whoever it is must show a certificate of its own CA.
pub struct FrontProxy {
    pub ca: Arc<ClientCa>,
    /// Common names that may speak for others; empty: any.
    pub allowed_names: Vec<String>,
    pub names: RequestHeaderNames,
}

/// Who may come without credentials.
#[derive(Clone, Debug)]
pub struct Anonymous {
    user: Option<Arc<Authenticated>>,
    /// Only these paths, if there are any.
    paths: Vec<String>,
}

impl Anonymous {
    pub fn new(enabled: bool, paths: Vec<String>) -> Self {
        Anonymous { user: enabled.then(|| Arc::new(Authenticated::new(User::anonymous()))), paths }
    }

    fn user(&self, path: &str) -> Option<Arc<Authenticated>> {
        let open = self.paths.is_empty() || self.paths.iter().any(|p| p == path);
        self.user.clone().filter(|_| open)
    }
}

/// All authenticators of a front-end.
pub struct Authenticator {
    pub client_ca: Option<Arc<ClientCa>>,
    pub front_proxy: Option<FrontProxy>,
    pub tokens: TokenChain,
    /// Replaced when the configuration file changes.
    pub anonymous: ArcSwap<Anonymous>,
    /// Signs service-account tokens; without a key no tokens are made.
    pub issuer: Option<Issuer>,
    /// What verifies service-account tokens, as the discovery document shows it.
    pub service_account_keys: Vec<PublicKey>,
}

impl Authenticator {
    /// The names of headers that a front proxy sets.
    pub fn header_names(&self) -> Option<&RequestHeaderNames> {
        self.front_proxy.as_ref().map(|p| &p.names)
    }

    /// The user of a request, or 401. 503 where nobody can tell just now.
    pub async fn user(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        path: &str,
    ) -> Result<Arc<Authenticated>, ApiError> {
        let mut wrong = false;
        let mut refused = |why: &str| {
            tracing::debug!(address = %peer.address, why, "credentials refused");
            wrong = true;
        };
        match &peer.credentials {
            PeerCredentials::Internal(user) => return Ok(user.clone()),
            PeerCredentials::None => {}
            PeerCredentials::Certificate { chain, user, proxy } => {
                match self.proxied_user(chain, proxy, credentials) {
                    Ok(Some(user)) => return Ok(user),
                    Ok(None) => {}
                    Err(why) => refused(&why),
                }
                match self.certificate_user(chain, user) {
                    Ok(Some(user)) => return Ok(user),
                    Ok(None) => {}
                    Err(why) => refused(&why),
                }
            }
        }
        let websocket = match &credentials.websocket {
            Some(Ok(token)) => Some(token.as_str()),
            Some(Err(why)) => {
                refused(why);
                None
            }
            None => None,
        };
        for token in [credentials.bearer_token(), websocket] {
            let Some(token) = token else { continue };
            match self.tokens.authenticate(token).await {
                Ok(user) => return Ok(user),
                Err(Refusal::Wrong(why)) => refused(&why),
                Err(Refusal::Unavailable(why)) => return Err(ApiError::unavailable(why, 1)),
            }
        }
        if wrong {
            return Err(ApiError::unauthorized());
        }
        self.anonymous.load().user(path).ok_or_else(ApiError::unauthorized)
    }

    /// The user for whom a front proxy speaks.
    fn proxied_user(
        &self,
        chain: &[CertificateDer<'static>],
        verified: &Mutex<Option<Verified<()>>>,
        credentials: &Credentials,
    ) -> Result<Option<Arc<Authenticated>>, String> {
        let Some(proxy) = &self.front_proxy else { return Ok(None) };
        {
            let mut last = verified.lock();
            if Verified::current(&last, &proxy.ca).is_none() {
                let generation = proxy.ca.generation();
                proxy.ca.verify(chain)?;
                let Some(leaf) = chain.first() else { return Ok(None) };
                let subject = Subject::of(leaf)?;
                let name = &subject.common_name;
                if !proxy.allowed_names.is_empty() && !proxy.allowed_names.contains(name) {
                    return Err(format!("x509: subject with cn={name} is not in the allowed list"));
                }
                *last = Some(Verified { generation, expires: subject.expires, outcome: () });
            }
        }
        let headers = credentials.proxy_headers();
        let all = |names: &[String]| -> Vec<String> {
            names.iter().flat_map(|n| headers.get_all(n)).map(credentials::text).filter(|v| !v.is_empty()).collect()
        };
        let first = |names: &[String]| all(names).into_iter().next().unwrap_or_default();
        let name = first(&proxy.names.user);
        if name.is_empty() {
            return Ok(None);
        }
        let prefixes = proxy.names.extra_prefix.iter();
        let extra = prefixes.flat_map(|prefix| credentials::extra(headers, prefix)).collect();
        let user = User { name, uid: first(&proxy.names.uid), groups: all(&proxy.names.group), extra };
        Ok(Some(Arc::new(Authenticated::new(user.authenticated()))))
    }

    fn certificate_user(
        &self,
        chain: &[CertificateDer<'static>],
        verified: &Mutex<Option<Verified<Option<Arc<Authenticated>>>>>,
    ) -> Result<Option<Arc<Authenticated>>, String> {
        let Some(ca) = self.client_ca.as_ref().filter(|ca| ca.is_set()) else { return Ok(None) };
        let mut last = verified.lock();
        if let Some(user) = Verified::current(&last, ca) {
            return Ok(user);
        }
        let generation = ca.generation();
        ca.verify(chain)?;
        let Some(leaf) = chain.first() else { return Ok(None) };
        let subject = Subject::of(leaf)?;
        let expires = subject.expires;
        let user = subject.user()?.map(|user| Arc::new(Authenticated::new(user.authenticated())));
        *last = Some(Verified { generation, expires, outcome: user.clone() });
        Ok(user)
    }
}

#[cfg(test)]
mod tests;
