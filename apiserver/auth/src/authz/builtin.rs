//! Authorizers that need no policy.

use std::sync::Arc;

use super::attributes::Attributes;
use super::decision::{Answer, Authorizer, Decision, Reason, RuleList};
use super::rbac::rule::PolicyRule;
use crate::user::{MASTERS, User};

/// system:masters may do everything. Always first.
pub struct Masters;

impl Authorizer for Masters {
    fn authorize<'a>(&'a self, attributes: &'a Attributes<'a>) -> Answer<'a> {
        let allowed = attributes.user.is_in(MASTERS);
        Answer::Now(if allowed { Decision::Allow(Reason::None) } else { Decision::none() })
    }

    fn rules(&self, _: &User, _: &str, _: &mut RuleList) {}
}

/// `--authorization-mode=AlwaysAllow`
pub struct AlwaysAllow;

impl Authorizer for AlwaysAllow {
    fn authorize<'a>(&'a self, _: &'a Attributes<'a>) -> Answer<'a> {
        Answer::Now(Decision::Allow(Reason::None))
    }

    fn rules(&self, _: &User, _: &str, list: &mut RuleList) {
        let any = || vec!["*".to_owned()];
        let resources = PolicyRule { verbs: any(), groups: any(), resources: any(), ..PolicyRule::default() };
        let urls = PolicyRule { verbs: any(), urls: any(), ..PolicyRule::default() };
        list.rules.extend([Arc::new(resources), Arc::new(urls)]);
    }
}

/// `--authorization-mode=AlwaysDeny`
pub struct AlwaysDeny;

impl Authorizer for AlwaysDeny {
    fn authorize<'a>(&'a self, _: &'a Attributes<'a>) -> Answer<'a> {
        Answer::Now(Decision::no_opinion("Everything is forbidden."))
    }

    fn rules(&self, _: &User, _: &str, _: &mut RuleList) {}
}
