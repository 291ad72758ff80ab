//! `Policy` (audit.k8s.io/v1): which requests are recorded, and how much of them. The first rule that matches counts.

use std::fmt;

use serde::Deserialize;

/// How much is recorded. Ordered: each level records what the one before it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    None,
    Metadata,
    Request,
    RequestResponse,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::None => "None",
            Level::Metadata => "Metadata",
            Level::Request => "Request",
            Level::RequestResponse => "RequestResponse",
        }
    }
}

/// When a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    #[default]
    RequestReceived,
    /// Only of requests that last: the headers have been sent.
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    const ALL: [Stage; 4] = [Stage::RequestReceived, Stage::ResponseStarted, Stage::ResponseComplete, Stage::Panic];

    pub fn as_str(self) -> &'static str {
        match self {
            Stage::RequestReceived => "RequestReceived",
            Stage::ResponseStarted => "ResponseStarted",
            Stage::ResponseComplete => "ResponseComplete",
            Stage::Panic => "Panic",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages(u8);

impl Stages {
    pub fn contains(self, stage: Stage) -> bool {
        self.0 & stage.bit() != 0
    }

    fn union(self, other: Stages) -> Stages {
        Stages(self.0 | other.0)
    }
}

/// What the rules say of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub level: Level,
    pub omit_stages: Stages,
    pub omit_managed_fields: bool,
}

/// What rules look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// `None`: nobody was recognised.
    pub user: Option<&'a str>,
    pub groups: &'a [String],
    pub verb: &'a str,
    /// Whether the request is about a resource; else only `path` counts.
    pub is_resource: bool,
    pub path: &'a str,
    pub namespace: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub name: &'a str,
}

/// Why a policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("failed to read file path {path:?}: {source}")]
    Unreadable { path: std::path::PathBuf, source: std::io::Error },
    #[error("failed decoding: {0}")]
    Malformed(String),
    #[error("loaded illegal policy with 0 rules")]
    NoRules,
    #[error("{0}")]
    Invalid(String),
}

/// A checked policy.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    /// Of requests that no rule matches, which are not recorded.
    omit_stages: Stages,
}

#[derive(Debug)]
struct Rule {
    decision: Decision,
    users: Vec<String>,
    user_groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<GroupResources>,
    namespaces: Vec<String>,
    non_resource_urls: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupResources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    #[expect(dead_code, reason = "allowed in the file, of no effect")]
    metadata: serde_json::Value,
    #[serde(default)]
    rules: Vec<FileRule>,
    #[serde(default)]
    omit_stages: Vec<String>,
    #[serde(default)]
    omit_managed_fields: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileRule {
    #[serde(default)]
    level: String,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<GroupResources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<String>,
    omit_managed_fields: Option<bool>,
}

impl Policy {
    /// Reads and checks a policy.
    pub fn load(path: &std::path::Path) -> Result<Self, PolicyError> {
        let text = std::fs::read(path).map_err(|source| PolicyError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    pub fn parse(text: &[u8]) -> Result<Self, PolicyError> {
        let document = kuorum_schema::yaml::to_json(text).map_err(|e| PolicyError::Malformed(e.to_string()))?;
        if let Some(why) = document.strict_error() {
            return Err(PolicyError::Malformed(why));
        }
        let file: File = serde_json::from_value(document.value).map_err(|e| PolicyError::Malformed(e.to_string()))?;
        if (file.api_version.as_str(), file.kind.as_str()) != ("audit.k8s.io/v1", "Policy") {
            let why = format!("no kind {:?} is registered for version {:?}", file.kind, file.api_version);
            return Err(PolicyError::Malformed(format!("{why}: want Policy in audit.k8s.io/v1")));
        }
        if file.rules.is_empty() {
            return Err(PolicyError::NoRules);
        }
        let mut complaints = Complaints(Vec::new());
        let global = complaints.stages(&file.omit_stages, "omitStages");
        let rules = file.rules.into_iter().enumerate();
        let rules = rules.map(|(index, rule)| {
            let at = format!("rules[{index}]");
            complaints.check(&rule, &at);
            let level = complaints.level(&rule.level, &format!("{at}.level"));
            let omit_stages = complaints.stages(&rule.omit_stages, &format!("{at}.omitStages")).union(global);
            let omit_managed_fields = rule.omit_managed_fields.unwrap_or(file.omit_managed_fields);
            Rule {
                decision: Decision { level, omit_stages, omit_managed_fields },
                users: rule.users,
                user_groups: rule.user_groups,
                verbs: rule.verbs,
                resources: rule.resources,
                namespaces: rule.namespaces,
                non_resource_urls: rule.non_resource_urls,
            }
        });
        let policy = Policy { rules: rules.collect(), omit_stages: global };
        match complaints.0.len() {
            0 => Ok(policy),
            1 => Err(PolicyError::Invalid(complaints.0.concat())),
            _ => Err(PolicyError::Invalid(format!("[{}]", complaints.0.join(", ")))),
        }
    }

    /// What the policy says of a request.
    pub fn decide(&self, request: &Attributes<'_>) -> Decision {
        match self.rules.iter().find(|rule| rule.matches(request)) {
            Some(rule) => rule.decision,
            None => Decision { omit_stages: self.omit_stages, ..Decision::default() },
        }
    }
}

fn has(list: &[String], text: &str) -> bool {
    list.iter().any(|item| item == text)
}

impl Rule {
    fn matches(&self, request: &Attributes<'_>) -> bool {
        if !self.users.is_empty() && !request.user.is_some_and(|user| has(&self.users, user)) {
            return false;
        }
        if !self.user_groups.is_empty() && !request.groups.iter().any(|group| has(&self.user_groups, group)) {
            return false;
        }
        if !self.verbs.is_empty() && !has(&self.verbs, request.verb) {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return self.matches_resource(request);
        }
        if !self.non_resource_urls.is_empty() {
            return !request.is_resource && self.non_resource_urls.iter().any(|spec| path_matches(request.path, spec));
        }
        true
    }

    fn matches_resource(&self, request: &Attributes<'_>) -> bool {
        if !request.is_resource || (!self.namespaces.is_empty() && !has(&self.namespaces, request.namespace)) {
            return false;
        }
        self.resources.is_empty() || self.resources.iter().any(|resources| resources.matches(request))
    }
}

impl GroupResources {
    fn matches(&self, request: &Attributes<'_>) -> bool {
        if self.group != request.group {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        if !self.resource_names.is_empty() && !has(&self.resource_names, request.name) {
            return false;
        }
        self.resources.iter().any(|spec| resource_matches(spec, request.resource, request.subresource))
    }
}

/// `pods`, `pods/log`, `*` (everything), `*/scale` (a subresource of anything), `pods/*` (all of pods, and pods).
fn resource_matches(spec: &str, resource: &str, subresource: &str) -> bool {
    match spec.split_once('/') {
        None => spec == "*" || (subresource.is_empty() && spec == resource),
        Some((of, "*")) => of == resource,
        Some(("*", sub)) => !subresource.is_empty() && sub == subresource,
        Some((of, sub)) => of == resource && sub == subresource,
    }
}

fn path_matches(path: &str, spec: &str) -> bool {
    spec == "*" || spec == path || (spec.ends_with('*') && path.starts_with(spec.trim_end_matches('*')))
}

struct Complaints(Vec<String>);

impl Complaints {
    fn invalid(&mut self, at: &str, value: impl fmt::Debug, why: &str) {
        self.0.push(format!("{at}: Invalid value: {value:?}: {why}"));
    }

    fn level(&mut self, text: &str, at: &str) -> Level {
        let levels = [Level::None, Level::Metadata, Level::Request, Level::RequestResponse];
        match levels.iter().find(|level| level.as_str() == text) {
            Some(level) => *level,
            None if text.is_empty() => {
                self.0.push(format!("{at}: Required value"));
                Level::None
            }
            None => {
                let known = levels.map(|level| format!("{:?}", level.as_str())).join(", ");
                self.0.push(format!("{at}: Unsupported value: {text:?}: supported values: {known}"));
                Level::None
            }
        }
    }

    fn stages(&mut self, texts: &[String], at: &str) -> Stages {
        let mut stages = Stages::default();
        for (index, text) in texts.iter().enumerate() {
            match Stage::ALL.iter().find(|stage| stage.as_str() == text) {
                Some(stage) => stages = stages.union(Stages(stage.bit())),
                None => {
                    let known = Stage::ALL.map(Stage::as_str).join(",");
                    self.invalid(&format!("{at}[{index}]"), text, &format!("allowed stages are {known}"));
                }
            }
        }
        stages
    }

    fn check(&mut self, rule: &FileRule, at: &str) {
        for (index, url) in rule.non_resource_urls.iter().enumerate().filter(|(_, url)| *url != "*") {
            let at = format!("{at}.nonResourceURLs[{index}]");
            if !url.starts_with('/') {
                self.invalid(&at, url, "non-resource URL rules must begin with a '/' character");
            }
            if url.find('*').is_some_and(|star| star + 1 < url.len()) {
                self.invalid(&at, url, "non-resource URL wildcards '*' must be the final character of the rule");
            }
        }
        for resources in &rule.resources {
            if !resources.group.is_empty() && !is_subdomain(&resources.group) {
                let why = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
                self.invalid(&format!("{at}.resources.group"), &resources.group, why);
            }
            if !resources.resource_names.is_empty() && resources.resources.is_empty() {
                let why = "using resourceNames requires at least one resource";
                self.invalid(&format!("{at}.resources.resourceNames"), &resources.resource_names, why);
            }
        }
        if !rule.non_resource_urls.is_empty() && (!rule.resources.is_empty() || !rule.namespaces.is_empty()) {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            self.invalid(&format!("{at}.nonResourceURLs"), &rule.non_resource_urls, why);
        }
    }
}

fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        label.starts_with(inner) && label.ends_with(inner) && label.chars().all(|c| inner(c) || c == '-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests;
