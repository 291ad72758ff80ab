//! Settings of authentication, beside the few in [`crate::config`].

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::{ConfigError, duration};

/// Settings of authenticators. `Default` is every flag's default.
#[derive(Args, Clone, Debug)]
pub struct AuthenticationOptions {
    /// Longest life of a token of TokenRequest; 0: whatever is asked for. At least an hour.
    #[arg(long, env = "KUORUM_SERVICE_ACCOUNT_MAX_TOKEN_EXPIRATION", default_value = "0s", value_parser = duration)]
    pub service_account_max_token_expiration: Duration,
    /// Whether pods' tokens outlive the hour that they ask for, and are counted when they do.
    #[arg(long, env = "KUORUM_SERVICE_ACCOUNT_EXTEND_TOKEN_EXPIRATION", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub service_account_extend_token_expiration: bool,
    /// Whether the Secret and the ServiceAccount of a token that is kept in a Secret must exist.
    #[arg(long, env = "KUORUM_SERVICE_ACCOUNT_LOOKUP", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub service_account_lookup: bool,
    /// Where the discovery document says that the keys are; by default, this server's own address.
    #[arg(long, env = "KUORUM_SERVICE_ACCOUNT_JWKS_URI", default_value = "")]
    pub service_account_jwks_uri: String,
    /// Whether tokens in bootstrap.kubernetes.io/token Secrets of kube-system are accepted.
    #[arg(long, env = "KUORUM_ENABLE_BOOTSTRAP_TOKEN_AUTH", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub enable_bootstrap_token_auth: bool,

    /// AuthenticationConfiguration: JWT issuers and anonymous requests, YAML. Read again when it changes.
    #[arg(long, env = "KUORUM_AUTHENTICATION_CONFIG", value_name = "FILE")]
    pub authentication_config: Option<PathBuf>,
    /// OpenID Connect issuer, `https://…`.
    #[arg(long, env = "KUORUM_OIDC_ISSUER_URL", default_value = "")]
    pub oidc_issuer_url: String,
    /// Client ID that tokens must be issued for.
    #[arg(long, env = "KUORUM_OIDC_CLIENT_ID", default_value = "")]
    pub oidc_client_id: String,
    /// CA of the issuer, PEM; by default, the host's.
    #[arg(long, env = "KUORUM_OIDC_CA_FILE", value_name = "FILE")]
    pub oidc_ca_file: Option<PathBuf>,
    /// Claim that is the user's name.
    #[arg(long, env = "KUORUM_OIDC_USERNAME_CLAIM", default_value = "sub")]
    pub oidc_username_claim: String,
    /// Put in front of the name; by default the issuer and `#`, unless the claim is `email`; `-`: nothing.
    #[arg(long, env = "KUORUM_OIDC_USERNAME_PREFIX", default_value = "", allow_hyphen_values = true)]
    pub oidc_username_prefix: String,
    /// Claim that lists the user's groups.
    #[arg(long, env = "KUORUM_OIDC_GROUPS_CLAIM", default_value = "")]
    pub oidc_groups_claim: String,
    /// Put in front of each group.
    #[arg(long, env = "KUORUM_OIDC_GROUPS_PREFIX", default_value = "")]
    pub oidc_groups_prefix: String,
    /// `claim=value` that tokens must have; may be repeated.
    #[arg(long, env = "KUORUM_OIDC_REQUIRED_CLAIM", value_delimiter = ',')]
    pub oidc_required_claim: Vec<String>,
    /// Algorithms that the issuer may sign with.
    #[arg(long, env = "KUORUM_OIDC_SIGNING_ALGS", value_delimiter = ',', default_value = "RS256")]
    pub oidc_signing_algs: Vec<String>,

    /// Kubeconfig of the webhook that reviews tokens.
    #[arg(long, env = "KUORUM_AUTHENTICATION_TOKEN_WEBHOOK_CONFIG_FILE", value_name = "FILE")]
    pub authentication_token_webhook_config_file: Option<PathBuf>,
    /// Version of the TokenReviews that it gets: v1 or v1beta1.
    #[arg(long, env = "KUORUM_AUTHENTICATION_TOKEN_WEBHOOK_VERSION", default_value = "v1beta1")]
    pub authentication_token_webhook_version: String,
    /// How long its answers are remembered.
    #[arg(long, env = "KUORUM_AUTHENTICATION_TOKEN_WEBHOOK_CACHE_TTL", default_value = "2m0s", value_parser = duration)]
    pub authentication_token_webhook_cache_ttl: Duration,

    /// CA of the front proxy, whose headers say who the user is. Read again when it changes.
    #[arg(long, env = "KUORUM_REQUESTHEADER_CLIENT_CA_FILE", value_name = "FILE")]
    pub requestheader_client_ca_file: Option<PathBuf>,
    /// Common names of front proxies; empty: any of that CA.
    #[arg(long, env = "KUORUM_REQUESTHEADER_ALLOWED_NAMES", value_delimiter = ',')]
    pub requestheader_allowed_names: Vec<String>,
    /// Headers with the user's name, X-Remote-User as a rule.
    #[arg(long, env = "KUORUM_REQUESTHEADER_USERNAME_HEADERS", value_delimiter = ',')]
    pub requestheader_username_headers: Vec<String>,
    /// Headers with the user's UID, X-Remote-Uid as a rule.
    #[arg(long, env = "KUORUM_REQUESTHEADER_UID_HEADERS", value_delimiter = ',')]
    pub requestheader_uid_headers: Vec<String>,
    /// Headers with the user's groups, X-Remote-Group as a rule.
    #[arg(long, env = "KUORUM_REQUESTHEADER_GROUP_HEADERS", value_delimiter = ',')]
    pub requestheader_group_headers: Vec<String>,
    /// Beginnings of headers with the user's extra, X-Remote-Extra- as a rule.
    #[arg(long, env = "KUORUM_REQUESTHEADER_EXTRA_HEADERS_PREFIX", value_delimiter = ',')]
    pub requestheader_extra_headers_prefix: Vec<String>,
}

impl Default for AuthenticationOptions {
    fn default() -> Self {
        AuthenticationOptions {
            service_account_max_token_expiration: Duration::ZERO,
            service_account_extend_token_expiration: true,
            service_account_lookup: true,
            service_account_jwks_uri: String::new(),
            enable_bootstrap_token_auth: false,
            authentication_config: None,
            oidc_issuer_url: String::new(),
            oidc_client_id: String::new(),
            oidc_ca_file: None,
            oidc_username_claim: "sub".to_owned(),
            oidc_username_prefix: String::new(),
            oidc_groups_claim: String::new(),
            oidc_groups_prefix: String::new(),
            oidc_required_claim: Vec::new(),
            oidc_signing_algs: vec!["RS256".to_owned()],
            authentication_token_webhook_config_file: None,
            authentication_token_webhook_version: "v1beta1".to_owned(),
            authentication_token_webhook_cache_ttl: Duration::from_secs(120),
            requestheader_client_ca_file: None,
            requestheader_allowed_names: Vec::new(),
            requestheader_username_headers: Vec::new(),
            requestheader_uid_headers: Vec::new(),
            requestheader_group_headers: Vec::new(),
            requestheader_extra_headers_prefix: Vec::new(),
        }
    }
}

/// Bounds of `--service-account-max-token-expiration`.
const MAX_TOKEN_EXPIRATION_MIN: Duration = Duration::from_secs(3600);
const MAX_TOKEN_EXPIRATION_MAX: Duration = Duration::from_secs(1 << 32);

impl AuthenticationOptions {
    /// Checks what types cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |flag, why: &str| Err(ConfigError::Invalid { flag, why: why.to_owned() });
        let longest = self.service_account_max_token_expiration;
        if !longest.is_zero() && !(MAX_TOKEN_EXPIRATION_MIN..=MAX_TOKEN_EXPIRATION_MAX).contains(&longest) {
            return invalid("service-account-max-token-expiration", "must be between 1 hour and 2^32 seconds");
        }
        if !self.service_account_jwks_uri.is_empty() && !self.service_account_jwks_uri.starts_with("https://") {
            return invalid("service-account-jwks-uri", "requires https scheme");
        }
        if self.oidc_issuer_url.is_empty() != self.oidc_client_id.is_empty() {
            return invalid("oidc-issuer-url", "and --oidc-client-id must be specified together when any is");
        }
        if !self.oidc_issuer_url.is_empty() && self.authentication_config.is_some() {
            return invalid("authentication-config", "cannot be used with --oidc-* flags");
        }
        if self.oidc_required_claim.iter().any(|c| c.split_once('=').is_none_or(|(key, _)| key.is_empty())) {
            return invalid("oidc-required-claim", "must be key=value");
        }
        let headers = [
            &self.requestheader_username_headers,
            &self.requestheader_uid_headers,
            &self.requestheader_group_headers,
            &self.requestheader_extra_headers_prefix,
        ];
        if headers.iter().any(|list| list.iter().any(|h| http::HeaderName::try_from(h.trim()).is_err())) {
            return invalid("requestheader-username-headers", "and its sisters must be names of headers");
        }
        if self.requestheader_client_ca_file.is_some() && self.requestheader_username_headers.is_empty() {
            return invalid("requestheader-username-headers", "is needed with --requestheader-client-ca-file");
        }
        Ok(())
    }
}
