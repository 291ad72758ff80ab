//! Answers of authorizers, and the trait that gives them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::attributes::Attributes;
use super::rbac::Grant;
use super::rbac::rule::PolicyRule;
use crate::user::User;

/// What one authorizer says.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Allowed, whatever later authorizers would say.
    Allow(Reason),
    /// Refused, whatever later authorizers would say.
    Deny(Refusal),
    /// Others decide.
    NoOpinion(Refusal),
}

/// Why something is allowed. Made into text only where somebody reads it.
#[derive(Clone, Debug, Default)]
pub enum Reason {
    #[default]
    None,
    Text(String),
    /// A binding of RBAC.
    Grant(Grant),
}

/// Why something is not allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Shown to the user; may be empty.
    pub reason: String,
    /// What kept an authorizer from deciding. Unless another one allows the request, it ends with 500.
    pub error: Option<String>,
}

impl Refusal {
    pub fn new(reason: impl Into<String>) -> Self {
        Refusal { reason: reason.into(), error: None }
    }
}

impl Decision {
    /// Nothing to say.
    pub fn none() -> Self {
        Decision::NoOpinion(Refusal::default())
    }

    pub fn no_opinion(reason: impl Into<String>) -> Self {
        Decision::NoOpinion(Refusal::new(reason))
    }

    pub fn is_allowed(&self) -> bool {
        matches!(self, Decision::Allow(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::None => Ok(()),
            Reason::Text(text) => f.write_str(text),
            Reason::Grant(grant) => grant.fmt(f),
        }
    }
}

/// A decision that has to be waited for.
pub type Verdict<'a> = Pin<Box<dyn Future<Output = Decision> + Send + 'a>>;

/// A decision, now or later. Authorizers that know what they need answer now, and nothing is boxed for them.
pub enum Answer<'a> {
    Now(Decision),
    Later(Verdict<'a>),
}

impl Answer<'_> {
    pub async fn decision(self) -> Decision {
        match self {
            Answer::Now(decision) => decision,
            Answer::Later(verdict) => verdict.await,
        }
    }
}

/// The rules that apply to a user in a namespace, as far as authorizers can list them.
#[derive(Clone, Debug, Default)]
pub struct RuleList {
    pub rules: Vec<Arc<PolicyRule>>,
    /// Whether there is, or may be, more than is listed.
    pub incomplete: bool,
    pub errors: Vec<String>,
}

/// Decides on questions.
pub trait Authorizer: Send + Sync {
    fn authorize<'a>(&'a self, attributes: &'a Attributes<'a>) -> Answer<'a>;

    /// Adds the rules of a user in a namespace.
    fn rules(&self, user: &User, namespace: &str, list: &mut RuleList);
}
