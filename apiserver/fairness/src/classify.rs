//! Which FlowSchema a request belongs to, from an index over the subjects of all schemas.
//!
//! Rules are numbered in the order in which schemas are tried. The index maps a user, a group or a namespace of
//! service accounts to the set of rules that name it; the sets of one request, joined, are the rules whose verbs and
//! resources are then looked at, first match wins. Schemas about other subjects cost nothing.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::spec::{FlowSchema, NonResourceRule, PolicyRules, ResourceRule, Subject};

/// What of a request decides its flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    pub user: &'a str,
    pub groups: &'a [String],
    /// As request info names it.
    pub verb: &'a str,
    /// Whether the path names a resource; else only `path` and `verb` count.
    pub is_resource: bool,
    pub path: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    /// Empty: the request is for the whole cluster.
    pub namespace: &'a str,
}

/// Finds the schema of a request.
#[derive(Debug, Default)]
pub struct Classifier {
    rules: Vec<Rule>,
    /// Rules about everybody.
    everybody: Rules,
    users: HashMap<Box<str>, Rules>,
    groups: HashMap<Box<str>, Rules>,
    /// All service accounts of a namespace.
    namespaces: HashMap<Box<str>, Rules>,
}

/// A set of rules by number.
type Rules = SmallVec<[u64; 2]>;

#[derive(Debug)]
struct Rule {
    /// Its schema, by the order in which schemas are tried.
    schema: usize,
    resources: Vec<Resources>,
    paths: Vec<Paths>,
}

#[derive(Debug)]
struct Resources {
    verbs: Names,
    groups: Names,
    resources: Names,
    namespaces: Names,
    cluster_scope: bool,
}

#[derive(Debug)]
struct Paths {
    verbs: Names,
    paths: Vec<PathPattern>,
}

#[derive(Debug)]
enum PathPattern {
    Any,
    Exact(Box<str>),
    /// The path itself without its last `*`, and what lies below it.
    Below(Box<str>),
}

#[derive(Debug)]
enum Names {
    Any,
    Of(Vec<Box<str>>),
}

const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

impl Classifier {
    /// `schemas` in the order in which they are tried: [`order`].
    pub fn new<'a>(schemas: impl IntoIterator<Item = &'a FlowSchema>) -> Self {
        let mut classifier = Classifier::default();
        for (number, schema) in schemas.into_iter().enumerate() {
            for rule in &schema.spec.rules {
                classifier.add(number, rule);
            }
        }
        classifier
    }

    fn add(&mut self, schema: usize, rule: &PolicyRules) {
        let number = self.rules.len();
        for Subject { user, group, service_account } in &rule.subjects {
            if let Some(user) = user {
                insert(self.entry(&user.name, |c| &mut c.users), number);
            }
            if let Some(group) = group {
                insert(self.entry(&group.name, |c| &mut c.groups), number);
            }
            match service_account {
                Some(account) if account.name == "*" => {
                    insert(self.namespaces.entry(account.namespace.as_str().into()).or_default(), number);
                }
                Some(account) => {
                    let user = [SERVICE_ACCOUNT, &account.namespace, ":", &account.name].concat();
                    insert(self.users.entry(user.into()).or_default(), number);
                }
                None => {}
            }
        }
        self.rules.push(Rule {
            schema,
            resources: rule.resource_rules.iter().map(Resources::new).collect(),
            paths: rule.non_resource_rules.iter().map(Paths::new).collect(),
        });
    }

    fn entry(&mut self, name: &str, map: fn(&mut Self) -> &mut HashMap<Box<str>, Rules>) -> &mut Rules {
        if name == "*" { &mut self.everybody } else { map(self).entry(name.into()).or_default() }
    }

    /// The number of the first schema that matches.
    pub fn find(&self, request: &Attributes<'_>) -> Option<usize> {
        let mut found = self.everybody.clone();
        join(&mut found, self.users.get(request.user));
        for group in request.groups {
            join(&mut found, self.groups.get(group.as_str()));
        }
        if !self.namespaces.is_empty()
            && let Some((namespace, _)) = request.user.strip_prefix(SERVICE_ACCOUNT).and_then(|u| u.split_once(':'))
        {
            join(&mut found, self.namespaces.get(namespace));
        }
        numbers(&found).map(|number| &self.rules[number]).find(|rule| rule.matches(request)).map(|rule| rule.schema)
    }
}

/// Sorts schemas into the order in which they are tried.
pub fn order(schemas: &mut [FlowSchema]) {
    schemas.sort_by(|a, b| {
        (a.spec.matching_precedence, &a.metadata.name).cmp(&(b.spec.matching_precedence, &b.metadata.name))
    });
}

fn insert(set: &mut Rules, number: usize) {
    let word = number / 64;
    if set.len() <= word {
        set.resize(word + 1, 0);
    }
    set[word] |= 1 << (number % 64);
}

fn join(set: &mut Rules, more: Option<&Rules>) {
    let Some(more) = more else { return };
    if set.len() < more.len() {
        set.resize(more.len(), 0);
    }
    for (word, bits) in set.iter_mut().zip(more) {
        *word |= bits;
    }
}

/// The numbers in a set, smallest first.
fn numbers(set: &Rules) -> impl Iterator<Item = usize> {
    set.iter().enumerate().flat_map(|(word, bits)| {
        let mut left = *bits;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (bit < 64).then_some(word * 64 + bit)
        })
    })
}

impl Rule {
    fn matches(&self, request: &Attributes<'_>) -> bool {
        if request.is_resource {
            self.resources.iter().any(|r| r.match_request(request))
        } else {
            self.paths.iter().any(|p| p.match_request(request))
        }
    }
}

impl Resources {
    fn new(rule: &ResourceRule) -> Self {
        Resources {
            verbs: Names::new(&rule.verbs),
            groups: Names::new(&rule.api_groups),
            resources: Names::new(&rule.resources),
            namespaces: Names::new(&rule.namespaces),
            cluster_scope: rule.cluster_scope,
        }
    }

    fn match_request(&self, request: &Attributes<'_>) -> bool {
        self.verbs.has(request.verb)
            && self.groups.has(request.group)
            && self.resources.has_resource(request.resource, request.subresource)
            && if request.namespace.is_empty() { self.cluster_scope } else { self.namespaces.has(request.namespace) }
    }
}

impl Paths {
    fn new(rule: &NonResourceRule) -> Self {
        let pattern = |text: &String| match text.strip_suffix('*') {
            Some("") => PathPattern::Any,
            // Also the wildcard stops at segments: `/debug*` and `/debug/*` both mean what is below /debug/.
            Some(prefix) => PathPattern::Below(format!("{}/", prefix.trim_end_matches('/')).into()),
            None => PathPattern::Exact(text.as_str().into()),
        };
        Paths { verbs: Names::new(&rule.verbs), paths: rule.non_resource_urls.iter().map(pattern).collect() }
    }

    fn match_request(&self, request: &Attributes<'_>) -> bool {
        self.verbs.has(request.verb) && self.paths.iter().any(|pattern| pattern.matches(request.path))
    }
}

impl PathPattern {
    fn matches(&self, path: &str) -> bool {
        match self {
            PathPattern::Any => true,
            // A path without a wildcard also covers what lies below it: /healthz is /healthz/etcd as well.
            PathPattern::Exact(own) => path
                .strip_prefix(&**own)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || own.ends_with('/')),
            PathPattern::Below(prefix) => path.starts_with(&**prefix),
        }
    }
}

impl Names {
    fn new(names: &[String]) -> Self {
        if names.iter().any(|name| name == "*") {
            return Names::Any;
        }
        Names::Of(names.iter().map(|name| name.as_str().into()).collect())
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Names::Any => true,
            Names::Of(names) => names.iter().any(|own| **own == *name),
        }
    }

    /// `resource/subresource` has to be named as that.
    fn has_resource(&self, resource: &str, subresource: &str) -> bool {
        let Names::Of(names) = self else { return true };
        names.iter().any(|own| match own.split_once('/') {
            None => **own == *resource && subresource.is_empty(),
            Some((first, second)) => first == resource && second == subresource,
        })
    }
}

#[cfg(test)]
mod tests;
