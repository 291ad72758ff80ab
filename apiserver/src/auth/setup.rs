//! From settings to authenticators, and what keeps them up to date.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use kuorum_auth::authn::bootstrap::Bootstrap;
use kuorum_auth::authn::objects::Objects;
use kuorum_auth::authn::oidc::{self, AuthenticationConfiguration, Oidc};
use kuorum_auth::authn::service_account::{Issuer, LegacyTokenUse, Verifier};
use kuorum_auth::authn::static_tokens::{TokenFileError, Tokens};
use kuorum_auth::authn::tokens::TokenChain;
use kuorum_auth::authn::webhook_tokens::{self, WebhookTokens};
use kuorum_auth::jwt::{KeyError, PublicKey, SigningKey, keys_in_pem};
use kuorum_cache::Store;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{Anonymous, Authenticator, FrontProxy, RequestHeaderNames};
use crate::app::App;
use crate::config::Config;
use crate::tls::{ClientCa, TlsError, stamp};

/// Why authenticators cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    #[error("--{flag}: cannot read {path}: {source}")]
    Unreadable { flag: &'static str, path: String, source: std::io::Error },
    #[error("--{flag}: {path}: {source}")]
    Key { flag: &'static str, path: String, source: KeyError },
    #[error("--requestheader-client-ca-file: {0}")]
    FrontProxy(TlsError),
    #[error("--authentication-config: {0}")]
    Configuration(oidc::ConfigError),
    #[error("--oidc-issuer-url: {0}")]
    Oidc(oidc::ConfigError),
    #[error("--authentication-token-webhook-config-file: {0}")]
    Webhook(#[from] webhook_tokens::SetupError),
}

/// Uses of Secrets' tokens that may wait to be noted.
const LEGACY_USES_MAX: usize = 64;
/// How often the configuration file is looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// The authenticators, and the uses of Secrets' tokens that [`super::legacy_tokens`] notes.
pub struct Parts {
    pub authenticator: Authenticator,
    pub legacy_uses: mpsc::Receiver<LegacyTokenUse>,
}

/// Audiences of this API: those of `--api-audiences`, or the issuers.
pub fn audiences(config: &Config) -> &[String] {
    if config.api_audiences.is_empty() { &config.service_account_issuer } else { &config.api_audiences }
}

/// Reads all files that the settings name.
pub fn authenticators(config: &Config, store: &Store, client_ca: Arc<ClientCa>) -> Result<Parts, SetupError> {
    let flags = &config.authentication;
    let objects = Arc::new(Objects::new(store.clone()));
    let signing = match &config.service_account_signing_key_file {
        Some(path) => Some(signing_key(path)?),
        None => None,
    };
    let keys = verifying_keys(&config.service_account_key_file, signing.as_ref())?;
    let (uses, legacy_uses) = mpsc::channel(LEGACY_USES_MAX);
    let service_accounts = (!keys.is_empty()).then(|| Verifier {
        issuers: config.service_account_issuer.clone(),
        keys: keys.clone(),
        audiences: audiences(config).to_vec(),
        lookup: flags.service_account_lookup,
        objects: objects.clone(),
        legacy_uses: Some(uses),
    });
    let webhook = match &flags.authentication_token_webhook_config_file {
        Some(path) => Some(WebhookTokens::load(
            path,
            &flags.authentication_token_webhook_version,
            flags.authentication_token_webhook_cache_ttl,
        )?),
        None => None,
    };
    let (issuers, anonymous) = configured(config)?;
    let authenticator = Authenticator {
        client_ca: Some(client_ca),
        front_proxy: front_proxy(config)?,
        tokens: TokenChain {
            audiences: audiences(config).to_vec(),
            static_tokens: config.token_auth_file.as_deref().map(Tokens::load).transpose()?.unwrap_or_default(),
            service_accounts,
            bootstrap: flags.enable_bootstrap_token_auth.then(|| Bootstrap { objects: objects.clone() }),
            oidc: ArcSwap::from_pointee(issuers),
            webhook,
            objects,
            cache: Default::default(),
        },
        anonymous: ArcSwap::from_pointee(anonymous),
        issuer: signing.and_then(|key| Some(Issuer::new(config.service_account_issuer.first()?.clone(), key))),
        service_account_keys: keys,
    };
    Ok(Parts { authenticator, legacy_uses })
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|source| SetupError::Unreadable { flag, path: path.display().to_string(), source })
}

fn signing_key(path: &Path) -> Result<SigningKey, SetupError> {
    let flag = "service-account-signing-key-file";
    let pem = read(flag, path)?;
    SigningKey::from_pem(&pem).map_err(|source| SetupError::Key { flag, path: path.display().to_string(), source })
}

/// The keys of `--service-account-key-file`, or the public half of the one that signs. Each key once.
fn verifying_keys(files: &[std::path::PathBuf], signing: Option<&SigningKey>) -> Result<Vec<PublicKey>, SetupError> {
    let flag = "service-account-key-file";
    let mut keys: Vec<PublicKey> = Vec::new();
    for path in files {
        let pem = read(flag, path)?;
        let found = keys_in_pem(&pem);
        let path = path.display().to_string();
        for key in found.map_err(|source| SetupError::Key { flag, path, source })? {
            if keys.iter().all(|k| k.id() != key.id()) {
                keys.push(key);
            }
        }
    }
    if files.is_empty() {
        keys.extend(signing.map(|key| key.public().clone()));
    }
    Ok(keys)
}

fn front_proxy(config: &Config) -> Result<Option<FrontProxy>, SetupError> {
    let flags = &config.authentication;
    let Some(ca) = &flags.requestheader_client_ca_file else { return Ok(None) };
    let names = RequestHeaderNames {
        user: flags.requestheader_username_headers.clone(),
        uid: flags.requestheader_uid_headers.clone(),
        group: flags.requestheader_group_headers.clone(),
        extra_prefix: flags.requestheader_extra_headers_prefix.clone(),
    };
    Ok(Some(FrontProxy {
        ca: Arc::new(ClientCa::load(Some(ca)).map_err(SetupError::FrontProxy)?),
        allowed_names: flags.requestheader_allowed_names.clone(),
        names: names.lower(),
    }))
}

/// Issuers and anonymous requests, of the configuration file or of flags.
fn configured(config: &Config) -> Result<(Vec<Arc<Oidc>>, Anonymous), SetupError> {
    let flags = &config.authentication;
    let default = Anonymous::new(config.serves_anonymous(), Vec::new());
    if let Some(path) = &flags.authentication_config {
        return read_configuration(config, path).map_err(SetupError::Configuration);
    }
    if flags.oidc_issuer_url.is_empty() {
        return Ok((Vec::new(), default));
    }
    let authority = match &flags.oidc_ca_file {
        Some(path) => Some(String::from_utf8_lossy(&read("oidc-ca-file", path)?).into_owned()),
        None => None,
    };
    let required = flags.oidc_required_claim.iter().filter_map(|c| c.split_once('='));
    let spec = oidc::Flags {
        issuer_url: flags.oidc_issuer_url.clone(),
        client_id: flags.oidc_client_id.clone(),
        certificate_authority: authority,
        username_claim: flags.oidc_username_claim.clone(),
        username_prefix: flags.oidc_username_prefix.clone(),
        groups_claim: flags.oidc_groups_claim.clone(),
        groups_prefix: flags.oidc_groups_prefix.clone(),
        required_claims: required.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        signing_algorithms: flags.oidc_signing_algs.clone(),
    };
    let issuer = spec.spec().and_then(Oidc::new).map_err(SetupError::Oidc)?;
    Ok((vec![Arc::new(issuer)], default))
}

fn read_configuration(config: &Config, path: &Path) -> Result<(Vec<Arc<Oidc>>, Anonymous), oidc::ConfigError> {
    let read = AuthenticationConfiguration::load(path, &config.service_account_issuer)?;
    let issuers = read.jwt.into_iter().map(|spec| Oidc::new(spec).map(Arc::new)).collect::<Result<_, _>>()?;
    let anonymous = match read.anonymous {
        Some(spec) => Anonymous::new(spec.enabled, spec.paths),
        None => Anonymous::new(config.serves_anonymous(), Vec::new()),
    };
    Ok((issuers, anonymous))
}

/// Starts what keeps the authenticators up to date, until the server drains.
pub fn spawn(app: &Arc<App>, tasks: &TaskTracker, legacy_uses: mpsc::Receiver<LegacyTokenUse>) {
    let until_drain = |app: &Arc<App>| app.drain.clone();
    if let Some(proxy) = &app.authenticator.front_proxy {
        let (ca, drain) = (proxy.ca.clone(), until_drain(app));
        tasks.spawn(async move { drain.run_until_cancelled(ca.watch_file()).await });
    }
    let (own, drain) = (app.clone(), until_drain(app));
    tasks.spawn(async move { drain.run_until_cancelled(keep_issuers(own)).await });
    let (own, drain) = (app.clone(), until_drain(app));
    tasks.spawn(async move { drain.run_until_cancelled(super::trust::keep(own)).await });
    let (own, drain) = (app.clone(), until_drain(app));
    tasks.spawn(async move { drain.run_until_cancelled(super::legacy_tokens::note(own, legacy_uses)).await });
}

/// Fetches the issuers' keys, and reads the configuration file again whenever it changes. A file that cannot be used
/// is logged and the old configuration stays.
async fn keep_issuers(app: Arc<App>) {
    let mut fetching = initialize(&app);
    let Some(path) = &app.config.authentication.authentication_config else {
        while fetching.join_next().await.is_some() {}
        return;
    };
    let mut seen = stamp(path);
    loop {
        tokio::time::sleep(RELOAD_INTERVAL).await;
        let now = stamp(path);
        if now == seen {
            continue;
        }
        seen = now;
        match read_configuration(&app.config, path) {
            Ok((issuers, anonymous)) => {
                app.authenticator.tokens.oidc.store(Arc::new(issuers));
                app.authenticator.tokens.cache.clear();
                app.authenticator.anonymous.store(Arc::new(anonymous));
                // Ends what still waits for issuers that have gone.
                fetching.shutdown().await;
                fetching = initialize(&app);
                tracing::info!(path = %path.display(), "authentication configuration read again");
            }
            Err(error) => tracing::error!(%error, "keeping the old authentication configuration"),
        }
    }
}

fn initialize(app: &App) -> tokio::task::JoinSet<()> {
    let issuers = app.authenticator.tokens.oidc.load_full();
    issuers.iter().cloned().map(|issuer| async move { issuer.initialize().await }).collect()
}
