//! `--authorization-config`: an AuthorizationConfiguration file, and the authorizers that it makes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kuorum_schema::time::duration;
use serde::Deserialize;

use super::abac::{Abac, AbacError};
use super::builtin::{AlwaysAllow, AlwaysDeny, Masters};
use super::chain::Chain;
use super::decision::{Authorizer, RuleList};
use super::node::{Graph, NodeAuthorizer};
use super::policy::{BadPolicy, node_rules};
use super::rbac::Rbac;
use super::webhook::{FailurePolicy, Settings, Webhook};
use super::{Answer, Attributes};
use crate::user::User;
use crate::webhook::{Backoff, Client, Kubeconfig, KubeconfigError, TrustError};

const API_GROUP: &str = "apiserver.config.k8s.io/";
const API_VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];
/// Longest time that a webhook may be given.
const TIMEOUT_MAX: Duration = Duration::from_secs(30);
const CONDITIONS_MAX: usize = 64;

/// Why authorizers cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// Every complaint about the file.
    #[error("{}: {}", path.display(), complaints.join("; "))]
    Invalid { path: PathBuf, complaints: Vec<String> },
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Abac(#[from] AbacError),
    #[error(transparent)]
    Policy(#[from] BadPolicy),
}

/// One authorizer of a chain, as settings name it.
#[derive(Clone, Debug)]
pub enum Mode {
    AlwaysAllow,
    AlwaysDeny,
    Node,
    Rbac,
    /// The policy file.
    Abac(PathBuf),
    Webhook(Box<WebhookMode>),
}

/// A webhook that is not connected yet.
#[derive(Clone, Debug)]
pub struct WebhookMode {
    pub kubeconfig: PathBuf,
    pub settings: Settings,
    pub conditions: Vec<String>,
}

impl Mode {
    /// As files and flags spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Mode::AlwaysAllow => "AlwaysAllow",
            Mode::AlwaysDeny => "AlwaysDeny",
            Mode::Node => "Node",
            Mode::Rbac => "RBAC",
            Mode::Abac(_) => "ABAC",
            Mode::Webhook(_) => "Webhook",
        }
    }
}

/// What authorizers share with whoever feeds them.
#[derive(Clone)]
pub struct Shared {
    pub rbac: Arc<Rbac>,
    pub graph: Arc<Graph>,
}

/// The chain of some modes, behind the authorizer that always holds.
pub fn chain(modes: &[Mode], shared: &Shared) -> Result<Chain, SetupError> {
    let mut chain: Vec<Box<dyn Authorizer>> = vec![Box::new(Masters)];
    for mode in modes {
        chain.push(match mode {
            Mode::AlwaysAllow => Box::new(AlwaysAllow),
            Mode::AlwaysDeny => Box::new(AlwaysDeny),
            Mode::Node => Box::new(NodeAuthorizer::new(shared.graph.clone(), node_rules()?)),
            Mode::Rbac => Box::new(SharedRbac(shared.rbac.clone())),
            Mode::Abac(path) => Box::new(Abac::load(path)?),
            Mode::Webhook(webhook) => {
                let client = Client::of(&Kubeconfig::load(&webhook.kubeconfig)?)?;
                let compiled = webhook.conditions.iter().map(|c| Webhook::condition(c)).collect::<Result<_, _>>();
                let conditions = compiled.map_err(|e| SetupError::Invalid {
                    path: webhook.kubeconfig.clone(),
                    complaints: vec![e.to_string()],
                })?;
                Box::new(Webhook::new(client, webhook.settings, conditions))
            }
        });
    }
    Ok(Chain::new(chain))
}

/// RBAC's index is shared: by chains, by the checks of grants, by whoever feeds it.
struct SharedRbac(Arc<Rbac>);

impl Authorizer for SharedRbac {
    fn authorize<'a>(&'a self, attributes: &'a Attributes<'a>) -> Answer<'a> {
        self.0.authorize(attributes)
    }

    fn rules(&self, user: &User, namespace: &str, list: &mut RuleList) {
        self.0.rules(user, namespace, list);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    api_version: String,
    kind: String,
    #[serde(default)]
    authorizers: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    name: String,
    webhook: Option<Hook>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Hook {
    #[serde(rename = "authorizedTTL")]
    authorized_ttl: String,
    cache_authorized_requests: bool,
    #[serde(rename = "unauthorizedTTL")]
    unauthorized_ttl: String,
    cache_unauthorized_requests: bool,
    timeout: String,
    subject_access_review_version: String,
    match_condition_subject_access_review_version: String,
    failure_policy: String,
    connection_info: Connection,
    match_conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Connection {
    r#type: String,
    kube_config_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Condition {
    expression: String,
}

impl Default for Hook {
    fn default() -> Self {
        Hook {
            authorized_ttl: "5m".to_owned(),
            cache_authorized_requests: true,
            unauthorized_ttl: "30s".to_owned(),
            cache_unauthorized_requests: true,
            timeout: String::new(),
            subject_access_review_version: String::new(),
            match_condition_subject_access_review_version: String::new(),
            failure_policy: String::new(),
            connection_info: Connection::default(),
            match_conditions: Vec::new(),
        }
    }
}

/// Reads a configuration file, and the modes that it lists. ABAC's policies are in `policy_file`.
pub fn load(path: &Path, policy_file: Option<&Path>) -> Result<Vec<Mode>, SetupError> {
    let text = std::fs::read(path).map_err(|source| SetupError::Unreadable { path: path.to_owned(), source })?;
    parse(&text, policy_file).map_err(|complaints| SetupError::Invalid { path: path.to_owned(), complaints })
}

/// As [`load`], from YAML or JSON.
pub fn parse(text: &[u8], policy_file: Option<&Path>) -> Result<Vec<Mode>, Vec<String>> {
    let one = |why: String| vec![why];
    let document = kuorum_schema::yaml::to_json(text).map_err(|e| one(e.to_string()))?;
    if let Some(error) = document.strict_error() {
        return Err(one(error));
    }
    let file: File = serde_json::from_value(document.value).map_err(|e| one(e.to_string()))?;
    let version = file.api_version.strip_prefix(API_GROUP).filter(|version| API_VERSIONS.contains(version));
    if version.is_none() || file.kind != "AuthorizationConfiguration" {
        let (kind, version) = (&file.kind, &file.api_version);
        return Err(one(format!("no kind {kind:?} is registered for version {version:?}")));
    }
    if file.authorizers.is_empty() {
        return Err(one("authorizers: Required value: at least one authorization mode must be defined".to_owned()));
    }
    let mut complaints = Vec::new();
    let (mut types, mut names) = (BTreeSet::new(), BTreeSet::new());
    let mut modes = Vec::new();
    for (i, entry) in file.authorizers.iter().enumerate() {
        let at = format!("authorizers[{i}]");
        if entry.r#type != "Webhook" && !types.insert(&entry.r#type) {
            complaints.push(format!("{at}.type: Duplicate value: {:?}", entry.r#type));
        }
        if entry.name.is_empty() {
            complaints.push(format!("{at}.name: Required value"));
        } else if !names.insert(&entry.name) {
            complaints.push(format!("{at}.name: Duplicate value: {:?}", entry.name));
        }
        for why in kuorum_schema::names::dns1123_subdomain(&entry.name).iter().filter(|_| !entry.name.is_empty()) {
            complaints.push(format!("{at}.name: Invalid value: {:?}: authorizer name is invalid: {why}", entry.name));
        }
        if entry.webhook.is_some() && entry.r#type != "Webhook" {
            complaints
                .push(format!("{at}.webhook: Invalid value: \"non-null\": may only be specified when type=Webhook"));
        }
        match mode(entry, &at, policy_file) {
            Ok(mode) => modes.push(mode),
            Err(mut why) => complaints.append(&mut why),
        }
    }
    if complaints.is_empty() { Ok(modes) } else { Err(complaints) }
}

fn mode(entry: &Entry, at: &str, policy_file: Option<&Path>) -> Result<Mode, Vec<String>> {
    Ok(match entry.r#type.as_str() {
        "" => return Err(vec![format!("{at}.type: Required value")]),
        "AlwaysAllow" => Mode::AlwaysAllow,
        "AlwaysDeny" => Mode::AlwaysDeny,
        "Node" => Mode::Node,
        "RBAC" => Mode::Rbac,
        "ABAC" => match policy_file {
            Some(path) => Mode::Abac(path.to_owned()),
            None => return Err(vec![format!("{at}: authorizer type ABAC needs --authorization-policy-file")]),
        },
        "Webhook" => match &entry.webhook {
            Some(hook) => Mode::Webhook(Box::new(webhook(hook, &format!("{at}.webhook"))?)),
            None => return Err(vec![format!("{at}.webhook: Required value: required when type=Webhook")]),
        },
        other => {
            let known = "\"ABAC\", \"AlwaysAllow\", \"AlwaysDeny\", \"Node\", \"RBAC\", \"Webhook\"";
            return Err(vec![format!("{at}.type: Unsupported value: {other:?}: supported values: {known}")]);
        }
    })
}

fn webhook(hook: &Hook, at: &str) -> Result<WebhookMode, Vec<String>> {
    let mut complaints = Vec::new();
    let mut time = |field: &str, text: &str| match duration(text) {
        _ if text.is_empty() => {
            complaints.push(format!("{at}.{field}: Required value"));
            Duration::ZERO
        }
        Ok(Duration::ZERO) => {
            complaints.push(format!("{at}.{field}: Invalid value: {text:?}: must be > 0s"));
            Duration::ZERO
        }
        Ok(time) => time,
        Err(why) => {
            complaints.push(format!("{at}.{field}: Invalid value: {text:?}: {why}"));
            Duration::ZERO
        }
    };
    let timeout = time("timeout", &hook.timeout);
    let authorized_ttl = time("authorizedTTL", &hook.authorized_ttl);
    let unauthorized_ttl = time("unauthorizedTTL", &hook.unauthorized_ttl);
    if timeout > TIMEOUT_MAX {
        complaints.push(format!("{at}.timeout: Invalid value: {:?}: must be <= 30s", hook.timeout));
    }
    let version = one_of(at, "subjectAccessReviewVersion", &hook.subject_access_review_version, &["v1", "v1beta1"]);
    let version = version.map_err(|why| complaints.push(why)).unwrap_or("v1");
    if !hook.match_conditions.is_empty() {
        let field = "matchConditionSubjectAccessReviewVersion";
        let given = one_of(at, field, &hook.match_condition_subject_access_review_version, &["v1"]);
        complaints.extend(given.err());
    }
    let policy = one_of(at, "failurePolicy", &hook.failure_policy, &["NoOpinion", "Deny"]);
    let policy = policy.map_err(|why| complaints.push(why)).unwrap_or("Deny");
    let connection = one_of(at, "connectionInfo.type", &hook.connection_info.r#type, &["KubeConfigFile"]);
    complaints.extend(connection.err());
    let kubeconfig = hook.connection_info.kube_config_file.clone();
    if kubeconfig.as_ref().is_none_or(|path| !path.is_absolute()) {
        complaints.push(format!("{at}.connectionInfo.kubeConfigFile: Required value: must be an absolute path"));
    }
    if hook.match_conditions.len() > CONDITIONS_MAX {
        complaints.push(format!("{at}.matchConditions: Too many: must have at most {CONDITIONS_MAX} items"));
    }
    let conditions: Vec<String> = hook.match_conditions.iter().map(|c| c.expression.trim().to_owned()).collect();
    for (i, condition) in conditions.iter().enumerate() {
        let at = format!("{at}.matchConditions[{i}].expression");
        if condition.is_empty() {
            complaints.push(format!("{at}: Required value"));
        } else if conditions[..i].contains(condition) {
            complaints.push(format!("{at}: Duplicate value: {condition:?}"));
        } else if let Err(error) = Webhook::condition(condition) {
            complaints.push(format!("{at}: Invalid value: {condition:?}: {error}"));
        }
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    let ttl = |on: bool, ttl: Duration| if on { ttl } else { Duration::ZERO };
    Ok(WebhookMode {
        kubeconfig: kubeconfig.unwrap_or_default(),
        settings: Settings {
            version,
            authorized_ttl: ttl(hook.cache_authorized_requests, authorized_ttl),
            unauthorized_ttl: ttl(hook.cache_unauthorized_requests, unauthorized_ttl),
            timeout,
            backoff: Backoff::default(),
            failure_policy: if policy == "Deny" { FailurePolicy::Deny } else { FailurePolicy::NoOpinion },
        },
        conditions,
    })
}

/// The one of the known texts that was given.
fn one_of(at: &str, field: &str, given: &str, known: &'static [&'static str]) -> Result<&'static str, String> {
    if given.is_empty() {
        return Err(format!("{at}.{field}: Required value"));
    }
    known.iter().find(|k| **k == given).copied().ok_or_else(|| {
        let shown: Vec<String> = known.iter().map(|k| format!("{k:?}")).collect();
        format!("{at}.{field}: Unsupported value: {given:?}: supported values: {}", shown.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: hook
  webhook:
    authorizedTTL: 1m
    cacheUnauthorizedRequests: false
    timeout: 3s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: Deny
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: /hook}
    matchConditions:
    - expression: request.resourceAttributes.namespace == 'x'
- {type: Node, name: node}
- {type: RBAC, name: rbac}
";

    #[test]
    fn a_file_lists_authorizers_in_order() {
        let modes = parse(FILE.as_bytes(), None).unwrap();
        assert_eq!(modes.iter().map(Mode::name).collect::<Vec<_>>(), ["Webhook", "Node", "RBAC"]);
        let Mode::Webhook(hook) = &modes[0] else { panic!("the first is the webhook") };
        assert_eq!(hook.kubeconfig, Path::new("/hook"));
        assert_eq!(hook.settings.authorized_ttl, Duration::from_secs(60));
        assert_eq!(hook.settings.unauthorized_ttl, Duration::ZERO);
        assert_eq!(hook.settings.failure_policy, FailurePolicy::Deny);
        assert_eq!(hook.conditions, ["request.resourceAttributes.namespace == 'x'"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, why) in [
            (
                "config.k8s.io/v1\n",
                "config.k8s.io/v9\n",
                "no kind \"AuthorizationConfiguration\" is registered for version \"apiserver.config.k8s.io/v9\"",
            ),
            ("type: Node", "type: RBAC", "authorizers[2].type: Duplicate value: \"RBAC\""),
            ("name: node", "name: rbac", "authorizers[2].name: Duplicate value: \"rbac\""),
            ("name: node", "name: ''", "authorizers[1].name: Required value"),
            (
                "type: Node",
                "type: Gnome",
                "authorizers[1].type: Unsupported value: \"Gnome\": supported values: \"ABAC\", \"AlwaysAllow\", \"AlwaysDeny\", \"Node\", \"RBAC\", \"Webhook\"",
            ),
            ("type: Node", "type: ABAC", "authorizers[1]: authorizer type ABAC needs --authorization-policy-file"),
            ("timeout: 3s", "timeout: 31s", "authorizers[0].webhook.timeout: Invalid value: \"31s\": must be <= 30s"),
            ("    timeout: 3s\n", "", "authorizers[0].webhook.timeout: Required value"),
            (
                "failurePolicy: Deny",
                "failurePolicy: Maybe",
                "authorizers[0].webhook.failurePolicy: Unsupported value: \"Maybe\": supported values: \"NoOpinion\", \"Deny\"",
            ),
            (
                "request.resourceAttributes.namespace == 'x'",
                "user == 'x'",
                "authorizers[0].webhook.matchConditions[0].expression: Invalid value: \"user == 'x'\": compilation failed: undeclared reference to 'user' (in container '')",
            ),
            (
                "kubeConfigFile: /hook",
                "kubeConfigFile: hook",
                "authorizers[0].webhook.connectionInfo.kubeConfigFile: Required value: must be an absolute path",
            ),
        ] {
            let complaints = parse(FILE.replace(from, to).as_bytes(), None).unwrap_err();
            assert_eq!(complaints, [why], "{to}");
        }
        let unknown = parse(FILE.replace("timeout:", "timeOut:").as_bytes(), None).unwrap_err();
        assert!(unknown[0].contains("unknown field `timeOut`"), "{unknown:?}");
        let none = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n";
        assert_eq!(
            parse(none.as_bytes(), None).unwrap_err(),
            ["authorizers: Required value: at least one authorization mode must be defined"]
        );
    }

    #[tokio::test]
    async fn a_chain_is_made_of_modes() {
        let shared = Shared { rbac: Arc::default(), graph: Arc::default() };
        let user = User::default();
        let asked = Attributes::of_resource(&user, "get", "", "pods");
        let made = |modes: &[Mode]| chain(modes, &shared).unwrap();
        assert!(!made(&[Mode::Node, Mode::Rbac]).authorize(&asked).await.is_allowed());
        assert!(made(&[Mode::Rbac, Mode::AlwaysAllow]).authorize(&asked).await.is_allowed());
        assert!(made(&[]).authorize(&Attributes { user: &User::loopback(), ..asked }).await.is_allowed());
        assert!(chain(&[Mode::Abac("/nonexistent".into())], &shared).is_err());
    }
}
