//! Webhook authorizer: SubjectAccessReviews sent to a server of the administrator's, with the answers of a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::attributes::{Attributes, Requirement, Selector};
use super::decision::{Answer, Authorizer, Decision, Reason, Refusal, RuleList};
use crate::cel::{CelError, Program, Variables};
use crate::user::User;
use crate::webhook::{Backoff, Client};

/// Answers remembered at once, of each webhook.
const ANSWERS_MAX: usize = 8192;
/// Questions with longer names, as chosen by whoever asks, are not remembered.
const CONTROLLED_BYTES_MAX: usize = 10_000;

/// What happens when the webhook cannot be asked, or says nonsense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    NoOpinion,
    Deny,
}

/// How one webhook is asked.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `v1` or `v1beta1` of SubjectAccessReview.
    pub version: &'static str,
    /// How long `yes` counts; zero: it is not remembered.
    pub authorized_ttl: Duration,
    /// How long anything else counts.
    pub unauthorized_ttl: Duration,
    /// Of one call.
    pub timeout: Duration,
    pub backoff: Backoff,
    pub failure_policy: FailurePolicy,
}

impl Default for Settings {
    /// The defaults of kube-apiserver's flags.
    fn default() -> Self {
        Settings {
            version: "v1beta1",
            authorized_ttl: Duration::from_secs(5 * 60),
            unauthorized_ttl: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            backoff: Backoff::default(),
            failure_policy: FailurePolicy::NoOpinion,
        }
    }
}

/// `--authorization-mode=Webhook`, or one of type Webhook in a configuration file.
pub struct Webhook {
    client: Client,
    settings: Settings,
    /// All must hold, or the webhook is not asked.
    conditions: Vec<Program>,
    answers: Mutex<HashMap<String, (Instant, Decision)>>,
}

impl Webhook {
    pub fn new(client: Client, settings: Settings, conditions: Vec<Program>) -> Self {
        Webhook { client, settings, conditions, answers: Mutex::default() }
    }

    /// Compiles a match condition: an expression about `request`, the spec of the review.
    pub fn condition(expression: &str) -> Result<Program, CelError> {
        Program::compile(expression, &["request"])
    }

    async fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        let spec = spec(attributes);
        match self.matches(&spec) {
            Ok(true) => {}
            Ok(false) => return Decision::none(),
            Err(error) => return self.failed(error.to_string()),
        }
        let key = cacheable(attributes).then(|| spec.to_string());
        if let Some(remembered) = key.as_ref().and_then(|key| self.remembered(key)) {
            return remembered;
        }
        let review = json!({
            "apiVersion": format!("authorization.k8s.io/{}", self.settings.version),
            "kind": "SubjectAccessReview",
            "metadata": {"creationTimestamp": null},
            "spec": self.versioned(spec),
            "status": {"allowed": false},
        });
        let answer = match self.settings.backoff.run(|| self.client.post(&review, self.settings.timeout)).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, "the authorization webhook did not answer");
                return self.failed(error.to_string());
            }
        };
        let decision = read(&answer["status"]);
        if let Some(key) = key {
            self.remember(key, &decision);
        }
        decision
    }

    /// Whether every condition holds. One that does not decides, even if another cannot be evaluated.
    fn matches(&self, spec: &Value) -> Result<bool, CelError> {
        if self.conditions.is_empty() {
            return Ok(true);
        }
        let variables = Variables::new().with("request", spec);
        let mut failure = None;
        for condition in &self.conditions {
            match condition.evaluate_bool(&variables) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(true), Err)
    }

    fn failed(&self, error: String) -> Decision {
        let refusal = Refusal { reason: String::new(), error: Some(error) };
        match self.settings.failure_policy {
            FailurePolicy::NoOpinion => Decision::NoOpinion(refusal),
            FailurePolicy::Deny => Decision::Deny(refusal),
        }
    }

    /// v1beta1 has its groups under another name.
    fn versioned(&self, mut spec: Value) -> Value {
        if self.settings.version == "v1beta1"
            && let Some(spec) = spec.as_object_mut()
            && let Some(groups) = spec.remove("groups")
        {
            spec.insert("group".to_owned(), groups);
        }
        spec
    }

    fn remembered(&self, key: &str) -> Option<Decision> {
        let answers = self.answers.lock();
        answers.get(key).filter(|(until, _)| Instant::now() < *until).map(|(_, decision)| decision.clone())
    }

    fn remember(&self, key: String, decision: &Decision) {
        let settings = &self.settings;
        let ttl = if decision.is_allowed() { settings.authorized_ttl } else { settings.unauthorized_ttl };
        if ttl.is_zero() {
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
        answers.insert(key, (now + ttl, decision.clone()));
    }
}

impl Authorizer for Webhook {
    fn authorize<'a>(&'a self, attributes: &'a Attributes<'a>) -> Answer<'a> {
        Answer::Later(Box::pin(self.decide(attributes)))
    }

    fn rules(&self, _: &User, _: &str, list: &mut RuleList) {
        list.incomplete = true;
        list.errors.push("webhook authorizer does not support user rule resolution".to_owned());
    }
}

/// What the webhook said.
fn read(status: &Value) -> Decision {
    let reason = status["reason"].as_str().unwrap_or_default().to_owned();
    let allowed = status["allowed"].as_bool().unwrap_or_default();
    let denied = status["denied"].as_bool().unwrap_or_default();
    match (allowed, denied) {
        (true, true) => Decision::Deny(Refusal {
            reason,
            error: Some("webhook subject access review returned both allow and deny response".to_owned()),
        }),
        (false, true) => Decision::Deny(Refusal::new(reason)),
        (true, false) if reason.is_empty() => Decision::Allow(Reason::None),
        (true, false) => Decision::Allow(Reason::Text(reason)),
        (false, false) => Decision::no_opinion(reason),
    }
}

/// Whether the question is short enough to be remembered.
fn cacheable(a: &Attributes<'_>) -> bool {
    let controlled = [a.namespace, a.verb, a.group, a.version, a.resource, a.subresource, a.name, a.path];
    controlled.iter().map(|text| text.len()).sum::<usize>() < CONTROLLED_BYTES_MAX
}

/// The spec of the review that asks the question.
fn spec(a: &Attributes<'_>) -> Value {
    let mut spec = Map::new();
    let set = |map: &mut Map<String, Value>, key: &str, text: &str| {
        if !text.is_empty() {
            map.insert(key.to_owned(), text.into());
        }
    };
    set(&mut spec, "user", &a.user.name);
    set(&mut spec, "uid", &a.user.uid);
    if !a.user.groups.is_empty() {
        spec.insert("groups".to_owned(), json!(a.user.groups));
    }
    if !a.user.extra.is_empty() {
        spec.insert("extra".to_owned(), json!(a.user.extra));
    }
    let mut asked = Map::new();
    if a.is_resource {
        for (key, text) in [
            ("namespace", a.namespace),
            ("verb", a.verb),
            ("group", a.group),
            ("version", a.version),
            ("resource", a.resource),
            ("subresource", a.subresource),
            ("name", a.name),
        ] {
            set(&mut asked, key, text);
        }
        for (key, requirements) in [
            ("fieldSelector", Selector::field_requirements(&a.fields)),
            ("labelSelector", Selector::label_requirements(&a.labels)),
        ] {
            if !requirements.is_empty() {
                let requirements: Vec<Value> = requirements.iter().map(requirement).collect();
                asked.insert(key.to_owned(), json!({"requirements": requirements}));
            }
        }
        spec.insert("resourceAttributes".to_owned(), Value::Object(asked));
    } else {
        set(&mut asked, "path", a.path);
        set(&mut asked, "verb", a.verb);
        spec.insert("nonResourceAttributes".to_owned(), Value::Object(asked));
    }
    Value::Object(spec)
}

fn requirement(requirement: &Requirement) -> Value {
    let mut value = json!({"key": requirement.key, "operator": requirement.operator.as_str()});
    if !requirement.values.is_empty() {
        value["values"] = json!(requirement.values);
    }
    value
}

#[cfg(test)]
mod tests;
