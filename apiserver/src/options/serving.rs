//! Settings of connections and of encryption at rest: kube-apiserver's flags.

use std::path::PathBuf;

use clap::Args;

use crate::config::ConfigError;
use crate::tls::{ciphers, sni};

/// The largest part of requests that may end their connections.
const GOAWAY_CHANCE_MAX: f64 = 0.02;

/// `Default` is every flag's default.
#[derive(Args, Clone, Debug, Default)]
pub struct ServingOptions {
    /// TLS 1.2 cipher suites, in Go's spelling; by default all that are safe.
    #[arg(long, env = "KUORUM_TLS_CIPHER_SUITES", value_delimiter = ',')]
    pub tls_cipher_suites: Vec<String>,
    /// Certificate and key for some names, `cert,key[:name,*.domain,…]`; once per pair (or with `;` between them).
    #[arg(long, env = "KUORUM_TLS_SNI_CERT_KEY", value_delimiter = ';')]
    pub tls_sni_cert_key: Vec<String>,
    /// Part of the HTTP/2 requests after which the client is asked to connect anew, 0 to 0.02: spreads clients over
    /// front-ends.
    #[arg(long, env = "KUORUM_GOAWAY_CHANCE", default_value_t = 0.0)]
    pub goaway_chance: f64,
    /// Directives of the Strict-Transport-Security header.
    #[arg(long, env = "KUORUM_STRICT_TRANSPORT_SECURITY_DIRECTIVES", value_delimiter = ',')]
    pub strict_transport_security_directives: Vec<String>,
    /// Origins whose scripts may call this server, as regular expressions.
    #[arg(long, env = "KUORUM_CORS_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub cors_allowed_origins: Vec<String>,
    /// Whether requests that come in while the server drains get 429 and Retry-After, rather than no connection.
    #[arg(long, env = "KUORUM_SHUTDOWN_SEND_RETRY_AFTER", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub shutdown_send_retry_after: bool,

    /// EncryptionConfiguration: which resources are sealed in the store, and with which keys, YAML.
    #[arg(long, env = "KUORUM_ENCRYPTION_PROVIDER_CONFIG", value_name = "FILE")]
    pub encryption_provider_config: Option<PathBuf>,
    /// Whether that file is read again when it changes.
    #[arg(long, env = "KUORUM_ENCRYPTION_PROVIDER_CONFIG_AUTOMATIC_RELOAD", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub encryption_provider_config_automatic_reload: bool,
}

impl ServingOptions {
    /// Checks what types cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |flag, why: String| Err(ConfigError::Invalid { flag, why });
        if let Err(why) = ciphers::select(&self.tls_cipher_suites) {
            return invalid("tls-cipher-suites", why);
        }
        for pair in &self.tls_sni_cert_key {
            if let Err(why) = sni::Spec::parse(pair) {
                return invalid("tls-sni-cert-key", why);
            }
        }
        if !(0.0..=GOAWAY_CHANCE_MAX).contains(&self.goaway_chance) {
            return invalid("goaway-chance", format!("can not be less than 0 or greater than {GOAWAY_CHANCE_MAX}"));
        }
        if let Err(why) = self.strict_transport_security() {
            return invalid("strict-transport-security-directives", why);
        }
        for origin in &self.cors_allowed_origins {
            if let Err(error) = regex::Regex::new(origin) {
                return invalid("cors-allowed-origins", format!("has an invalid regular expression: {error}"));
            }
            if !origin.contains("//") && !origin.contains('^') {
                let why = format!("regular expression does not pin to start of host in the origin header: {origin:?}");
                return invalid("cors-allowed-origins", why);
            }
            if !origin.contains('$') && !origin.trim_end_matches(')').ends_with(':') {
                let why = format!("regular expression does not pin to end of host in the origin header: {origin:?}");
                return invalid("cors-allowed-origins", why);
            }
        }
        if self.encryption_provider_config_automatic_reload && self.encryption_provider_config.is_none() {
            let why = "--encryption-provider-config-automatic-reload must be set with --encryption-provider-config";
            return invalid("encryption-provider-config-automatic-reload", why.to_owned());
        }
        Ok(())
    }

    /// The header's value; `None` where there is none.
    pub fn strict_transport_security(&self) -> Result<Option<String>, String> {
        for directive in &self.strict_transport_security_directives {
            let max_age = directive.strip_prefix("max-age=").is_some_and(|age| age.parse::<u64>().is_ok());
            if !max_age && !matches!(directive.as_str(), "includeSubDomains" | "preload") {
                return Err(format!(
                    "invalid directive {directive:?}: allowed are max-age=expireTime, includeSubDomains and preload"
                ));
            }
        }
        let directives = &self.strict_transport_security_directives;
        Ok((!directives.is_empty()).then(|| directives.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        type Spoil = fn(&mut ServingOptions);
        let table: [(Spoil, &str); 8] = [
            (|o| o.tls_cipher_suites = vec!["TLS_NONE".to_owned()], "TLS_NONE"),
            (|o| o.tls_sni_cert_key = vec!["one.crt".to_owned()], "expected comma separated certificate and key file"),
            (|o| o.goaway_chance = 0.5, "greater than 0.02"),
            (|o| o.goaway_chance = f64::NAN, "greater than 0.02"),
            (|o| o.strict_transport_security_directives = vec!["max-age=soon".to_owned()], "invalid directive"),
            (|o| o.cors_allowed_origins = vec!["(".to_owned()], "invalid regular expression"),
            (|o| o.cors_allowed_origins = vec!["example.com$".to_owned()], "pin to start"),
            (|o| o.encryption_provider_config_automatic_reload = true, "must be set with"),
        ];
        ServingOptions::default().validate().unwrap();
        for (change, want) in table {
            let mut options = ServingOptions::default();
            change(&mut options);
            let said = options.validate().unwrap_err().to_string();
            assert!(said.contains(want), "{said}");
        }
        let directives = ["max-age=31536000", "includeSubDomains"].map(str::to_owned).to_vec();
        let options = ServingOptions { strict_transport_security_directives: directives, ..ServingOptions::default() };
        assert_eq!(options.strict_transport_security().unwrap().unwrap(), "max-age=31536000; includeSubDomains");
    }
}
