//! Settings of authorization, beside `--authorization-mode` in [`crate::config`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kuorum_auth::authz::config::{Mode, SetupError, WebhookMode, load};
use kuorum_auth::authz::webhook::Settings;

use crate::config::{ConfigError, duration};

/// Settings of authorizers. `Default` is every flag's default.
#[derive(Args, Clone, Debug)]
pub struct AuthorizationOptions {
    /// AuthorizationConfiguration: authorizers in order, YAML. Instead of --authorization-mode. Read again when it
    /// changes.
    #[arg(long, env = "KUORUM_AUTHORIZATION_CONFIG", value_name = "FILE")]
    pub authorization_config: Option<PathBuf>,
    /// Policies of mode ABAC, one JSON object a line.
    #[arg(long, env = "KUORUM_AUTHORIZATION_POLICY_FILE", value_name = "FILE")]
    pub authorization_policy_file: Option<PathBuf>,
    /// Kubeconfig of the webhook of mode Webhook.
    #[arg(long, env = "KUORUM_AUTHORIZATION_WEBHOOK_CONFIG_FILE", value_name = "FILE")]
    pub authorization_webhook_config_file: Option<PathBuf>,
    /// Version of the SubjectAccessReviews that it gets: v1 or v1beta1.
    #[arg(long, env = "KUORUM_AUTHORIZATION_WEBHOOK_VERSION", default_value = "v1beta1")]
    pub authorization_webhook_version: String,
    /// How long its yes counts.
    #[arg(long, env = "KUORUM_AUTHORIZATION_WEBHOOK_CACHE_AUTHORIZED_TTL", default_value = "5m0s", value_parser = duration)]
    pub authorization_webhook_cache_authorized_ttl: Duration,
    /// How long its no counts.
    #[arg(long, env = "KUORUM_AUTHORIZATION_WEBHOOK_CACHE_UNAUTHORIZED_TTL", default_value = "30s", value_parser = duration)]
    pub authorization_webhook_cache_unauthorized_ttl: Duration,
}

impl Default for AuthorizationOptions {
    fn default() -> Self {
        let settings = Settings::default();
        AuthorizationOptions {
            authorization_config: None,
            authorization_policy_file: None,
            authorization_webhook_config_file: None,
            authorization_webhook_version: settings.version.to_owned(),
            authorization_webhook_cache_authorized_ttl: settings.authorized_ttl,
            authorization_webhook_cache_unauthorized_ttl: settings.unauthorized_ttl,
        }
    }
}

/// The value of `--authorization-mode` where neither it nor a configuration file is given.
pub const DEFAULT_MODES: [&str; 2] = ["Node", "RBAC"];

const FLAG: &str = "authorization-mode";

impl AuthorizationOptions {
    /// The modes of the configuration file, or of the flags. An empty `flag` is the default.
    pub fn modes(&self, flag: &[String]) -> Result<Vec<Mode>, ConfigError> {
        self.check(flag)?;
        if let Some(path) = &self.authorization_config {
            return self.load(path).map_err(|e| invalid("authorization-config", e.to_string()));
        }
        let default: Vec<String> = DEFAULT_MODES.iter().map(|mode| (*mode).to_owned()).collect();
        let names = if flag.is_empty() { &default } else { flag };
        names.iter().map(|name| self.mode(name)).collect()
    }

    /// The modes of a configuration file.
    pub fn load(&self, path: &Path) -> Result<Vec<Mode>, SetupError> {
        load(path, self.authorization_policy_file.as_deref())
    }

    fn mode(&self, name: &str) -> Result<Mode, ConfigError> {
        Ok(match name {
            "AlwaysAllow" => Mode::AlwaysAllow,
            "AlwaysDeny" => Mode::AlwaysDeny,
            "Node" => Mode::Node,
            "RBAC" => Mode::Rbac,
            "ABAC" => Mode::Abac(self.authorization_policy_file.clone().unwrap_or_default()),
            "Webhook" => Mode::Webhook(Box::new(WebhookMode {
                kubeconfig: self.authorization_webhook_config_file.clone().unwrap_or_default(),
                settings: Settings {
                    version: if self.authorization_webhook_version == "v1" { "v1" } else { "v1beta1" },
                    authorized_ttl: self.authorization_webhook_cache_authorized_ttl,
                    unauthorized_ttl: self.authorization_webhook_cache_unauthorized_ttl,
                    ..Settings::default()
                },
                conditions: Vec::new(),
            })),
            other => return Err(invalid(FLAG, format!("{other:?} is not a valid mode"))),
        })
    }

    /// Flags that need, or exclude, each other.
    pub fn check(&self, modes: &[String]) -> Result<(), ConfigError> {
        let has = |mode: &str| modes.iter().any(|m| m == mode);
        let webhook = self.authorization_webhook_config_file.is_some();
        if self.authorization_config.is_some() {
            if !modes.is_empty() || webhook {
                let why =
                    "can not be specified when --authorization-mode or --authorization-webhook-* flags are defined";
                return Err(invalid("authorization-config", why.to_owned()));
            }
            return Ok(());
        }
        for (i, mode) in modes.iter().enumerate() {
            self.mode(mode)?;
            if modes[..i].contains(mode) {
                return Err(invalid(FLAG, format!("has mode {mode:?} specified more than once")));
            }
        }
        if !matches!(self.authorization_webhook_version.as_str(), "v1" | "v1beta1") {
            let why = format!("unknown version {:?}", self.authorization_webhook_version);
            return Err(invalid("authorization-webhook-version", why));
        }
        let pairs = [
            ("ABAC", self.authorization_policy_file.is_some(), "authorization-policy-file"),
            ("Webhook", webhook, "authorization-webhook-config-file"),
        ];
        for (mode, given, flag) in pairs {
            if has(mode) && !given {
                return Err(invalid(FLAG, format!("{mode} needs --{flag}")));
            }
            if given && !has(mode) {
                return Err(invalid(flag, format!("cannot be used without mode {mode}")));
            }
        }
        Ok(())
    }
}

fn invalid(flag: &'static str, why: String) -> ConfigError {
    ConfigError::Invalid { flag, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        let file = || Some(PathBuf::from("/f"));
        let options = AuthorizationOptions::default;
        for (given, modes, why) in [
            (options(), &["Node", "RBAC"][..], None),
            (options(), &[], None),
            (options(), &["Gnome"], Some("\"Gnome\" is not a valid mode")),
            (options(), &["RBAC", "RBAC"], Some("has mode \"RBAC\" specified more than once")),
            (options(), &["ABAC"], Some("ABAC needs --authorization-policy-file")),
            (options(), &["Webhook"], Some("Webhook needs --authorization-webhook-config-file")),
            (AuthorizationOptions { authorization_policy_file: file(), ..options() }, &["ABAC"], None),
            (
                AuthorizationOptions { authorization_policy_file: file(), ..options() },
                &["RBAC"],
                Some("cannot be used without mode ABAC"),
            ),
            (AuthorizationOptions { authorization_config: file(), ..options() }, &[], None),
            (
                AuthorizationOptions { authorization_config: file(), ..options() },
                &["RBAC"],
                Some("can not be specified when --authorization-mode or --authorization-webhook-* flags are defined"),
            ),
            (
                AuthorizationOptions { authorization_webhook_version: "v2".into(), ..options() },
                &[],
                Some("unknown version \"v2\""),
            ),
        ] {
            let modes: Vec<String> = modes.iter().map(|m| m.to_string()).collect();
            let found = match given.check(&modes) {
                Ok(()) => None,
                Err(ConfigError::Invalid { why, .. }) => Some(why),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(found.as_deref(), why, "{given:?} {modes:?}");
        }
        let names: Vec<&str> = options().modes(&[]).unwrap().iter().map(Mode::name).collect();
        assert_eq!(names, DEFAULT_MODES);
    }
}
