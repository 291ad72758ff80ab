//! Reads of a kubeconfig what a load generator needs: the current context's server, CA and credentials.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use http::HeaderValue;
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;

/// Where to connect and how to be known there.
#[derive(Clone)]
pub struct Target {
    /// `127.0.0.1:6443`
    pub authority: String,
    pub server_name: ServerName<'static>,
    pub tls: Arc<ClientConfig>,
    /// `Bearer …`, where the user has a token.
    pub authorization: Option<HeaderValue>,
}

/// The target of the file's current context.
pub fn read(path: &Path) -> Result<Target> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let config = kuorum_schema::yaml::to_json(&text).map_err(|e| anyhow!("{}: {e}", path.display()))?.value;
    let base = path.parent().unwrap_or(Path::new("."));
    let context = named(&config, "contexts", config["current-context"].as_str().unwrap_or_default(), "context")?;
    let cluster = named(&config, "clusters", context["cluster"].as_str().unwrap_or_default(), "cluster")?;
    let user = named(&config, "users", context["user"].as_str().unwrap_or_default(), "user")?;

    let server = cluster["server"].as_str().ok_or_else(|| anyhow!("the cluster has no server"))?;
    let uri: http::Uri = server.parse().with_context(|| format!("server {server:?}"))?;
    if uri.scheme_str() != Some("https") {
        bail!("server {server:?}: only https is supported");
    }
    let host = uri.host().ok_or_else(|| anyhow!("server {server:?} has no host"))?.trim_matches(['[', ']']).to_owned();
    let authority = match uri.port_u16() {
        Some(_) => uri.authority().map(ToString::to_string).unwrap_or_default(),
        None => format!("{host}:443"),
    };

    let mut roots = rustls::RootCertStore::empty();
    if let Some(pem) = material(cluster, "certificate-authority", base)? {
        for cert in CertificateDer::pem_slice_iter(&pem) {
            roots.add(cert?)?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut tls = match (material(user, "client-certificate", base)?, material(user, "client-key", base)?) {
        (Some(cert), Some(key)) => {
            let chain = CertificateDer::pem_slice_iter(&cert).collect::<Result<Vec<_>, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&key)?)?
        }
        _ => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let authorization = match user["token"].as_str() {
        Some(token) => {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
            value.set_sensitive(true);
            Some(value)
        }
        None => None,
    };
    Ok(Target { authority, server_name: ServerName::try_from(host)?, tls: Arc::new(tls), authorization })
}

fn named<'a>(config: &'a Value, list: &str, name: &str, inner: &str) -> Result<&'a Value> {
    config[list]
        .as_array()
        .and_then(|entries| entries.iter().find(|e| e["name"] == name))
        .map(|e| &e[inner])
        .ok_or_else(|| anyhow!("no entry {name:?} in {list}"))
}

/// `<key>-data` (base64) or the file that `<key>` names, relative to the kubeconfig.
fn material(entry: &Value, key: &str, base: &Path) -> Result<Option<Vec<u8>>> {
    if let Some(data) = entry[format!("{key}-data")].as_str() {
        return Ok(Some(
            base64::engine::general_purpose::STANDARD.decode(data).with_context(|| format!("{key}-data"))?,
        ));
    }
    match entry[key].as_str() {
        Some(file) => {
            let path = base.join(file);
            Ok(Some(std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?))
        }
        None => Ok(None),
    }
}
