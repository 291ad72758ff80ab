//! One policy rule: what it allows, and how it is read and shown.

use serde_json::Value;

use crate::authz::attributes::Attributes;
use crate::authz::message::quoted_list;

/// A rule of a role, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    /// `pods`, `pods/log`, `*/scale`, `*`
    pub resources: Vec<String>,
    /// Empty: all.
    pub names: Vec<String>,
    /// `/healthz`, `/apis/*`, `*`
    pub urls: Vec<String>,
}

const ANY: &str = "*";

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == wanted)
}

/// Whether the list has `*` or the text.
fn allows(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == ANY || item == wanted)
}

impl PolicyRule {
    /// Reads a rule of a Role or ClusterRole.
    pub fn from_json(rule: &Value) -> Self {
        let list = |key: &str| -> Vec<String> {
            let items = rule.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        PolicyRule {
            verbs: list("verbs"),
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
            urls: list("nonResourceURLs"),
        }
    }

    /// As it is stored: without what is empty.
    pub fn to_json(&self) -> Value {
        let mut rule = serde_json::Map::new();
        for (key, list) in [
            ("apiGroups", &self.groups),
            ("nonResourceURLs", &self.urls),
            ("resourceNames", &self.names),
            ("resources", &self.resources),
            ("verbs", &self.verbs),
        ] {
            if !list.is_empty() {
                rule.insert(key.to_owned(), list.iter().map(String::as_str).collect());
            }
        }
        Value::Object(rule)
    }

    /// All rules of a Role or ClusterRole.
    pub fn all_of(role: &Value) -> Vec<Self> {
        let rules = role.get("rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        rules.iter().map(PolicyRule::from_json).collect()
    }

    pub fn allows(&self, a: &Attributes<'_>) -> bool {
        if !allows(&self.verbs, a.verb) {
            return false;
        }
        if a.is_resource {
            allows(&self.groups, a.group)
                && self.resources.iter().any(|r| resource_allows(r, a.resource, a.subresource))
                && (self.names.is_empty() || has(&self.names, a.name))
        } else {
            self.urls.iter().any(|url| url_covers(url, a.path))
        }
    }

    /// As messages about escalation show it.
    pub fn shown(&self) -> String {
        let parts: Vec<String> = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.urls),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name}:{}", quoted_list(list)))
        .collect();
        format!("{{{}}}", parts.join(", "))
    }

    /// Whether this rule alone allows all that `part` does.
    pub fn covers(&self, part: &PolicyRule) -> bool {
        let all = |own: &[String], wanted: &[String]| has(own, ANY) || wanted.iter().all(|w| has(own, w));
        all(&self.verbs, &part.verbs)
            && all(&self.groups, &part.groups)
            && (has(&self.resources, ANY) || part.resources.iter().all(|r| self.covers_resource(r)))
            && part.urls.iter().all(|url| self.urls.iter().any(|own| url == own || url_prefix_covers(own, url)))
            && (self.names.is_empty() || !part.names.is_empty() && part.names.iter().all(|n| has(&self.names, n)))
    }

    fn covers_resource(&self, resource: &str) -> bool {
        has(&self.resources, resource)
            || resource
                .split_once('/')
                .is_some_and(|(_, sub)| self.resources.iter().any(|own| own.strip_prefix("*/") == Some(sub)))
    }

    /// How many [`PolicyRule::parts`] there are.
    pub fn parts_count(&self) -> usize {
        let count = |list: &[String]| list.len();
        let resources = [count(&self.groups), count(&self.resources), count(&self.verbs), count(&self.names).max(1)];
        let resources = resources.into_iter().fold(1usize, usize::saturating_mul);
        resources.saturating_add(count(&self.urls).saturating_mul(count(&self.verbs)))
    }

    /// The rule in parts with one group, resource, verb and name (or one URL and verb) each.
    pub fn parts(&self) -> impl Iterator<Item = PolicyRule> + '_ {
        let one = |text: &String| vec![text.clone()];
        let names: Vec<Vec<String>> =
            if self.names.is_empty() { vec![Vec::new()] } else { self.names.iter().map(one).collect() };
        let resources = self.groups.iter().flat_map(move |group| {
            let names = names.clone();
            self.resources.iter().flat_map(move |resource| {
                let names = names.clone();
                self.verbs.iter().flat_map(move |verb| {
                    names.clone().into_iter().map(move |names| PolicyRule {
                        groups: one(group),
                        resources: one(resource),
                        verbs: one(verb),
                        names,
                        urls: Vec::new(),
                    })
                })
            })
        });
        let urls = self.urls.iter().flat_map(move |url| {
            self.verbs.iter().map(move |verb| PolicyRule { urls: one(url), verbs: one(verb), ..PolicyRule::default() })
        });
        resources.chain(urls)
    }
}

/// Whether the resource of a rule is the requested one, without putting `pods` and `log` together first.
fn resource_allows(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == ANY {
        return true;
    }
    if subresource.is_empty() {
        return rule == resource;
    }
    match rule.strip_suffix(subresource).and_then(|head| head.strip_suffix('/')) {
        Some(head) => head == ANY || head == resource,
        None => false,
    }
}

/// Whether the URL of a rule is, or begins, the path.
fn url_covers(rule: &str, path: &str) -> bool {
    rule == ANY || rule == path || url_prefix_covers(rule, path)
}

fn url_prefix_covers(rule: &str, path: &str) -> bool {
    rule.ends_with('*') && path.starts_with(rule.trim_end_matches('*'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::user::User;

    fn rule(value: Value) -> PolicyRule {
        PolicyRule::from_json(&value)
    }

    #[test]
    fn resources() {
        let user = User::anonymous();
        // rule, verb, group, resource, subresource, name, allowed
        type Case = (Value, [&'static str; 5], bool);
        let pods = || json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        let table: Vec<Case> = vec![
            (pods(), ["get", "", "pods", "", "x"], true),
            (pods(), ["get", "", "pods", "", ""], true),
            (pods(), ["list", "", "pods", "", ""], false),
            (pods(), ["get", "apps", "pods", "", ""], false),
            (pods(), ["get", "", "pods", "log", "x"], false),
            (pods(), ["get", "", "pod", "", ""], false),
            (json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), ["x", "y", "z", "w", ""], true),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}),
                ["get", "", "pods", "log", "x"],
                true,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}),
                ["get", "", "pods", "", "x"],
                false,
            ),
            // A review may name both in one.
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}),
                ["get", "", "pods/log", "", "x"],
                true,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["*/scale"]}),
                ["get", "", "rc", "scale", "x"],
                true,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["*/scale"]}),
                ["get", "", "rc", "upscale", "x"],
                false,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["*/scale"]}),
                ["get", "", "scale", "", "x"],
                false,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["/scale"]}),
                ["get", "", "rc", "scale", "x"],
                false,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a", "b"]}),
                ["get", "", "pods", "", "b"],
                true,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}),
                ["get", "", "pods", "", "c"],
                false,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}),
                ["get", "", "pods", "", ""],
                false,
            ),
            (json!({"verbs": ["get"], "nonResourceURLs": ["*"]}), ["get", "", "pods", "", ""], false),
            (json!({}), ["get", "", "pods", "", ""], false),
        ];
        for (value, [verb, group, resource, subresource, name], allowed) in table {
            let attributes = Attributes { subresource, name, ..Attributes::of_resource(&user, verb, group, resource) };
            assert_eq!(rule(value.clone()).allows(&attributes), allowed, "{value} {attributes:?}");
        }
    }

    #[test]
    fn paths() {
        let user = User::anonymous();
        for (url, path, allowed) in [
            ("*", "/anything", true),
            ("/healthz", "/healthz", true),
            ("/healthz", "/healthz/", false),
            ("/healthz/*", "/healthz/ping", true),
            ("/healthz/*", "/healthz", false),
            ("/custom*", "/custom-thing", true),
            ("/api**", "/apis", true),
            ("", "", true),
            ("/*", "/", true),
        ] {
            let get = rule(json!({"verbs": ["get"], "nonResourceURLs": [url]}));
            assert_eq!(get.allows(&Attributes::of_path(&user, "get", path)), allowed, "{url} {path}");
            assert!(!get.allows(&Attributes::of_path(&user, "post", path)));
        }
        let all = rule(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        assert!(!all.allows(&Attributes::of_path(&user, "get", "/metrics")));
    }

    #[test]
    fn a_rule_is_shown_and_taken_apart() {
        let one = rule(
            json!({"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["a", "b"], "resourceNames": ["n"]}),
        );
        assert_eq!(
            one.shown(),
            r#"{APIGroups:["" "apps"], Resources:["a" "b"], ResourceNames:["n"], Verbs:["get" "list"]}"#
        );
        assert_eq!((one.parts().count(), one.parts_count()), (8, 8));
        assert!(one.parts().all(|part| one.covers(&part)));
        let urls = rule(json!({"verbs": ["get"], "nonResourceURLs": ["/a", "/b/*"]}));
        let shown: Vec<String> = urls.parts().map(|p| p.shown()).collect();
        assert_eq!(
            shown,
            [r#"{NonResourceURLs:["/a"], Verbs:["get"]}"#, r#"{NonResourceURLs:["/b/*"], Verbs:["get"]}"#]
        );
    }

    #[test]
    fn cover() {
        let pods = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        let named = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]});
        for (own, part, covered) in [
            (&pods, &pods, true),
            (&pods, &named, true),
            (&named, &pods, false),
            (&json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), &pods, true),
            (
                &json!({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}),
                &json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}),
                true,
            ),
            (&json!({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}), &pods, false),
            (
                &json!({"verbs": ["get"], "nonResourceURLs": ["/a/*"]}),
                &json!({"verbs": ["get"], "nonResourceURLs": ["/a/b/*"]}),
                true,
            ),
            (
                &json!({"verbs": ["get"], "nonResourceURLs": ["/a/b"]}),
                &json!({"verbs": ["get"], "nonResourceURLs": ["/a/*"]}),
                false,
            ),
            (
                &json!({"verbs": ["get"], "nonResourceURLs": ["*"]}),
                &json!({"verbs": ["get"], "nonResourceURLs": ["/a"]}),
                true,
            ),
            (
                &json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
                &json!({"verbs": ["get"], "nonResourceURLs": ["/a"]}),
                false,
            ),
        ] {
            assert_eq!(rule(own.clone()).covers(&rule(part.clone())), covered, "{own} {part}");
        }
    }
}
