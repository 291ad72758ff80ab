//! Tokens that somebody else knows: TokenReviews sent to a webhook.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Authenticated, Outcome, Refusal};
use crate::user::User;
use crate::webhook::{Backoff, Client, Kubeconfig};

/// How long the webhook may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Answers remembered at once.
const ANSWERS_MAX: usize = 16 * 1024;

/// Why the webhook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Kubeconfig(#[from] crate::webhook::KubeconfigError),
    #[error(transparent)]
    Trust(#[from] crate::webhook::TrustError),
    #[error("unsupported authentication webhook version {0:?}, supported versions are \"v1\", \"v1beta1\"")]
    Version(String),
}

/// The webhook, with the answers of a while.
pub struct WebhookTokens {
    client: Client,
    version: String,
    /// How long answers count, those that refuse too. Zero: not at all.
    ttl: Duration,
    backoff: Backoff,
    answers: Mutex<HashMap<Question, (Instant, Answer)>>,
}

/// A token, and the audiences that it was asked about with.
type Question = (String, Vec<String>);

/// What the webhook said: a user, or that the token is not known, perhaps with a reason.
#[derive(Clone)]
enum Answer {
    Known(Authenticated),
    Unknown(Option<String>),
}

impl WebhookTokens {
    pub fn load(kubeconfig: &Path, version: &str, ttl: Duration) -> Result<Self, SetupError> {
        let client = Client::of(&Kubeconfig::load(kubeconfig)?)?;
        Self::new(client, version, ttl, Backoff::default())
    }

    pub fn new(client: Client, version: &str, ttl: Duration, backoff: Backoff) -> Result<Self, SetupError> {
        if !matches!(version, "v1" | "v1beta1") {
            return Err(SetupError::Version(version.to_owned()));
        }
        Ok(WebhookTokens { client, version: version.to_owned(), ttl, backoff, answers: Mutex::default() })
    }

    /// The user of a token, for one of the audiences `wanted`. `own` are this API's: those of a webhook that does not
    /// know of audiences.
    pub async fn authenticate(&self, token: &str, wanted: &[String], own: &[String]) -> Outcome {
        let key = (token.to_owned(), wanted.to_vec());
        let remembered = {
            let answers = self.answers.lock();
            answers.get(&key).filter(|(until, _)| Instant::now() < *until).map(|(_, answer)| answer.clone())
        };
        let answer = match remembered {
            Some(answer) => answer,
            None => {
                let answer = self.ask(token, wanted, own).await?;
                self.remember(key, answer.clone());
                answer
            }
        };
        match answer {
            Answer::Known(found) => Ok(Some(found)),
            Answer::Unknown(None) => Ok(None),
            Answer::Unknown(Some(why)) => Err(Refusal::Wrong(why)),
        }
    }

    fn remember(&self, key: (String, Vec<String>), answer: Answer) {
        if self.ttl.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut answers = self.answers.lock();
        if answers.len() >= ANSWERS_MAX {
            answers.retain(|_, (until, _)| now < *until);
            if answers.len() >= ANSWERS_MAX {
                answers.clear();
            }
        }
        answers.insert(key, (now + self.ttl, answer));
    }

    async fn ask(&self, token: &str, wanted: &[String], own: &[String]) -> Result<Answer, Refusal> {
        let mut spec = json!({"token": token});
        if !wanted.is_empty() {
            spec["audiences"] = json!(wanted);
        }
        let review = json!({
            "kind": "TokenReview", "apiVersion": format!("authentication.k8s.io/{}", self.version),
            "metadata": {"creationTimestamp": null}, "spec": spec, "status": {"user": {}},
        });
        let answer = self.backoff.run(|| self.client.post(&review, TIMEOUT)).await;
        let answer = answer.map_err(|error| {
            tracing::error!(%error, "failed to make webhook authenticator request");
            Refusal::wrong(error.to_string())
        })?;
        Ok(read(&answer["status"], wanted, own))
    }
}

fn read(status: &Value, wanted: &[String], own: &[String]) -> Answer {
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(|i| i.as_str().map(str::to_owned)).collect()
    };
    let mut audiences = texts(&status["audiences"]);
    if audiences.is_empty() {
        audiences = own.to_vec();
    }
    audiences.retain(|a| wanted.contains(a));
    if audiences.is_empty() && !wanted.is_empty() {
        return Answer::Unknown(None);
    }
    if status["authenticated"] != true {
        return Answer::Unknown(status["error"].as_str().filter(|e| !e.is_empty()).map(str::to_owned));
    }
    let user = &status["user"];
    let text = |key: &str| user[key].as_str().unwrap_or_default().to_owned();
    let extra = user["extra"].as_object();
    let extra = extra.map(|map| map.iter().map(|(k, v)| (k.clone(), texts(v))).collect()).unwrap_or_default();
    let user = User { name: text("username"), uid: text("uid"), groups: texts(&user["groups"]), extra };
    Answer::Known(Authenticated { audiences, ..Authenticated::new(user.authenticated()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::test_server::{Answers, TestServer};
    use crate::webhook::{client_config, roots};

    async fn hook(ttl: Duration) -> (WebhookTokens, TestServer) {
        let server = TestServer::start(Answers::default()).await;
        let tls = client_config(Some(roots(server.ca_pem.as_bytes()).unwrap()), None).unwrap();
        let client = Client::new(&format!("{}/review", server.url), tls, None).unwrap();
        let backoff = Backoff { first: Duration::from_millis(1), ..Backoff::default() };
        (WebhookTokens::new(client, "v1", ttl, backoff).unwrap(), server)
    }

    fn api() -> Vec<String> {
        vec!["api".to_owned()]
    }

    #[tokio::test]
    async fn the_webhook_says_who_it_is() {
        let (hook, server) = hook(Duration::from_secs(60)).await;
        let user = json!({"username": "bob", "uid": "7", "groups": ["g"], "extra": {"k": ["v"]}});
        server.answers.set("/review", 201, json!({"status": {"authenticated": true, "user": user}}));
        for _ in 0..3 {
            let found = hook.authenticate("t", &api(), &api()).await.unwrap().unwrap();
            assert_eq!((found.user.name.as_str(), found.user.uid.as_str()), ("bob", "7"));
            assert_eq!(found.user.groups, ["g", "system:authenticated"]);
            assert_eq!(found.user.extra["k"], ["v"]);
            assert_eq!(found.audiences, api());
        }
        let asked = server.answers.requests();
        assert_eq!(asked.len(), 1, "the answer is remembered");
        assert_eq!(asked[0].body["apiVersion"], "authentication.k8s.io/v1");
        assert_eq!(asked[0].body["spec"], json!({"token": "t", "audiences": ["api"]}));
    }

    #[tokio::test]
    async fn what_it_refuses_is_refused() {
        let (hook, server) = hook(Duration::ZERO).await;
        let yes = json!({"username": "bob"});
        for (status, wanted) in [
            (json!({"authenticated": false}), Ok(false)),
            (json!({"authenticated": false, "error": "expired"}), Err("expired")),
            (json!({"authenticated": true, "user": yes, "audiences": ["other"]}), Ok(false)),
            (json!({"authenticated": true, "user": yes, "audiences": ["other", "api"]}), Ok(true)),
            (json!({}), Ok(false)),
        ] {
            server.answers.set("/review", 200, json!({"status": status}));
            let got = hook.authenticate("t", &api(), &api()).await.map(|f| f.is_some()).map_err(|e| e.to_string());
            assert_eq!(got.as_ref().map_err(String::as_str).copied(), wanted, "{status}");
        }
    }

    #[tokio::test]
    async fn it_is_asked_again_while_it_may_heal() {
        let (hook, server) = hook(Duration::ZERO).await;
        server.answers.set("/review", 500, json!({"message": "down"}));
        assert_eq!(hook.authenticate("t", &api(), &api()).await.unwrap_err().to_string(), "down");
        assert_eq!(server.answers.requests().len(), 5);
        server.answers.set("/review", 403, json!({"message": "no"}));
        assert_eq!(hook.authenticate("t", &api(), &api()).await.unwrap_err().to_string(), "no");
        assert_eq!(server.answers.requests().len(), 6);
    }

    #[test]
    fn only_known_versions_are_spoken() {
        let tls = client_config(None, None).unwrap();
        let client = Client::new("https://x", tls, None).unwrap();
        assert!(WebhookTokens::new(client, "v2", Duration::ZERO, Backoff::default()).is_err());
    }
}
