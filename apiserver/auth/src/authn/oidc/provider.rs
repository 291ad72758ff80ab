//! An issuer's document and keys.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::jwt::{Jwt, PublicKey};
use crate::webhook::{CallError, Client, TrustError, client_config, system_roots};

/// How long an issuer may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Keys are not fetched more often than this, whatever tokens come.
const FETCH_INTERVAL: Duration = Duration::from_secs(2);

pub struct Provider {
    issuer: String,
    discovery_url: String,
    authority: Option<String>,
    client: Client,
    keys: ArcSwapOption<Keys>,
    /// Held while keys are fetched; when they last were.
    fetched: Mutex<Option<Instant>>,
}

struct Keys {
    url: String,
    keys: Vec<PublicKey>,
}

impl Provider {
    /// `authority` is PEM; without it the host's authorities are trusted.
    pub fn new(issuer: &str, discovery_url: Option<&str>, authority: Option<&str>) -> Result<Self, TrustError> {
        let discovery_url = discovery_url.map_or_else(
            || format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')),
            str::to_owned,
        );
        let roots = match authority {
            Some(pem) => crate::webhook::roots(pem.as_bytes())?,
            None => system_roots(),
        };
        let client = Client::new(&discovery_url, client_config(Some(roots), None)?, None)?;
        Ok(Provider {
            issuer: issuer.to_owned(),
            discovery_url,
            authority: authority.map(str::to_owned),
            client,
            keys: ArcSwapOption::empty(),
            fetched: Mutex::new(None),
        })
    }

    /// Another issuer, trusted in the same way.
    pub fn of_issuer(&self, issuer: &str) -> Result<Self, TrustError> {
        Self::new(issuer, None, self.authority.as_deref())
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn is_initialized(&self) -> bool {
        self.keys.load().is_some()
    }

    /// Fetches the issuer's document, then its keys.
    pub async fn discover(&self) -> Result<(), String> {
        let document = self.fetch(&self.discovery_url).await?;
        let issuer = document["issuer"].as_str().unwrap_or_default();
        if issuer != self.issuer {
            let expected = &self.issuer;
            return Err(format!(
                "oidc: issuer did not match the issuer returned by provider, expected {expected:?} got {issuer:?}"
            ));
        }
        let url = document["jwks_uri"].as_str().ok_or("the issuer's document has no jwks_uri")?;
        let keys = self.fetch_keys(url).await?;
        self.keys.store(Some(Arc::new(Keys { url: url.to_owned(), keys })));
        *self.fetched.lock().await = Some(Instant::now());
        Ok(())
    }

    /// The payload of a token that one of the issuer's keys signed. Keys that are not known are fetched.
    pub async fn verify(&self, jwt: &Jwt<'_>) -> Result<Vec<u8>, String> {
        let known = self.keys.load_full().ok_or("authenticator not initialized")?;
        if let Some(payload) = verified(jwt, &known) {
            return Ok(payload);
        }
        let mut fetched = self.fetched.lock().await;
        // Somebody else may have fetched them while this call was waiting.
        let mut current = self.keys.load_full().ok_or("authenticator not initialized")?;
        if Arc::ptr_eq(&known, &current) && fetched.is_none_or(|at| at.elapsed() >= FETCH_INTERVAL) {
            *fetched = Some(Instant::now());
            let keys = self.fetch_keys(&known.url).await.map_err(|e| format!("fetching keys {e}"))?;
            current = Arc::new(Keys { url: known.url.clone(), keys });
            self.keys.store(Some(current.clone()));
        }
        drop(fetched);
        verified(jwt, &current).ok_or_else(|| "failed to verify id token signature".to_owned())
    }

    /// The token at a distributed claim's endpoint.
    pub async fn fetch_claim(&self, url: &str, access_token: Option<&str>) -> Result<String, String> {
        let answer = self.client.get_url(url, access_token, FETCH_TIMEOUT).await.map_err(|e| e.to_string())?;
        String::from_utf8(answer.to_vec()).map_err(|_| "could not decode distributed claim response".to_owned())
    }

    async fn fetch(&self, url: &str) -> Result<Value, String> {
        let answer = self.client.get_url(url, None, FETCH_TIMEOUT).await;
        let answer = answer.map_err(|e: CallError| format!("{url}: {e}"))?;
        serde_json::from_slice(&answer).map_err(|e| format!("{url}: {e}"))
    }

    async fn fetch_keys(&self, url: &str) -> Result<Vec<PublicKey>, String> {
        let set = self.fetch(url).await?;
        let mut keys = Vec::new();
        for jwk in set["keys"].as_array().ok_or_else(|| format!("{url}: no keys"))? {
            match PublicKey::from_jwk(jwk) {
                Ok(Some(key)) => keys.push(key),
                Ok(None) => {}
                Err(error) => tracing::warn!(issuer = self.issuer, %error, "an issuer's key cannot be used"),
            }
        }
        Ok(keys)
    }
}

fn verified(jwt: &Jwt<'_>, known: &Keys) -> Option<Vec<u8>> {
    let candidates = known.keys.iter().filter(|key| jwt.may_be_of(key.id()));
    candidates.filter_map(|key| jwt.verify(key).ok()).next().map(<[u8]>::to_vec)
}
