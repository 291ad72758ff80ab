//! AuthenticationConfiguration files, and the flags that say the same in fewer words.

use std::path::Path;

use serde::Deserialize;

use super::mapping::{ClaimRule, Mapping, Mappings, UserRule};
use crate::cel::Program;

/// Algorithms that an issuer may sign with.
const SIGNING_ALGORITHMS: [&str; 9] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"];
const ISSUERS_MAX: usize = 64;
const GROUP: &str = "apiserver.config.k8s.io/";
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: std::path::PathBuf, source: std::io::Error },
    #[error("{0}")]
    Invalid(String),
}

/// One issuer, ready for use.
#[derive(Debug)]
pub struct JwtSpec {
    pub issuer_url: String,
    pub discovery_url: Option<String>,
    /// PEM.
    pub certificate_authority: Option<String>,
    pub audiences: Vec<String>,
    pub signing_algorithms: Vec<String>,
    pub mappings: Mappings,
    pub claim_rules: Vec<ClaimRule>,
    pub user_rules: Vec<UserRule>,
}

/// Who may come without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnonymousSpec {
    pub enabled: bool,
    /// Only these paths, if there are any.
    pub paths: Vec<String>,
}

/// A whole file.
#[derive(Debug, Default)]
pub struct AuthenticationConfiguration {
    pub jwt: Vec<JwtSpec>,
    /// Absent: the flag `--anonymous-auth` decides.
    pub anonymous: Option<AnonymousSpec>,
}

/// The `--oidc-*` flags.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub issuer_url: String,
    pub client_id: String,
    /// PEM.
    pub certificate_authority: Option<String>,
    pub username_claim: String,
    /// Empty: the issuer's URL and `#`, unless the claim is `email`. `-`: none.
    pub username_prefix: String,
    pub groups_claim: String,
    pub groups_prefix: String,
    pub required_claims: Vec<(String, String)>,
    pub signing_algorithms: Vec<String>,
}

impl Flags {
    pub fn spec(&self) -> Result<JwtSpec, ConfigError> {
        let mut errors = Errors::default();
        check_url(&self.issuer_url, &[], "oidc-issuer-url", &mut errors);
        for algorithm in &self.signing_algorithms {
            if !SIGNING_ALGORITHMS.contains(&algorithm.as_str()) {
                errors.add("oidc-signing-algs", format!("unsupported signing alg: {algorithm:?}"));
            }
        }
        errors.finish()?;
        let prefix = match self.username_prefix.as_str() {
            "" if self.username_claim != "email" => format!("{}#", self.issuer_url),
            "-" => String::new(),
            other => other.to_owned(),
        };
        let groups = (!self.groups_claim.is_empty())
            .then(|| Mapping::Claim { name: self.groups_claim.clone(), prefix: self.groups_prefix.clone() });
        let required =
            |(claim, value): &(String, String)| ClaimRule::Required { claim: claim.clone(), value: value.clone() };
        Ok(JwtSpec {
            issuer_url: self.issuer_url.clone(),
            discovery_url: None,
            certificate_authority: self.certificate_authority.clone(),
            audiences: vec![self.client_id.clone()],
            signing_algorithms: self.signing_algorithms.clone(),
            mappings: Mappings {
                username: Mapping::Claim { name: self.username_claim.clone(), prefix },
                groups,
                uid: None,
                extra: Vec::new(),
            },
            claim_rules: self.required_claims.iter().map(required).collect(),
            user_rules: Vec::new(),
        })
    }
}

impl AuthenticationConfiguration {
    pub fn load(path: &Path, disallowed_issuers: &[String]) -> Result<Self, ConfigError> {
        let text = std::fs::read(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, disallowed_issuers).map_err(|e| ConfigError::Invalid(format!("{}: {e}", path.display())))
    }

    /// From YAML. An issuer must not be one of `disallowed` (those of service accounts).
    pub fn parse(yaml: &[u8], disallowed: &[String]) -> Result<Self, ConfigError> {
        let document = kuorum_schema::yaml::to_json(yaml).map_err(|e| ConfigError::Invalid(e.to_string()))?;
        if let Some(error) = document.strict_error() {
            return Err(ConfigError::Invalid(format!("strict decoding error: {error}")));
        }
        let value = document.value;
        let version = value["apiVersion"].as_str().and_then(|v| v.strip_prefix(GROUP)).unwrap_or_default();
        if value["kind"] != "AuthenticationConfiguration" || !VERSIONS.contains(&version) {
            let (version, kind) = (&value["apiVersion"], &value["kind"]);
            let text = format!("no kind {kind} is registered for version {version}");
            return Err(ConfigError::Invalid(text));
        }
        let file: file::Configuration =
            serde_json::from_value(value).map_err(|e| ConfigError::Invalid(format!("strict decoding error: {e}")))?;
        file.check(disallowed)
    }
}

/// Complaints, each with its field.
#[derive(Default)]
struct Errors(Vec<String>);

impl Errors {
    fn add(&mut self, field: &str, why: impl std::fmt::Display) {
        self.0.push(format!("{field}: {why}"));
    }

    fn required(&mut self, field: &str, why: &str) {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        self.add(field, format!("Required value{why}"));
    }

    fn invalid(&mut self, field: &str, value: &str, why: impl std::fmt::Display) {
        self.add(field, format!("Invalid value: {value:?}: {why}"));
    }

    fn duplicate(&mut self, field: &str, value: &str) {
        self.add(field, format!("Duplicate value: {value:?}"));
    }

    fn finish(self) -> Result<(), ConfigError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Invalid(super::super::tokens::aggregate(self.0)))
    }
}

fn check_url(text: &str, disallowed: &[String], field: &str, errors: &mut Errors) {
    if disallowed.iter().any(|d| d == text) {
        errors.invalid(
            field,
            text,
            format!("URL must not overlap with disallowed issuers: [{}]", disallowed.join(" ")),
        );
    }
    if text.parse::<http::Uri>().is_err() {
        return errors.invalid(field, text, "not a URL");
    }
    let rest = text.strip_prefix("https://");
    if rest.is_none() {
        errors.invalid(field, text, "URL scheme must be https");
    }
    let (address, fragment) = text.split_once('#').map_or((text, false), |(a, _)| (a, true));
    let host = rest.unwrap_or(text).split(['/', '?', '#']).next().unwrap_or_default();
    for (wrong, what) in
        [(host.contains('@'), "a username or password"), (address.contains('?'), "a query"), (fragment, "a fragment")]
    {
        if wrong {
            errors.invalid(field, text, format!("URL must not contain {what}"));
        }
    }
}

fn compile(source: &str, known: &[&str], field: &str, errors: &mut Errors) -> Option<Program> {
    Program::compile(source, known).map_err(|e| errors.invalid(field, source, e)).ok()
}

/// The file as it is written.
mod file {
    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct Configuration {
        #[serde(rename = "apiVersion")]
        _api_version: String,
        #[serde(rename = "kind")]
        _kind: String,
        #[serde(default)]
        jwt: Vec<Jwt>,
        anonymous: Option<Anonymous>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Anonymous {
        #[serde(default)]
        enabled: bool,
        #[serde(default)]
        conditions: Vec<Condition>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Condition {
        path: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Jwt {
        issuer: Issuer,
        #[serde(default)]
        claim_validation_rules: Vec<Rule>,
        claim_mappings: Claims,
        #[serde(default)]
        user_validation_rules: Vec<Rule>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Issuer {
        #[serde(default)]
        url: String,
        #[serde(rename = "discoveryURL", default)]
        discovery_url: String,
        #[serde(default)]
        certificate_authority: String,
        #[serde(default)]
        audiences: Vec<String>,
        #[serde(default)]
        audience_match_policy: String,
        #[serde(default)]
        egress_selector_type: String,
    }

    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
    struct Rule {
        claim: String,
        required_value: String,
        expression: String,
        message: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Claims {
        #[serde(default)]
        username: Part,
        #[serde(default)]
        groups: Part,
        #[serde(default)]
        uid: Part,
        #[serde(default)]
        extra: Vec<Extra>,
    }

    #[derive(Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Part {
        claim: String,
        prefix: Option<String>,
        expression: String,
    }

    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
    struct Extra {
        key: String,
        value_expression: String,
    }

    impl Configuration {
        pub fn check(self, disallowed: &[String]) -> Result<AuthenticationConfiguration, ConfigError> {
            let mut errors = Errors::default();
            if self.jwt.len() > ISSUERS_MAX {
                errors.add("jwt", format!("Too many: {}: must have at most {ISSUERS_MAX} items", self.jwt.len()));
                errors.finish()?;
                return Ok(AuthenticationConfiguration::default());
            }
            let mut seen: Vec<(String, String)> = Vec::new();
            let mut specs = Vec::new();
            for (i, jwt) in self.jwt.into_iter().enumerate() {
                let field = format!("jwt[{i}]");
                let (url, discovery) = (jwt.issuer.url.clone(), jwt.issuer.discovery_url.clone());
                let spec = jwt.check(&field, disallowed, &mut errors);
                if seen.iter().any(|(other, _)| *other == url) {
                    errors.duplicate(&format!("{field}.issuer.url"), &url);
                }
                if !discovery.is_empty() && seen.iter().any(|(_, other)| *other == discovery) {
                    errors.duplicate(&format!("{field}.issuer.discoveryURL"), &discovery);
                }
                seen.push((url, discovery));
                specs.extend(spec);
            }
            let anonymous = self.anonymous.map(|a| AnonymousSpec {
                enabled: a.enabled,
                paths: a.conditions.into_iter().map(|c| c.path).collect(),
            });
            if anonymous.as_ref().is_some_and(|a| !a.enabled && !a.paths.is_empty()) {
                errors.add(
                    "anonymous.conditions",
                    "Invalid value: enabled should be set to true when conditions are defined",
                );
            }
            errors.finish()?;
            Ok(AuthenticationConfiguration { jwt: specs, anonymous })
        }
    }

    impl Jwt {
        /// The issuer, unless there were complaints.
        fn check(self, field: &str, disallowed: &[String], errors: &mut Errors) -> Option<JwtSpec> {
            let before = errors.0.len();
            self.issuer.check(&format!("{field}.issuer"), disallowed, errors);
            let verified = |rule: &Rule| rule.expression.contains("email_verified");
            let mut uses_verified = self.claim_validation_rules.iter().any(verified);
            uses_verified |= self.claim_mappings.username.expression.contains("email_verified");
            uses_verified |= self.claim_mappings.extra.iter().any(|e| e.value_expression.contains("email_verified"));
            let claim_rules =
                claim_rules(self.claim_validation_rules, &format!("{field}.claimValidationRules"), errors);
            let mappings = self.claim_mappings.check(&format!("{field}.claimMappings"), uses_verified, errors);
            let user_rules = user_rules(self.user_validation_rules, &format!("{field}.userValidationRules"), errors);
            let mappings = mappings.filter(|_| errors.0.len() == before)?;
            let text = |t: String| (!t.is_empty()).then_some(t);
            Some(JwtSpec {
                issuer_url: self.issuer.url,
                discovery_url: text(self.issuer.discovery_url),
                certificate_authority: text(self.issuer.certificate_authority),
                audiences: self.issuer.audiences,
                signing_algorithms: SIGNING_ALGORITHMS.map(str::to_owned).to_vec(),
                mappings,
                claim_rules,
                user_rules,
            })
        }
    }

    impl Issuer {
        fn check(&self, field: &str, disallowed: &[String], errors: &mut Errors) {
            let at = |part: &str| format!("{field}.{part}");
            match self.url.as_str() {
                "" => errors.required(&at("url"), ""),
                url => check_url(url, disallowed, &at("url"), errors),
            }
            if !self.discovery_url.is_empty() {
                let url = &self.discovery_url;
                if !self.url.is_empty() && self.url.trim_end_matches('/') == url.trim_end_matches('/') {
                    errors.invalid(&at("discoveryURL"), url, "discoveryURL must be different from URL");
                }
                check_url(url, &[], &at("discoveryURL"), errors);
            }
            if self.audiences.is_empty() {
                let field = at("audiences");
                errors.required(&field, &format!("at least one {field} is required"));
            }
            for (i, audience) in self.audiences.iter().enumerate() {
                let field = at(&format!("audiences[{i}]"));
                if audience.is_empty() {
                    errors.required(&field, "");
                }
                if self.audiences[..i].contains(audience) {
                    errors.duplicate(&field, audience);
                }
            }
            let policy = self.audience_match_policy.as_str();
            if self.audiences.len() > 1 && policy != "MatchAny" {
                let why = "audienceMatchPolicy must be MatchAny for multiple audiences";
                errors.invalid(&at("audienceMatchPolicy"), policy, why);
            }
            if self.audiences.len() == 1 && !matches!(policy, "" | "MatchAny") {
                let why = "audienceMatchPolicy must be empty or MatchAny for single audience";
                errors.invalid(&at("audienceMatchPolicy"), policy, why);
            }
            if !self.certificate_authority.is_empty()
                && let Err(error) = crate::webhook::roots(self.certificate_authority.as_bytes())
            {
                errors.invalid(&at("certificateAuthority"), "<omitted>", error);
            }
            // There is no konnectivity here: both ways lead out of this process.
            if !matches!(self.egress_selector_type.as_str(), "" | "controlplane" | "cluster") {
                let why = "egress selector must be either controlplane or cluster";
                errors.invalid(&at("egressSelectorType"), &self.egress_selector_type, why);
            }
        }
    }

    fn claim_rules(rules: Vec<Rule>, field: &str, errors: &mut Errors) -> Vec<ClaimRule> {
        let mut out = Vec::new();
        let (mut claims, mut expressions) = (Vec::new(), Vec::new());
        for (i, rule) in rules.into_iter().enumerate() {
            let field = format!("{field}[{i}]");
            match (rule.claim.is_empty(), rule.expression.is_empty()) {
                (false, false) => errors.invalid(&field, &rule.claim, "claim and expression can't both be set"),
                (true, true) => errors.required(&field, "claim or expression is required"),
                (false, true) => {
                    if !rule.message.is_empty() {
                        let why = "may not be specified when claim is set";
                        errors.invalid(&format!("{field}.message"), &rule.message, why);
                    }
                    if claims.contains(&rule.claim) {
                        errors.duplicate(&format!("{field}.claim"), &rule.claim);
                    }
                    claims.push(rule.claim.clone());
                    out.push(ClaimRule::Required { claim: rule.claim, value: rule.required_value });
                }
                (true, false) => {
                    if !rule.required_value.is_empty() {
                        let why = "may not be specified when expression is set";
                        errors.invalid(&format!("{field}.requiredValue"), &rule.required_value, why);
                    }
                    let field = format!("{field}.expression");
                    if expressions.contains(&rule.expression) {
                        errors.duplicate(&field, &rule.expression);
                        continue;
                    }
                    expressions.push(rule.expression.clone());
                    let program = compile(&rule.expression, &["claims"], &field, errors);
                    out.extend(program.map(|program| ClaimRule::Expression { program, message: rule.message }));
                }
            }
        }
        out
    }

    fn user_rules(rules: Vec<Rule>, field: &str, errors: &mut Errors) -> Vec<UserRule> {
        let mut out = Vec::new();
        let mut expressions = Vec::new();
        for (i, rule) in rules.into_iter().enumerate() {
            let field = format!("{field}[{i}].expression");
            if rule.expression.is_empty() {
                errors.required(&field, "");
            } else if expressions.contains(&rule.expression) {
                errors.duplicate(&field, &rule.expression);
            } else {
                expressions.push(rule.expression.clone());
                let program = compile(&rule.expression, &["user"], &field, errors);
                out.extend(program.map(|program| UserRule { program, message: rule.message }));
            }
        }
        out
    }

    impl Part {
        /// `prefixed`: a claim needs a prefix, be it empty.
        fn check(self, field: &str, prefixed: bool, errors: &mut Errors) -> Option<Mapping> {
            match (self.claim.is_empty(), self.expression.is_empty()) {
                (false, false) => {
                    errors.invalid(field, "", "claim and expression can't both be set");
                    None
                }
                (true, true) => None,
                (true, false) => {
                    if let Some(prefix) = &self.prefix {
                        let why = "may not be specified when expression is set";
                        errors.invalid(&format!("{field}.prefix"), prefix, why);
                    }
                    let program = compile(&self.expression, &["claims"], &format!("{field}.expression"), errors);
                    program.map(Mapping::Expression)
                }
                (false, true) => {
                    if self.prefix.is_none() && prefixed {
                        let why = "prefix is required when claim is set. It can be set to an empty string to disable prefixing";
                        errors.required(&format!("{field}.prefix"), why);
                    }
                    Some(Mapping::Claim { name: self.claim, prefix: self.prefix.unwrap_or_default() })
                }
            }
        }
    }

    impl Claims {
        fn check(self, field: &str, uses_verified: bool, errors: &mut Errors) -> Option<Mappings> {
            if self.username.claim.is_empty() && self.username.expression.is_empty() {
                errors.required(&format!("{field}.username"), "claim or expression is required");
            }
            let mail = self.username.expression.replace("claims.email_verified", "");
            if (mail.contains("claims.email") || mail.contains("claims.?email")) && !uses_verified {
                let why = "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression";
                errors.invalid(&format!("{field}.username.expression"), &self.username.expression, why);
            }
            let username = self.username.check(&format!("{field}.username"), true, errors);
            let groups = self.groups.check(&format!("{field}.groups"), true, errors);
            let uid = self.uid.check(&format!("{field}.uid"), false, errors);
            let mut extra: Vec<(String, Program)> = Vec::new();
            for (i, mapping) in self.extra.into_iter().enumerate() {
                let field = format!("{field}.extra[{i}]");
                check_key(&mapping.key, &format!("{field}.key"), errors);
                if extra.iter().any(|(key, _)| *key == mapping.key) {
                    errors.duplicate(&format!("{field}.key"), &mapping.key);
                    continue;
                }
                let field = format!("{field}.valueExpression");
                if mapping.value_expression.is_empty() {
                    errors.required(&field, "");
                    continue;
                }
                let program = compile(&mapping.value_expression, &["claims"], &field, errors);
                extra.extend(program.map(|program| (mapping.key, program)));
            }
            Some(Mappings { username: username?, groups, uid, extra })
        }
    }

    /// `domain/path`, lower-case, of a domain that is not Kubernetes'.
    fn check_key(key: &str, field: &str, errors: &mut Errors) {
        let Some((domain, path)) = key.split_once('/').filter(|(d, p)| !d.is_empty() && !p.is_empty()) else {
            return match key {
                "" => errors.required(field, ""),
                _ => errors.invalid(field, key, "must be a domain-prefixed path (such as \"acme.io/foo\")"),
            };
        };
        if key.bytes().any(|b| b.is_ascii_uppercase()) {
            errors.invalid(field, key, "must be lowercase");
        }
        let good = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:@/".contains(c);
        if !domain.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.') || !path.chars().all(good) {
            errors.invalid(field, key, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        }
        for own in ["kubernetes.io", "k8s.io"] {
            if domain == own || domain.strip_suffix(own).is_some_and(|rest| rest.ends_with('.')) {
                let why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use";
                errors.invalid(field, key, why);
            }
        }
    }
}
