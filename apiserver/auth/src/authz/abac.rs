//! ABAC: a file of policies, one JSON object a line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::attributes::Attributes;
use super::decision::{Answer, Authorizer, Decision, Reason, RuleList};
use super::rbac::rule::PolicyRule;
use crate::user::{AUTHENTICATED, User};

const API_VERSION: &str = "abac.authorization.kubernetes.io/v1beta1";

/// Why a policy file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AbacError {
    #[error("cannot read the policy file {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// `line` counts from 1.
    #[error("policy file {}, line {line}: {why}", path.display())]
    BadLine { path: PathBuf, line: usize, why: String },
}

/// `--authorization-mode=ABAC`
#[derive(Debug, Default)]
pub struct Abac(Vec<Spec>);

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    user: String,
    group: String,
    readonly: bool,
    api_group: String,
    resource: String,
    namespace: String,
    non_resource_path: String,
}

impl Spec {
    /// Reads a line: a Policy, or what policies were before they had versions.
    fn read(line: &str) -> Result<Self, String> {
        let policy: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let text = |key: &str| policy.get(key).and_then(Value::as_str).unwrap_or_default();
        let versioned = !text("apiVersion").is_empty() || !text("kind").is_empty();
        if versioned && (text("apiVersion"), text("kind")) != (API_VERSION, "Policy") {
            let (kind, version) = (text("kind"), text("apiVersion"));
            return Err(format!("no kind {kind:?} is registered for version {version:?}"));
        }
        let given = if versioned { policy.get("spec").cloned().unwrap_or_default() } else { policy };
        let mut spec: Spec = match given {
            Value::Null => Spec::default(),
            given => serde_json::from_value(given).map_err(|e| e.to_string())?,
        };
        if !versioned {
            spec.without_version();
        }
        if spec.user == "*" || spec.group == "*" {
            spec.user.clear();
            spec.group = AUTHENTICATED.to_owned();
        }
        Ok(spec)
    }

    /// What is left out meant everything then.
    fn without_version(&mut self) {
        if self.user.is_empty() && self.group.is_empty() {
            self.group = AUTHENTICATED.to_owned();
        }
        if self.namespace.is_empty() && self.resource.is_empty() {
            self.non_resource_path = "*".to_owned();
        }
        for field in [&mut self.namespace, &mut self.resource] {
            if field.is_empty() {
                *field = "*".to_owned();
            }
        }
        self.api_group = "*".to_owned();
    }

    fn is_for(&self, user: &User) -> bool {
        let by_user = self.user.is_empty() || self.user == user.name;
        let by_group = self.group.is_empty() || user.is_in(&self.group);
        // One that names nobody is for nobody.
        by_user && by_group && !(self.user.is_empty() && self.group.is_empty())
    }

    fn allows(&self, a: &Attributes<'_>) -> bool {
        if !self.is_for(a.user) || self.readonly && !matches!(a.verb, "get" | "list" | "watch") {
            return false;
        }
        let fits = |own: &str, asked: &str| own == "*" || own == asked;
        if a.is_resource {
            return fits(&self.namespace, a.namespace)
                && fits(&self.resource, a.resource)
                && fits(&self.api_group, a.group);
        }
        let own = &self.non_resource_path;
        fits(own, a.path) || own.ends_with('*') && a.path.starts_with(own.trim_end_matches('*'))
    }
}

impl Abac {
    /// Reads a policy file. Empty lines and those that begin with `#` are left out.
    pub fn load(path: &Path) -> Result<Self, AbacError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| AbacError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|(line, why)| AbacError::BadLine { path: path.to_owned(), line, why })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
        let policies = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let policies = policies.map(|(number, line)| Spec::read(line).map_err(|why| (number, why)));
        policies.collect::<Result<_, _>>().map(Abac)
    }
}

impl Authorizer for Abac {
    fn authorize<'a>(&'a self, attributes: &'a Attributes<'a>) -> Answer<'a> {
        let allowed = self.0.iter().any(|policy| policy.allows(attributes));
        Answer::Now(if allowed { Decision::Allow(Reason::None) } else { Decision::no_opinion("No policy matched.") })
    }

    fn rules(&self, user: &User, namespace: &str, list: &mut RuleList) {
        let applies = |p: &&Spec| p.is_for(user) && (p.namespace == "*" || p.namespace == namespace);
        for policy in self.0.iter().filter(applies) {
            let verbs: &[&str] = if policy.readonly { &["get", "list", "watch"] } else { &["*"] };
            let verbs: Vec<String> = verbs.iter().map(|v| (*v).to_owned()).collect();
            if !policy.resource.is_empty() {
                list.rules.push(Arc::new(PolicyRule {
                    verbs: verbs.clone(),
                    groups: vec![policy.api_group.clone()],
                    resources: vec![policy.resource.clone()],
                    ..PolicyRule::default()
                }));
            }
            if !policy.non_resource_path.is_empty() {
                let urls = vec![policy.non_resource_path.clone()];
                list.rules.push(Arc::new(PolicyRule { verbs, urls, ..PolicyRule::default() }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
# who may do what
{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": {"user": "alice", "namespace": "*", "resource": "*", "apiGroup": "*"}}
{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": {"user": "bob", "namespace": "a", "resource": "pods", "readonly": true}}
{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": {"group": "ops", "nonResourcePath": "/metrics*", "readonly": true}}
{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": {"group": "*", "nonResourcePath": "/version"}}
{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": {"nonResourcePath": "*", "resource": "*", "namespace": "*", "apiGroup": "*"}}
{"user": "old", "resource": "pods"}
"#;

    fn user(name: &str, groups: &[&str]) -> User {
        User { name: name.into(), groups: groups.iter().map(|g| g.to_string()).collect(), ..User::default() }
    }

    #[test]
    fn policies() {
        let abac = Abac::parse(FILE).unwrap();
        let allows =
            |attributes: Attributes<'_>| matches!(abac.authorize(&attributes), Answer::Now(Decision::Allow(_)));
        // user, group, verb, api group, resource, namespace, allowed
        for (name, group, verb, api_group, resource, namespace, allowed) in [
            ("alice", "", "delete", "apps", "deployments", "x", true),
            ("bob", "", "get", "", "pods", "a", true),
            ("bob", "", "list", "", "pods", "", false),
            ("bob", "", "delete", "", "pods", "a", false),
            ("bob", "", "get", "", "secrets", "a", false),
            ("bob", "", "get", "", "pods", "b", false),
            ("bob", "", "get", "apps", "pods", "a", false),
            ("carol", "ops", "get", "", "pods", "a", false),
            ("old", "", "delete", "any", "pods", "x", true),
            ("old", "", "delete", "any", "secrets", "x", false),
            ("nobody", AUTHENTICATED, "get", "", "pods", "a", false),
        ] {
            let who = user(name, &[group]);
            let asked = Attributes { namespace, ..Attributes::of_resource(&who, verb, api_group, resource) };
            assert_eq!(allows(asked), allowed, "{name} {verb} {resource} {namespace}");
        }
        for (name, group, verb, path, allowed) in [
            ("carol", "ops", "get", "/metrics/x", true),
            ("carol", "ops", "post", "/metrics", false),
            ("carol", "ops", "get", "/version", false),
            ("carol", AUTHENTICATED, "post", "/version", true),
            ("alice", "", "get", "/metrics", false),
            ("old", "", "get", "/metrics", false),
        ] {
            let who = user(name, &[group]);
            assert_eq!(allows(Attributes::of_path(&who, verb, path)), allowed, "{name} {verb} {path}");
        }
        let mut list = RuleList::default();
        abac.rules(&user("bob", &["ops"]), "a", &mut list);
        let shown: Vec<String> = list.rules.iter().map(|rule| rule.shown()).collect();
        assert_eq!(shown, [r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list" "watch"]}"#]);
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, line) in
            [("\n{", 2), ("[1]", 1), (r#"{"apiVersion": "v1", "kind": "Policy"}"#, 1), (r#"{"user": 1}"#, 1)]
        {
            assert_eq!(Abac::parse(text).unwrap_err().0, line, "{text}");
        }
        assert!(Abac::load(Path::new("/nonexistent")).is_err());
    }
}
