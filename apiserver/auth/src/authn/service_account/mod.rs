//! Service accounts: names, tokens, and who they belong to.
//!
//! A token is good as long as its signature is, its times are, and the objects that it is bound to exist with the
//! same UID. The objects are looked up in the front-end's cache; what is not there is looked up again behind a fence,
//! so that a token of an object that was created a moment ago through another front-end works.

mod bound;
mod claims;
mod issuer;
pub mod legacy;
mod names;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use kuorum_cache::Object;

pub use claims::{BoundTo, Claims, Reference, TokenSpec};
pub use issuer::{EXTENDED_EXPIRATION_SECONDS, Issuer, WARN_AFTER_SECONDS};
pub use names::{group_names, split_username, user_name};

use super::objects::{Kind, Objects};
use super::{Authenticated, Outcome, Refusal};
use crate::jwt::{Jwt, PublicKey};

/// The issuer of tokens that are kept in Secrets.
pub const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// A Secret's token was used; its label should say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyTokenUse {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// Verifies service-account tokens.
pub struct Verifier {
    /// Issuers whose tokens are accepted; the first one signs.
    pub issuers: Vec<String>,
    pub keys: Vec<PublicKey>,
    /// Audiences of this API.
    pub audiences: Vec<String>,
    /// Whether the objects of Secrets' tokens must exist.
    pub lookup: bool,
    pub objects: Arc<Objects>,
    /// Told when a Secret's token is used whose label does not say so yet.
    pub legacy_uses: Option<tokio::sync::mpsc::Sender<LegacyTokenUse>>,
}

/// A verified token, with the objects that were looked at.
pub struct Verified {
    pub authenticated: Authenticated,
    /// While these are the current versions, and until then, the token need not be verified again.
    pub seen: Seen,
}

/// The versions of objects that a decision rests on.
#[derive(Clone, Default)]
pub struct Seen(Vec<(Kind, Arc<Object>)>);

impl Seen {
    fn add(&mut self, kind: Kind, object: Arc<Object>) {
        self.0.push((kind, object));
    }

    /// Whether all of them still are the current versions.
    pub fn is_current(&self, objects: &Objects) -> bool {
        self.0.iter().all(|(kind, object)| {
            let current = objects.get(*kind, object.namespace(), object.name());
            current.is_some_and(|c| Arc::ptr_eq(&c, object) || c.revision() == object.revision())
        })
    }
}

impl Verifier {
    /// The user of a token, if it is a service account's, for one of the audiences `wanted`.
    pub async fn authenticate(&self, token: &str, wanted: &[String], now: i64) -> Outcome<Verified> {
        let Some(jwt) = Jwt::parse(token) else { return Ok(None) };
        let Some(issuer) = jwt.unverified_issuer() else { return Ok(None) };
        let legacy = issuer == LEGACY_ISSUER;
        if !legacy && !self.issuers.contains(&issuer) {
            return Ok(None);
        }
        let claims: Claims = self.claims(&jwt)?;
        // The issuer that was looked at was not signed yet.
        if claims.issuer != issuer {
            return Err(Refusal::wrong(format!("token issuer {:?} is invalid", claims.issuer)));
        }
        let mut annotations = Vec::new();
        let audiences = self.audiences_of(&claims, wanted, &mut annotations)?;
        let mut seen = Seen::default();
        let user = if legacy {
            legacy::user(self, token, &claims, now, &mut seen, &mut annotations).await?
        } else {
            bound::user(self, &claims, now, &mut seen, &mut annotations).await?
        };
        let user = Arc::new(user.authenticated());
        let authenticated = Authenticated { user, audiences, annotations, expires: claims.expires };
        Ok(Some(Verified { authenticated, seen }))
    }

    /// The claims, once a key has been found that signed them.
    fn claims(&self, jwt: &Jwt<'_>) -> Result<Claims, Refusal> {
        let mut keys = self.keys.iter().filter(|key| jwt.may_be_of(key.id())).peekable();
        if keys.peek().is_none() {
            return Err(Refusal::wrong("invalid signature, no keys found"));
        }
        let mut errors: Vec<String> = Vec::new();
        for key in keys {
            match jwt.verify(key) {
                Ok(payload) => {
                    return serde_json::from_slice(payload).map_err(|_| Refusal::wrong("token has malformed claims"));
                }
                Err(error) => {
                    let text = error.to_string();
                    if !errors.contains(&text) {
                        errors.push(text);
                    }
                }
            }
        }
        Err(Refusal::Wrong(super::tokens::aggregate(errors)))
    }

    /// The audiences that the token and the request have in common. A token without any is for this API only.
    fn audiences_of(
        &self,
        claims: &Claims,
        wanted: &[String],
        annotations: &mut Vec<(&'static str, String)>,
    ) -> Result<Vec<String>, Refusal> {
        let own = if claims.audiences.is_empty() {
            annotations.push(("authentication.k8s.io/legacy-token", claims.subject.clone()));
            &self.audiences
        } else {
            &claims.audiences
        };
        let common: Vec<String> = own.iter().filter(|a| wanted.contains(a)).cloned().collect();
        if common.is_empty() && !self.audiences.is_empty() {
            let (own, wanted) = (quoted(own), quoted(wanted));
            return Err(Refusal::wrong(format!("token audiences {own} is invalid for the target audiences {wanted}")));
        }
        Ok(common)
    }

    /// The object, linearizably: one that is not in the cache, or is `stale`, is looked up again behind a fence.
    async fn look_up(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        stale: impl Fn(&Object) -> bool,
    ) -> Result<Option<Arc<Object>>, Refusal> {
        if let Some(object) = self.objects.get(kind, namespace, name).filter(|o| !stale(o)) {
            return Ok(Some(object));
        }
        self.objects.ready().await?;
        self.objects.fence().await?;
        Ok(self.objects.get(kind, namespace, name))
    }
}

/// A list as Go's `%q` prints it.
fn quoted(list: &[String]) -> String {
    let items: Vec<String> = list.iter().map(|item| format!("{item:?}")).collect();
    format!("[{}]", items.join(" "))
}
