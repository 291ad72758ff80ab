//! Controllers that run inside a front-end, and which of them `--controllers` selects.

pub mod cluster_role_aggregation;
pub mod flow_control;
pub mod leader;
pub mod namespace;
mod queue;
mod resource_quota;
mod root_ca;
mod service_account;

use std::sync::Arc;

use serde_json::Value;

use crate::app::App;
use crate::loopback::Refused;
use crate::status::ApiError;
use resource_quota::ResourceQuotas;
use root_ca::RootCa;
use service_account::ServiceAccounts;

const SERVICE_ACCOUNT: &str = "serviceaccount-controller";
const ROOT_CA: &str = "root-ca-certificate-publisher-controller";
const RESOURCE_QUOTA: &str = "resourcequota-controller";

/// The controllers that exist here.
pub const KNOWN: &[&str] =
    &["clusterrole-aggregation-controller", "namespace-controller", SERVICE_ACCOUNT, ROOT_CA, RESOURCE_QUOTA];

/// Old short names that kube-controller-manager still takes.
const ALIASES: &[(&str, &str)] = &[
    ("clusterrole-aggregation", "clusterrole-aggregation-controller"),
    ("namespace", "namespace-controller"),
    ("serviceaccount", SERVICE_ACCOUNT),
    ("root-ca-cert-publisher", ROOT_CA),
    ("resourcequota", RESOURCE_QUOTA),
];

/// A parsed `--controllers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    all: bool,
    on: Vec<String>,
    off: Vec<String>,
}

impl Selection {
    /// Reads `*`, names and `-name`; an unknown name is an error.
    pub fn parse(items: &[String]) -> Result<Self, String> {
        let mut selection = Selection::default();
        for item in items.iter().map(|i| i.trim()).filter(|i| !i.is_empty()) {
            let (name, list) = match item.strip_prefix('-') {
                Some(name) => (name, &mut selection.off),
                None => (item, &mut selection.on),
            };
            if name == "*" {
                selection.all |= !item.starts_with('-');
                continue;
            }
            let name = ALIASES.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new);
            if !KNOWN.contains(&name) {
                return Err(format!("{name:?} is not in the list of known controllers ({})", KNOWN.join(", ")));
            }
            list.push(name.to_owned());
        }
        Ok(selection)
    }

    pub fn enabled(&self, name: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|n| n == name);
        named(&self.on) || (self.all && !named(&self.off))
    }
}

/// Runs those of the selected controllers of which one in the cluster is enough, on the front-end that leads. Until
/// the drain.
pub async fn run_elected(app: Arc<App>, selection: &Selection, identity: &str) {
    if ![SERVICE_ACCOUNT, ROOT_CA, RESOURCE_QUOTA].iter().any(|name| selection.enabled(name)) {
        return;
    }
    match Elected::new(&app, selection) {
        Ok(elected) if app.config.leader_elect => leader::run(&app, identity, || elected.run()).await,
        Ok(elected) => tokio::select! {
            () = elected.run() => {}
            () = app.drain.cancelled() => {}
        },
        // A kind is not served: a defect of the build.
        Err(error) => tracing::error!(%error, "controllers cannot run"),
    }
}

/// The controllers that a leader runs. They follow the caches from the start, so that a new leader knows what to do.
struct Elected {
    service_accounts: Option<ServiceAccounts>,
    root_ca: Option<RootCa>,
    quotas: Option<ResourceQuotas>,
}

impl Elected {
    fn new(app: &Arc<App>, selection: &Selection) -> Result<Self, ApiError> {
        let wanted = |name: &str| selection.enabled(name).then(|| app.clone());
        Ok(Elected {
            service_accounts: wanted(SERVICE_ACCOUNT).map(ServiceAccounts::new).transpose()?,
            root_ca: wanted(ROOT_CA).map(RootCa::new).transpose()?.flatten(),
            quotas: wanted(RESOURCE_QUOTA).map(ResourceQuotas::new).transpose()?,
        })
    }

    /// Works for ever.
    async fn run(&self) {
        let service_accounts = async {
            if let Some(controller) = &self.service_accounts {
                controller.run().await;
            }
        };
        let root_ca = async {
            if let Some(controller) = &self.root_ca {
                controller.run().await;
            }
        };
        let quotas = async {
            if let Some(controller) = &self.quotas {
                controller.run().await;
            }
        };
        tokio::join!(service_accounts, root_ca, quotas);
        // Nothing was to do: the lease is held all the same.
        std::future::pending::<()>().await;
    }
}

/// Every namespace of the cache.
fn for_each_namespace(app: &App, mut each: impl FnMut(&str)) {
    if let Ok((_, namespaces)) = app.resource_named("", "v1", "namespaces") {
        namespaces.snapshot().iter().for_each(|namespace| each(namespace.name()));
    }
}

/// Whether a namespace is there and stays.
fn is_active(app: &App, name: &str) -> bool {
    let namespaces = app.resource_named("", "v1", "namespaces");
    namespaces.is_ok_and(|(_, namespaces)| namespaces.get("", name).is_some_and(|n| !n.deleting()))
}

/// What came of making an object: it may be there already, and its namespace may be gone.
fn made(created: Result<Value, Refused>) -> Result<(), String> {
    match created {
        Ok(_) => Ok(()),
        Err(refused) if matches!(refused.code, 404 | 409) => Ok(()),
        Err(refused) => Err(refused.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections() {
        let parse = |items: &[&str]| Selection::parse(&items.iter().map(|s| s.to_string()).collect::<Vec<_>>());
        for (items, want) in [
            (&["*"][..], true),
            (&["-*"], false),
            (&[], false),
            (&["namespace"], true),
            (&["*", "-namespace-controller"], false),
        ] {
            assert_eq!(parse(items).unwrap().enabled("namespace-controller"), want, "{items:?}");
        }
        assert!(parse(&["nonsense"]).is_err());
    }
}
