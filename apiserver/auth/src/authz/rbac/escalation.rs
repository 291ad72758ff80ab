//! Nobody may give what they lack: which of the wanted rules a user's own rules do not cover.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::aggregate;
use super::rule::PolicyRule;
use crate::authz::message::{quoted, quoted_list};
use crate::user::User;

/// A rule with more parts than this is not taken apart: only a rule that covers it as a whole does.
const PARTS_MAX: usize = 100_000;

/// The parts of `wanted` that no rule of `own` covers.
pub fn missing(own: &[Arc<PolicyRule>], wanted: &[Arc<PolicyRule>]) -> Vec<PolicyRule> {
    let covered = |part: &PolicyRule| own.iter().any(|rule| rule.covers(part));
    let mut missing = Vec::new();
    // One rule that covers the whole covers every part: most roles are done with here.
    for rule in wanted.iter().filter(|rule| !covered(rule)) {
        if rule.parts_count() > PARTS_MAX {
            missing.push(PolicyRule::clone(rule));
        } else {
            missing.extend(rule.parts().filter(|part| !covered(part)));
        }
    }
    missing
}

/// Everything: what a user must hold to aggregate whatever others will write.
pub fn everything() -> Vec<Arc<PolicyRule>> {
    let any = || vec!["*".to_owned()];
    vec![
        Arc::new(PolicyRule { verbs: any(), groups: any(), resources: any(), ..PolicyRule::default() }),
        Arc::new(PolicyRule { verbs: any(), urls: any(), ..PolicyRule::default() }),
    ]
}

/// Refuses to give what the user lacks, with what that is. `errors` kept some of the user's own rules from being known.
pub fn confirm(
    user: &User,
    own: &[Arc<PolicyRule>],
    errors: &[String],
    wanted: &[Arc<PolicyRule>],
) -> Result<(), String> {
    let missing = missing(own, wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let shown: BTreeSet<String> = compact(missing).iter().map(PolicyRule::shown).collect();
    let shown: Vec<String> = shown.into_iter().collect();
    let mut text = format!(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        quoted(&user.name),
        quoted_list(&user.groups),
        shown.join("\n")
    );
    if !errors.is_empty() {
        text.push_str(&format!("; resolution errors: [{}]", aggregate(errors)));
    }
    Err(text)
}

/// Puts the verbs of one resource together, where a rule says nothing else.
fn compact(parts: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    let simple = |rule: &PolicyRule| rule.names.is_empty() && rule.urls.is_empty();
    let mut places = std::collections::HashMap::new();
    for part in parts {
        if !simple(&part) {
            rules.push(part);
            continue;
        }
        let place = *places.entry((part.groups.clone(), part.resources.clone())).or_insert(rules.len());
        match rules.get_mut(place) {
            Some(rule) => rule.verbs.extend(part.verbs),
            None => rules.push(part),
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rules(values: &[Value]) -> Vec<Arc<PolicyRule>> {
        values.iter().map(|v| Arc::new(PolicyRule::from_json(v))).collect()
    }

    #[test]
    fn what_is_missing_is_said_in_order() {
        let user = User { name: "alice".into(), groups: vec!["dev".into(), "x".into()], ..User::default() };
        let own = rules(&[json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]})]);
        let wanted = rules(&[
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["y"]}),
            json!({"verbs": ["get", "delete"], "apiGroups": [""], "resources": ["pods", "secrets"]}),
            json!({"verbs": ["get"], "nonResourceURLs": ["/metrics"]}),
        ]);
        let text = confirm(&user, &own, &[], &wanted).unwrap_err();
        assert_eq!(
            text,
            "user \"alice\" (groups=[\"dev\" \"x\"]) is attempting to grant RBAC permissions not currently held:\n\
             {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}\n\
             {APIGroups:[\"\"], Resources:[\"secrets\"], ResourceNames:[\"y\"], Verbs:[\"get\"]}\n\
             {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\"]}\n\
             {NonResourceURLs:[\"/metrics\"], Verbs:[\"get\"]}"
        );
        let errors = ["a".to_owned(), "b".to_owned(), "a".to_owned()];
        assert!(confirm(&user, &own, &errors, &wanted).unwrap_err().ends_with("; resolution errors: [[a, b]]"));
        assert_eq!(confirm(&user, &own, &[], &rules(&[])), Ok(()));
        let numbered = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        let large = json!({"verbs": numbered(1000), "apiGroups": numbered(1000), "resources": numbered(1000)});
        assert_eq!(missing(&own, &rules(std::slice::from_ref(&large))).len(), 1);
        assert_eq!(missing(&everything(), &rules(&[large])).len(), 0);
        // A rule with no resources has no parts: there is nothing to give.
        assert_eq!(confirm(&user, &own, &[], &rules(&[json!({"verbs": ["get"], "apiGroups": ["x"]})])), Ok(()));
        let all = everything();
        assert_eq!(confirm(&user, &all, &[], &wanted), Ok(()));
        assert_eq!(confirm(&user, &all, &[], &everything()), Ok(()));
    }
}
