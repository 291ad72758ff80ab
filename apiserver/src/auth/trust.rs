//! What extension servers must know to authenticate as this server does: the ConfigMap
//! `kube-system/extension-apiserver-authentication`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kuorum_kinds::value as json;
use serde_json::{Value, json};

use crate::app::App;
use crate::config::Config;
use crate::loopback::{Client, Refused};

const PATH: &str = "/api/v1/namespaces/kube-system/configmaps";
const NAME: &str = "extension-apiserver-authentication";
/// How often the ConfigMap is compared with the files.
const INTERVAL: Duration = Duration::from_secs(60);

/// Keeps the ConfigMap true.
pub async fn keep(app: Arc<App>) {
    let client = Client::new(app.clone());
    loop {
        tokio::time::sleep(INTERVAL).await;
        if let Err(error) = reconcile(&app.config, &client).await {
            tracing::warn!(%error, "the ConfigMap for extension servers is not renewed");
        }
    }
}

/// Makes the ConfigMap, or adds to it what is missing.
pub async fn reconcile(config: &Config, client: &Client) -> Result<(), Refused> {
    let wanted = data(config);
    let path = format!("{PATH}/{NAME}");
    let mut current = match client.get(&path).await {
        Ok(current) => current,
        Err(error) if error.code == 404 => {
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": "kube-system"},
                "data": wanted,
            });
            return match client.post(PATH, &object).await {
                // Another front-end was quicker; the next look will find it.
                Err(error) if error.code != 409 => Err(error),
                _ => Ok(()),
            };
        }
        Err(error) => return Err(error),
    };
    let mut merged: BTreeMap<String, Value> =
        json::entries(&current, "data").map(|(k, v)| (k.to_owned(), v.clone())).collect();
    for (key, value) in wanted {
        let before = merged.get(&key).and_then(Value::as_str).unwrap_or_default();
        let after = if key.ends_with("-ca-file") { merge_bundles(before, &value) } else { merge_lists(before, &value) };
        merged.insert(key, after.into());
    }
    let merged = json!(merged);
    if json::equal(&merged, json::get(&current, "data")) {
        return Ok(());
    }
    json::set(&mut current, "data", merged);
    client.put(&path, &current).await.map(drop)
}

fn data(config: &Config) -> BTreeMap<String, String> {
    let read = |path: &Option<std::path::PathBuf>| path.as_ref().and_then(|p| std::fs::read_to_string(p).ok());
    let mut data = BTreeMap::new();
    if let Some(ca) = read(&config.client_ca_file) {
        data.insert("client-ca-file".to_owned(), ca);
    }
    let flags = &config.authentication;
    if let Some(ca) = read(&flags.requestheader_client_ca_file) {
        data.insert("requestheader-client-ca-file".to_owned(), ca);
        for (key, list) in [
            ("requestheader-allowed-names", &flags.requestheader_allowed_names),
            ("requestheader-username-headers", &flags.requestheader_username_headers),
            ("requestheader-uid-headers", &flags.requestheader_uid_headers),
            ("requestheader-group-headers", &flags.requestheader_group_headers),
            ("requestheader-extra-headers-prefix", &flags.requestheader_extra_headers_prefix),
        ] {
            data.insert(key.to_owned(), json!(list).to_string());
        }
    }
    data
}

/// Certificates of both, each once: while a CA is replaced, front-ends have different files.
fn merge_bundles(before: &str, own: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    let certificates = |text: &str| -> Vec<String> {
        let parts = text.split_inclusive(END).filter_map(|part| part.find("-----BEGIN").map(|at| &part[at..]));
        parts.filter(|part| part.ends_with(END)).map(|part| format!("{}\n", part.trim())).collect()
    };
    let mut all = certificates(before);
    for certificate in certificates(own) {
        if !all.contains(&certificate) {
            all.push(certificate);
        }
    }
    all.concat()
}

/// Names of both, each once.
fn merge_lists(before: &str, own: &str) -> String {
    let names = |text: &str| serde_json::from_str::<Vec<String>>(text).unwrap_or_default();
    let mut all = names(before);
    for name in names(own) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    json!(all).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays() {
        let certificate = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        let (a, b) = (certificate("AAAA"), certificate("BBBB"));
        assert_eq!(merge_bundles("", &a), a);
        assert_eq!(merge_bundles(&a, &format!("# comment\n{b}{a}")), format!("{a}{b}"));
        assert_eq!(merge_lists(r#"["x"]"#, r#"["y","x"]"#), r#"["x","y"]"#);
    }
}
