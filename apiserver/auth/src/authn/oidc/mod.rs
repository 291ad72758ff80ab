//! Tokens of OpenID Connect issuers, as `--oidc-*` or an AuthenticationConfiguration describe them.
//!
//! The keys of an issuer are fetched when the server starts, and again when a token names a key that is not known.

mod config;
mod mapping;
mod provider;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Authenticated, Outcome, Refusal};
use crate::jwt::{Jwt, one_or_many};
use crate::user::User;
use provider::Provider;

pub use config::{AnonymousSpec, AuthenticationConfiguration, ConfigError, Flags, JwtSpec};
pub use mapping::{ClaimRule, Mapping, Mappings, UserRule};

/// Allowed difference of clocks for `nbf`, in seconds, as by the library that kube-apiserver uses.
const NOT_BEFORE_LEEWAY_SECONDS: i64 = 300;
/// How long until an issuer that did not answer is asked again.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// One issuer.
pub struct Oidc {
    spec: JwtSpec,
    provider: Provider,
}

impl Oidc {
    /// Nothing is fetched before [`Oidc::initialize`].
    pub fn new(spec: JwtSpec) -> Result<Self, ConfigError> {
        let provider =
            Provider::new(&spec.issuer_url, spec.discovery_url.as_deref(), spec.certificate_authority.as_deref())
                .map_err(|e| ConfigError::Invalid(format!("issuer {}: {e}", spec.issuer_url)))?;
        Ok(Oidc { spec, provider })
    }

    /// Fetches the issuer's document and keys, trying until it succeeds.
    pub async fn initialize(&self) {
        while let Err(error) = self.provider.discover().await {
            tracing::error!(issuer = self.spec.issuer_url, %error, "oidc authenticator: initializing plugin");
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// The user of a token, if it is this issuer's.
    pub async fn authenticate(&self, token: &str, now: i64) -> Outcome {
        let Some(jwt) = Jwt::parse(token) else { return Ok(None) };
        if jwt.unverified_issuer().as_deref() != Some(&self.spec.issuer_url) {
            return Ok(None);
        }
        let wrong = |why: String| Refusal::wrong(format!("oidc: {why}"));
        if !self.provider.is_initialized() {
            return Err(wrong("authenticator not initialized".to_owned()));
        }
        let verified = self.verify(&self.provider, &jwt, now).await;
        let (mut claims, expires) = verified.map_err(|e| wrong(format!("verify token: {e}")))?;
        self.expand(&mut claims, now).await.map_err(|e| wrong(format!("could not expand distributed claims: {e}")))?;
        let user = self.user(claims).map_err(wrong)?;
        Ok(Some(Authenticated { expires: Some(expires), ..Authenticated::new(user.authenticated()) }))
    }

    /// Claims and expiry of a token whose signature, issuer, audience and times are right.
    async fn verify(&self, provider: &Provider, jwt: &Jwt<'_>, now: i64) -> Result<(Map<String, Value>, i64), String> {
        if !self.spec.signing_algorithms.iter().any(|a| a == jwt.algorithm()) {
            let (expected, got) = (&self.spec.signing_algorithms, jwt.algorithm());
            return Err(format!("oidc: malformed jwt: unexpected signature algorithm {got:?}; expected {expected:?}"));
        }
        let payload = provider.verify(jwt).await.map_err(|e| format!("failed to verify signature: {e}"))?;
        let claims: Map<String, Value> =
            serde_json::from_slice(&payload).map_err(|_| "oidc: failed to unmarshal claims".to_owned())?;
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        if issuer != provider.issuer() {
            let expected = provider.issuer();
            return Err(format!("oidc: id token issued by a different provider, expected {expected:?} got {issuer:?}"));
        }
        let date = |name: &str| claims.get(name).and_then(Value::as_f64).map(|v| v as i64);
        let expires = date("exp").unwrap_or(0);
        if expires < now {
            let at = kuorum_schema::time::Timestamp { seconds: expires, nanos: 0 }.to_rfc3339();
            return Err(format!("oidc: token is expired (Token Expiry: {at})"));
        }
        if date("nbf").is_some_and(|at| now.saturating_add(NOT_BEFORE_LEEWAY_SECONDS) < at) {
            return Err("oidc: current time is before the nbf (not before) time".to_owned());
        }
        let audiences = one_or_many(claims.get("aud").unwrap_or(&Value::Null)).unwrap_or_default();
        if !audiences.iter().any(|a| self.spec.audiences.contains(a)) {
            let expected = &self.spec.audiences;
            return Err(format!("oidc: expected audience in {expected:?} got {audiences:?}"));
        }
        Ok((claims, expires))
    }

    /// Fetches the groups claim from where the token says it is (OpenID Connect Core, section 5.6.2).
    async fn expand(&self, claims: &mut Map<String, Value>, now: i64) -> Result<(), String> {
        let Some(claim) = self.spec.mappings.groups_claim() else { return Ok(()) };
        if claims.contains_key(claim) {
            return Ok(());
        }
        let Some(names) = claims.get("_claim_names") else { return Ok(()) };
        let sources = claims.get("_claim_sources").ok_or("oidc: no claim sources")?;
        let Some(source) = names[claim].as_str() else { return Ok(()) };
        let endpoint = sources
            .get(source)
            .ok_or_else(|| format!("id token _claim_names contained a source {source} missing in _claims_sources"))?;
        // An aggregated claim, with the token in place, has no endpoint.
        let Some(url) = endpoint["endpoint"].as_str().filter(|u| !u.is_empty()) else { return Ok(()) };
        let access = endpoint["access_token"].as_str().filter(|t| !t.is_empty());
        let token = self.provider.fetch_claim(url, access).await;
        let token = token.map_err(|e| format!("while getting distributed claim {claim:?}: {e}"))?;
        let jwt = Jwt::parse(&token).ok_or("malformed distributed claim token")?;
        let issuer = jwt.unverified_issuer().ok_or("distributed claim token has no issuer")?;
        let other;
        let provider = if issuer == self.provider.issuer() {
            &self.provider
        } else {
            other = self.provider.of_issuer(&issuer).map_err(|e| e.to_string())?;
            other.discover().await?;
            &other
        };
        let verified = self.verify(provider, &jwt, now).await;
        let (mut found, _) = verified.map_err(|e| format!("verify distributed claim token: {e}"))?;
        let value = found.remove(claim).ok_or_else(|| {
            format!("jwt returned by distributed claim endpoint {url:?} did not contain claim: {claim}")
        })?;
        claims.insert(claim.to_owned(), value);
        Ok(())
    }

    fn user(&self, claims: Map<String, Value>) -> Result<User, String> {
        let mappings = &self.spec.mappings;
        let claims = Value::Object(claims);
        let user = mappings.user(&claims)?;
        for rule in &self.spec.claim_rules {
            rule.check(&claims)?;
        }
        if !self.spec.user_rules.is_empty() {
            let shown = user_value(&user);
            for rule in &self.spec.user_rules {
                rule.check(&shown)?;
            }
        }
        Ok(user)
    }
}

/// A user as expressions see it.
fn user_value(user: &User) -> Value {
    serde_json::json!({"username": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra})
}
