//! Several authorizers in order: the first that has an opinion decides.

use super::attributes::Attributes;
use super::decision::{Authorizer, Decision, Refusal, RuleList};
use crate::user::User;

#[derive(Default)]
pub struct Chain(Vec<Box<dyn Authorizer>>);

impl Chain {
    pub fn new(authorizers: Vec<Box<dyn Authorizer>>) -> Self {
        Chain(authorizers)
    }

    /// Asks in order. Waits only where an authorizer has to.
    pub async fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let mut collected = Refusal::default();
        for authorizer in &self.0 {
            match authorizer.authorize(attributes).decision().await {
                Decision::NoOpinion(refusal) => collect(&mut collected, refusal),
                decided => return decided,
            }
        }
        Decision::NoOpinion(collected)
    }

    /// The rules of a user in a namespace, of every authorizer.
    pub fn rules(&self, user: &User, namespace: &str) -> RuleList {
        let mut list = RuleList::default();
        for authorizer in &self.0 {
            authorizer.rules(user, namespace, &mut list);
        }
        list
    }
}

/// Reasons stand on lines of their own, errors as Go prints an aggregate.
fn collect(all: &mut Refusal, one: Refusal) {
    if !one.reason.is_empty() {
        if !all.reason.is_empty() {
            all.reason.push('\n');
        }
        all.reason.push_str(&one.reason);
    }
    if let Some(error) = one.error {
        all.error = Some(match all.error.take() {
            None => error,
            Some(before) => format!("[{}, {error}]", before.trim_start_matches('[').trim_end_matches(']')),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::builtin::{AlwaysAllow, AlwaysDeny, Masters};
    use crate::authz::{Answer, Reason};
    use crate::user::MASTERS;

    struct Says(Decision);

    impl Authorizer for Says {
        fn authorize<'a>(&'a self, _: &'a Attributes<'a>) -> Answer<'a> {
            let decision = self.0.clone();
            Answer::Later(Box::pin(async move { decision }))
        }
        fn rules(&self, _: &User, _: &str, _: &mut RuleList) {}
    }

    async fn ask(chain: &Chain, user: &User) -> Decision {
        chain.authorize(&Attributes::of_resource(user, "get", "", "pods")).await
    }

    #[tokio::test]
    async fn the_first_opinion_decides_and_reasons_add_up() {
        let (user, root) = (User { name: "u".into(), ..User::default() }, User::loopback());
        assert!(root.is_in(MASTERS));
        let chain = Chain::new(vec![Box::new(Masters), Box::new(AlwaysDeny)]);
        assert!(ask(&chain, &root).await.is_allowed());
        assert!(matches!(ask(&chain, &user).await, Decision::NoOpinion(r) if r.reason == "Everything is forbidden."));
        let said = |d: Decision| -> Box<dyn Authorizer> { Box::new(Says(d)) };
        let failed = Refusal { reason: "b".into(), error: Some("down".into()) };
        let chain = Chain::new(vec![
            said(Decision::no_opinion("a")),
            said(Decision::NoOpinion(failed.clone())),
            said(Decision::NoOpinion(failed.clone())),
            Box::new(AlwaysDeny),
        ]);
        let Decision::NoOpinion(refusal) = ask(&chain, &user).await else { panic!("nobody has an opinion") };
        assert_eq!(refusal.reason, "a\nb\nb\nEverything is forbidden.");
        assert_eq!(refusal.error.as_deref(), Some("[down, down]"));
        // A failure of one does not hinder another.
        let chain = Chain::new(vec![said(Decision::NoOpinion(failed)), Box::new(AlwaysAllow)]);
        assert!(ask(&chain, &user).await.is_allowed());
        let chain = Chain::new(vec![said(Decision::Deny(Refusal::new("no"))), Box::new(AlwaysAllow)]);
        assert!(matches!(ask(&chain, &user).await, Decision::Deny(r) if r.reason == "no"));
        let chain = Chain::new(vec![said(Decision::Allow(Reason::None)), Box::new(AlwaysDeny)]);
        assert!(ask(&chain, &user).await.is_allowed());
    }
}
