//! Bearer tokens: every authenticator of tokens, in kube-apiserver's order.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::bootstrap::Bootstrap;
use super::cache::TokenCache;
use super::objects::Objects;
use super::oidc::Oidc;
use super::service_account::{Seen, Verifier};
use super::static_tokens::Tokens;
use super::webhook_tokens::WebhookTokens;
use super::{Authenticated, Outcome, Refusal, unix_now};

/// What a token is called that nobody knows.
pub const INVALID: &str = "invalid bearer token";

/// The authenticators of bearer tokens.
pub struct TokenChain {
    /// Audiences of this API.
    pub audiences: Vec<String>,
    pub static_tokens: Tokens,
    pub service_accounts: Option<Verifier>,
    pub bootstrap: Option<Bootstrap>,
    /// Replaced as a whole when the configuration file changes.
    pub oidc: ArcSwap<Vec<Arc<Oidc>>>,
    pub webhook: Option<WebhookTokens>,
    pub objects: Arc<Objects>,
    pub cache: TokenCache,
}

impl TokenChain {
    /// The user of a token that a request shows: it must be for this API.
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Authenticated>, Refusal> {
        if let Some(found) = self.static_tokens.get(token) {
            return Ok(found.clone());
        }
        if let Some(found) = self.cache.get(token, &self.objects) {
            return Ok(found);
        }
        // Boxed: a request's future should not be as large as everything that a strange token may lead to.
        let (found, seen) = Box::pin(self.ask_all(token, &self.audiences)).await?;
        let found = Arc::new(found);
        self.cache.put(token, found.clone(), seen);
        Ok(found)
    }

    /// The user of a token, for any of the audiences `wanted` (TokenReview). The answer has the audiences that fit.
    pub async fn review(&self, token: &str, wanted: &[String]) -> Result<Authenticated, Refusal> {
        self.ask_all(token, wanted).await.map(|(found, _)| found)
    }

    async fn ask_all(&self, token: &str, wanted: &[String]) -> Result<(Authenticated, Seen), Refusal> {
        let now = unix_now();
        // Most authenticators say nothing of audiences: their tokens are for this API.
        let own: Vec<String> = self.audiences.iter().filter(|a| wanted.contains(a)).cloned().collect();
        let for_this_api = self.audiences.is_empty() || !own.is_empty();
        let mut errors = Errors::default();
        if for_this_api && let Some(found) = self.static_tokens.get(token) {
            return Ok((Authenticated { audiences: own, ..found.as_ref().clone() }, Seen::default()));
        }
        if let Some(verifier) = &self.service_accounts {
            match verifier.authenticate(token, wanted, now).await {
                Ok(Some(verified)) => return Ok((verified.authenticated, verified.seen)),
                Ok(None) => {}
                Err(refusal) => errors.add(refusal),
            }
        }
        if for_this_api && let Some(found) = self.agnostic(token, now, &mut errors).await {
            return Ok((Authenticated { audiences: own, ..found }, Seen::default()));
        }
        if let Some(webhook) = &self.webhook
            && let Some(found) = errors.keep(webhook.authenticate(token, wanted, &self.audiences).await)
        {
            return Ok((found, Seen::default()));
        }
        Err(errors.refusal())
    }

    /// Authenticators that do not know of audiences. OpenID Connect comes after service accounts: it may have to
    /// fetch keys for a token that is not its own.
    async fn agnostic(&self, token: &str, now: i64, errors: &mut Errors) -> Option<Authenticated> {
        if let Some(bootstrap) = &self.bootstrap
            && let Some(found) = errors.keep(bootstrap.authenticate(token, now))
        {
            return Some(found);
        }
        let issuers = self.oidc.load_full();
        for issuer in issuers.iter() {
            if let Some(found) = errors.keep(issuer.authenticate(token, now).await) {
                return Some(found);
            }
        }
        None
    }
}

/// What authenticators had to say against a token.
#[derive(Default)]
struct Errors {
    texts: Vec<String>,
    unavailable: Option<String>,
}

impl Errors {
    fn add(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Wrong(text) => self.texts.push(text),
            Refusal::Unavailable(text) => self.unavailable = Some(text),
        }
    }

    fn keep(&mut self, outcome: Outcome) -> Option<Authenticated> {
        outcome.unwrap_or_else(|refusal| {
            self.add(refusal);
            None
        })
    }

    fn refusal(self) -> Refusal {
        match self.unavailable {
            Some(text) => Refusal::Unavailable(text),
            None => Refusal::Wrong(aggregate([INVALID.to_owned()].into_iter().chain(self.texts))),
        }
    }
}

/// Several complaints as Go prints an aggregate: each once, in brackets if there are several.
pub fn aggregate(texts: impl IntoIterator<Item = String>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for text in texts {
        if !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    match distinct.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}
