//! `EncryptionConfiguration` (apiserver.config.k8s.io/v1): the file, its defaults, its rules.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::cipher::Cipher;

/// How long a KMS plugin may take for an answer, where the file does not say.
const KMS_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a configuration is refused. Never shows a key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read encryption provider configuration {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("error while parsing file: {0}")]
    Malformed(String),
    #[error("{0}")]
    Invalid(String),
}

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    pub rules: Vec<Rule>,
}

/// The providers of some resources. The first one writes, all of them read.
#[derive(Debug)]
pub struct Rule {
    pub resources: Vec<Pattern>,
    pub providers: Vec<ProviderConfig>,
}

/// `secrets`, `deployments.apps`, `*.apps`, `*.` (all of the core group) or `*.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub resource: String,
    pub group: String,
}

/// One provider.
pub enum ProviderConfig {
    Identity,
    Keys { algorithm: Algorithm, keys: Vec<NamedKey> },
    Kms(KmsConfig),
}

/// The algorithms whose keys are in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    AesCbc,
    AesGcm,
    Secretbox,
}

impl Algorithm {
    /// What values that it sealed begin with, before the name of the key.
    pub fn prefix(self) -> &'static str {
        match self {
            Algorithm::AesCbc => "k8s:enc:aescbc:v1:",
            Algorithm::AesGcm => "k8s:enc:aesgcm:v1:",
            Algorithm::Secretbox => "k8s:enc:secretbox:v1:",
        }
    }

    /// As messages name it.
    pub fn family(self) -> &'static str {
        match self {
            Algorithm::AesCbc | Algorithm::AesGcm => "AES",
            Algorithm::Secretbox => "Secretbox",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Algorithm::AesCbc => "aescbc",
            Algorithm::AesGcm => "aesgcm",
            Algorithm::Secretbox => "secretbox",
        }
    }

    fn key_lens(self) -> &'static [usize] {
        match self {
            Algorithm::AesCbc | Algorithm::AesGcm => &[16, 24, 32],
            Algorithm::Secretbox => &[32],
        }
    }

    fn cipher(self, key: &[u8]) -> Result<Cipher, crate::cipher::CipherError> {
        match self {
            Algorithm::AesCbc => Cipher::cbc(key),
            Algorithm::AesGcm => Cipher::gcm(key),
            Algorithm::Secretbox => Cipher::secretbox(key),
        }
    }
}

/// A key of the file.
pub struct NamedKey {
    pub name: String,
    pub cipher: Cipher,
}

/// A KMS plugin (v2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsConfig {
    pub name: String,
    /// A socket's path; abstract sockets begin with `@`.
    pub socket: String,
    pub timeout: Duration,
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProviderConfig::Identity => f.write_str("identity"),
            ProviderConfig::Keys { algorithm, keys } => {
                f.write_str(algorithm.field())?;
                f.debug_list().entries(keys.iter().map(|key| &key.name)).finish()
            }
            ProviderConfig::Kms(kms) => kms.fmt(f),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    resources: Vec<FileRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    providers: Vec<FileProvider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileProvider {
    aesgcm: Option<FileKeys>,
    aescbc: Option<FileKeys>,
    secretbox: Option<FileKeys>,
    identity: Option<FileIdentity>,
    kms: Option<FileKms>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIdentity {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKeys {
    #[serde(default)]
    keys: Vec<FileKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKey {
    #[serde(default)]
    name: String,
    #[serde(default)]
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKms {
    #[serde(default, rename = "apiVersion")]
    api_version: String,
    #[serde(default)]
    name: String,
    cachesize: Option<i64>,
    #[serde(default)]
    endpoint: String,
    timeout: Option<String>,
}

impl Config {
    /// Reads and checks a configuration.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        if text.is_empty() {
            return Err(ConfigError::Malformed("encryption provider configuration file is empty".to_owned()));
        }
        let malformed = |why: String| ConfigError::Malformed(why);
        let document = kuorum_schema::yaml::to_json(text).map_err(|e| malformed(e.to_string()))?;
        if let Some(why) = document.strict_error() {
            return Err(malformed(why));
        }
        let file: File = serde_json::from_value(document.value).map_err(|e| malformed(e.to_string()))?;
        if (file.api_version.as_str(), file.kind.as_str()) != ("apiserver.config.k8s.io/v1", "EncryptionConfiguration")
        {
            return Err(malformed(format!(
                "no kind {:?} is registered for version {:?}: want EncryptionConfiguration in apiserver.config.k8s.io/v1",
                file.kind, file.api_version
            )));
        }
        let mut complaints = Complaints::default();
        let config = check(file, &mut complaints);
        complaints.into_result()?;
        masked(&config)?;
        Ok(config)
    }
}

/// What is wrong with a file, with the field where.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn required(&mut self, at: &str, why: &str) {
        self.0.push(format!("{at}: Required value: {why}"));
    }

    fn invalid(&mut self, at: &str, value: impl fmt::Debug, why: &str) {
        self.0.push(format!("{at}: Invalid value: {value:?}: {why}"));
    }

    fn into_result(self) -> Result<(), ConfigError> {
        match self.0.len() {
            0 => Ok(()),
            1 => Err(ConfigError::Invalid(self.0.concat())),
            _ => Err(ConfigError::Invalid(format!("[{}]", self.0.join(", ")))),
        }
    }
}

fn check(file: File, complaints: &mut Complaints) -> Config {
    if file.resources.is_empty() {
        complaints.required("resources", "at least one resources is required");
    }
    let mut kms_names = HashSet::new();
    let rules = file.resources.into_iter().enumerate().map(|(index, rule)| {
        let at = format!("resources[{index}].resources");
        if rule.resources.is_empty() {
            complaints.required(&at, &format!("at least one {at} is required"));
        }
        let resources: Vec<Pattern> = rule.resources.iter().map(|text| Pattern::parse(text)).collect();
        check_overlap(&at, &rule.resources, &resources, complaints);
        for (number, (text, pattern)) in rule.resources.iter().zip(&resources).enumerate() {
            if let Some(why) = pattern.objection(text) {
                complaints.invalid(&format!("{at}[{number}]"), text, why);
            }
        }
        let at = format!("resources[{index}].providers");
        if rule.providers.is_empty() {
            complaints.required(&at, &format!("at least one {at} is required"));
        }
        let providers = rule.providers.into_iter().enumerate();
        let providers =
            providers.filter_map(|(number, p)| provider(p, &format!("{at}[{number}]"), &mut kms_names, complaints));
        Rule { providers: providers.collect(), resources }
    });
    Config { rules: rules.collect() }
}

impl Pattern {
    /// `resource.group`; the group begins behind the first dot.
    pub fn parse(text: &str) -> Self {
        let (resource, group) = text.split_once('.').unwrap_or((text, ""));
        Pattern { resource: resource.to_owned(), group: group.to_owned() }
    }

    pub fn matches(&self, group: &str, resource: &str) -> bool {
        match (self.resource.as_str(), self.group.as_str()) {
            ("*", "*") => true,
            ("*", of) => of == group,
            (name, of) => name == resource && of == group,
        }
    }

    /// Why it cannot be used; `None` where it can.
    fn objection(&self, text: &str) -> Option<&'static str> {
        if text.to_lowercase() != text {
            return Some("resource name should not contain capital letters");
        }
        match (text, self.resource.as_str(), self.group.as_str()) {
            ("*", ..) => {
                Some("use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources")
            }
            ("apiserveripinfo" | "serviceipallocations" | "servicenodeportallocations", ..) => {
                Some("resources which do not have REST API/s cannot be encrypted")
            }
            (.., "events.k8s.io") => Some(
                "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file",
            ),
            (.., "extensions") => Some("'extensions' group has been removed and cannot be used for encryption"),
            (_, name, "*") if name != "*" => Some("encrypting the same resource across groups is not supported"),
            _ => None,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.resource.as_str(), self.group.as_str()) {
            ("*", "") => f.write_str("*."),
            (resource, "") => f.write_str(resource),
            (resource, group) => write!(f, "{resource}.{group}"),
        }
    }
}

fn check_overlap(at: &str, texts: &[String], patterns: &[Pattern], complaints: &mut Complaints) {
    let pairs = || patterns.iter().enumerate().flat_map(|(i, a)| patterns.iter().skip(i + 1).map(move |b| (a, b)));
    let any = |p: &Pattern| p.resource == "*" && p.group == "*";
    if pairs().any(|(a, b)| a == b) {
        complaints.invalid(at, texts, "the same resource cannot be specified multiple times");
    }
    let overlap = |a: &Pattern, b: &Pattern| {
        a != b && (any(a) || any(b) || (a.group == b.group && (a.resource == "*" || b.resource == "*")))
    };
    if pairs().any(|(a, b)| overlap(a, b)) {
        complaints.invalid(
            at,
            texts,
            "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked",
        );
    }
}

/// A resource behind a wildcard of an earlier rule would never get its own providers.
fn masked(config: &Config) -> Result<(), ConfigError> {
    let mut earlier: Vec<&Pattern> = Vec::new();
    for rule in &config.rules {
        for pattern in &rule.resources {
            let wildcard = |group: &str| earlier.iter().find(|p| p.resource == "*" && p.group == group);
            if let Some(by) = wildcard(&pattern.group).or_else(|| wildcard("*")) {
                let (pattern, by) = (pattern.to_string(), by.to_string());
                return Err(ConfigError::Invalid(format!(
                    "error while building transformers: resource {pattern:?} is masked by earlier rule {by:?}"
                )));
            }
            earlier.push(pattern);
        }
    }
    Ok(())
}

fn provider(
    file: FileProvider,
    at: &str,
    kms_names: &mut HashSet<String>,
    complaints: &mut Complaints,
) -> Option<ProviderConfig> {
    let FileProvider { aesgcm, aescbc, secretbox, identity, kms } = file;
    let given = [aesgcm.is_some(), aescbc.is_some(), secretbox.is_some(), identity.is_some(), kms.is_some()];
    match given.iter().filter(|is| **is).count() {
        0 => {
            let why =
                "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity";
            complaints.0.push(format!("{at}: Invalid value: {why}"));
            return None;
        }
        1 => {}
        _ => {
            let why = "more than one provider specified in a single element, should split into different list elements";
            complaints.0.push(format!("{at}: Invalid value: {why}"));
            return None;
        }
    }
    if let Some(file) = kms {
        return kms_provider(file, &format!("{at}.kms"), kms_names, complaints);
    }
    let named = [(Algorithm::AesGcm, aesgcm), (Algorithm::AesCbc, aescbc), (Algorithm::Secretbox, secretbox)];
    for (algorithm, file) in named {
        if let Some(file) = file {
            let at = format!("{at}.{}.keys", algorithm.field());
            if file.keys.is_empty() {
                complaints.required(&at, "at least one keys is required");
            }
            let keys = file.keys.into_iter().enumerate();
            let keys = keys.filter_map(|(i, k)| named_key(algorithm, k, &format!("{at}[{i}]"), complaints)).collect();
            return Some(ProviderConfig::Keys { algorithm, keys });
        }
    }
    Some(ProviderConfig::Identity)
}

fn named_key(algorithm: Algorithm, file: FileKey, at: &str, complaints: &mut Complaints) -> Option<NamedKey> {
    if file.name.is_empty() {
        complaints.required(&format!("{at}.name"), "name is a mandatory field for a key");
    }
    let at = format!("{at}.secret");
    if file.secret.is_empty() {
        complaints.required(&at, "secret is a mandatory field for a key");
        return None;
    }
    let Ok(secret) = STANDARD.decode(file.secret.trim_end_matches(['\n', '\r'])) else {
        complaints.invalid(&at, "REDACTED", "secrets must be base64 encoded");
        return None;
    };
    let lens = algorithm.key_lens();
    let Ok(cipher) = algorithm.cipher(&secret) else {
        let lens: Vec<String> = lens.iter().map(usize::to_string).collect();
        let why =
            format!("secret is not of the expected length, got {}, expected one of [{}]", secret.len(), lens.join(" "));
        complaints.invalid(&at, "REDACTED", &why);
        return None;
    };
    Some(NamedKey { name: file.name, cipher })
}

fn kms_provider(
    file: FileKms,
    at: &str,
    names: &mut HashSet<String>,
    complaints: &mut Complaints,
) -> Option<ProviderConfig> {
    let before = complaints.0.len();
    if file.name.is_empty() {
        complaints.required(&format!("{at}.name"), "name is a mandatory field for a provider");
    }
    if file.name.contains(':') {
        let why = format!("invalid KMS provider name {}, must not contain ':'", file.name);
        complaints.invalid(&format!("{at}.name"), &file.name, &why);
    }
    if !names.insert(file.name.clone()) {
        let why = format!("duplicate KMS provider name {}, names must be unique", file.name);
        complaints.invalid(&format!("{at}.name"), &file.name, &why);
    }
    let timeout = match &file.timeout {
        None => Some(KMS_TIMEOUT),
        Some(text) => kuorum_schema::time::duration(text).ok().filter(|timeout| !timeout.is_zero()),
    };
    if timeout.is_none() {
        complaints.invalid(&format!("{at}.timeout"), &file.timeout, "timeout should be a positive value");
    }
    let socket = file.endpoint.strip_prefix("unix://").unwrap_or_default();
    if file.endpoint.is_empty() {
        complaints.invalid(&format!("{at}.endpoint"), "", "endpoint is a mandatory field for a kms");
    } else if socket.is_empty() {
        let scheme = file.endpoint.split_once("://").map_or("", |(scheme, _)| scheme);
        let why = format!("unsupported scheme {scheme:?} for KMS provider, only unix is supported");
        complaints.invalid(&format!("{at}.endpoint"), &file.endpoint, &why);
    }
    if let Some(size) = file.cachesize {
        complaints.invalid(&format!("{at}.cachesize"), size, "cachesize is not supported in v2");
    }
    // v1 is the default of the file, and has been switched off since 1.29.
    if file.api_version != "v2" {
        let version = if file.api_version.is_empty() { "v1" } else { &file.api_version };
        let why = format!("unsupported apiVersion {version} for KMS provider, only v2 is supported");
        complaints.invalid(&format!("{at}.apiVersion"), version, &why);
    }
    let socket = socket.strip_prefix("/@").map_or_else(|| socket.to_owned(), |name| format!("@{name}"));
    (complaints.0.len() == before)
        .then(|| ProviderConfig::Kms(KmsConfig { name: file.name, socket, timeout: timeout.unwrap_or(KMS_TIMEOUT) }))
}

#[cfg(test)]
mod tests;
