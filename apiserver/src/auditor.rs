//! The auditor of this front-end, made from its settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kuorum_audit::backend::{SendError, Sender, Sink, WebhookConfig};
use kuorum_audit::{Auditor, Policy, PolicyError};
use kuorum_auth::webhook::{CallError, Client, Kubeconfig, KubeconfigError, TrustError};

use crate::options::AuditOptions;

/// How long the webhook's server may take for one batch.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// Why requests cannot be recorded as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("loading audit policy file: {0}")]
    Policy(#[from] PolicyError),
    #[error("cannot open the audit log {}: {source}", path.display())]
    Log { path: PathBuf, source: std::io::Error },
    #[error("audit webhook: {0}")]
    Kubeconfig(#[from] KubeconfigError),
    #[error("audit webhook: {0}")]
    Trust(#[from] TrustError),
}

/// Reads the policy and opens the backends. `None`: nothing is to be recorded, or nowhere.
pub fn open(options: &AuditOptions) -> Result<Option<Arc<Auditor>>, AuditError> {
    let Some(path) = &options.audit_policy_file else {
        if options.audit_log_path.is_some() || options.audit_webhook_config_file.is_some() {
            tracing::info!("no audit policy file: no events will be recorded");
        }
        return Ok(None);
    };
    let policy = Policy::load(path)?;
    let mut sinks = Vec::new();
    if let Some(config) = options.log() {
        let failed = |source| AuditError::Log { path: config.path.clone(), source };
        sinks.push(Sink::log(&config).map_err(failed)?);
    }
    if let (Some(path), Some((mode, batch, truncate))) = (&options.audit_webhook_config_file, options.webhook()) {
        let client = Client::of(&Kubeconfig::load(path)?)?;
        let initial_backoff = options.audit_webhook_initial_backoff;
        sinks.push(Sink::webhook(&WebhookConfig { sender: sender(client), initial_backoff, mode, batch, truncate }));
    }
    Ok((!sinks.is_empty()).then(|| Auditor::new(policy, sinks)))
}

fn sender(client: Client) -> Sender {
    Arc::new(move |body| {
        let client = client.clone();
        Box::pin(async move {
            match client.post_bytes(body, WEBHOOK_TIMEOUT).await {
                // What the server says to a batch that it took does not matter.
                Ok(_) | Err(CallError::BadAnswer(_)) => Ok(()),
                Err(error) => Err(SendError { may_heal: error.may_heal(), why: error.to_string() }),
            }
        })
    })
}
