//! `kuorum kubeconfig`: writes a kubeconfig, or merges one into the user's, as `kubectl config` would.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::files::{MODE_SECRET, create_private_dir, parent_of, write_atomic};
use crate::pki::{self, layout::Layout};
use crate::yaml;

/// Arguments of `kuorum kubeconfig`.
#[derive(Debug, Args)]
pub struct KubeconfigArgs {
    /// URL that the API is reached under
    #[arg(long, value_name = "URL", default_value = "https://127.0.0.1:6443")]
    server: String,
    /// Directory of the certificates and keys, as `kuorum pki init` makes it
    #[arg(long, value_name = "DIR", default_value = "pki")]
    pki_dir: PathBuf,
    /// Name of the cluster, and of the context
    #[arg(long, default_value = "kuorum")]
    name: String,
    /// Issue a certificate for this user instead of using the administrator's
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The group of that user
    #[arg(long, value_name = "NAME", requires = "user")]
    group: Option<String>,
    /// Days that a certificate issued with --user is valid for
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// File to write; standard output when neither it nor --merge is given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Merge into the file (--output, else the first of $KUBECONFIG, else ~/.kube/config) and make it the current context
    #[arg(long)]
    merge: bool,
}

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub struct Client {
    /// Name of the entry under `users`.
    pub name: String,
    /// Client certificate, PEM.
    pub cert_pem: String,
    /// Its key, PEM.
    pub key_pem: String,
}

/// Runs `kuorum kubeconfig`.
pub fn run(args: KubeconfigArgs) -> Result<()> {
    let layout = Layout::new(&args.pki_dir);
    let ca_pem = read(&layout.ca().cert)?;
    let client = match &args.user {
        Some(user) => {
            let leaf = pki::client(user, args.group.as_deref().unwrap_or_default());
            let issued = pki::cluster_authority(&layout)?.issue(&leaf, args.days)?;
            Client { name: user.clone(), cert_pem: issued.cert_pem, key_pem: issued.key_pem }
        }
        None => admin(&layout, &args.name)?,
    };
    let config = build(&args.name, &args.server, &ca_pem, &client);
    if args.merge {
        let path = match args.output {
            Some(path) => path,
            None => default_path()?,
        };
        merge_into(&path, &config)?;
        println!("context {:?} is now the current one of {}", args.name, path.display());
    } else if let Some(path) = args.output {
        if path.exists() {
            bail!("{} exists: use --merge to add to it, or remove it", path.display());
        }
        write(&path, &config)?;
    } else {
        print!("{}", yaml::to_string(&config));
    }
    Ok(())
}

/// The administrator's credentials of a PKI directory.
pub fn admin(layout: &Layout, cluster: &str) -> Result<Client> {
    let pair = layout.admin();
    Ok(Client { name: format!("{cluster}-admin"), cert_pem: read(&pair.cert)?, key_pem: read(&pair.key)? })
}

/// A kubeconfig with one cluster, one user and one context.
pub fn build(name: &str, server: &str, ca_pem: &str, client: &Client) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {
            "certificate-authority-data": STANDARD.encode(ca_pem), "server": server,
        }}],
        "users": [{"name": client.name, "user": {
            "client-certificate-data": STANDARD.encode(&client.cert_pem),
            "client-key-data": STANDARD.encode(&client.key_pem),
        }}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": client.name}}],
        "current-context": name,
        "preferences": {},
    })
}

/// Writes `config` at `path`, readable by its owner only.
pub fn write(path: &Path, config: &Value) -> Result<()> {
    write_atomic(path, yaml::to_string(config).as_bytes(), MODE_SECRET)
        .with_context(|| format!("write {}", path.display()))
}

/// Adds the entries of `config` to the file at `path`, which need not exist; entries of the same name are replaced.
fn merge_into(path: &Path, config: &Value) -> Result<()> {
    // A symbolic link is followed, or the rename would put a file in its place.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let merged = match fs::read(&path) {
        Ok(text) if text.iter().any(|byte| !byte.is_ascii_whitespace()) => {
            let present =
                crate::settings::parse_yaml(&text).with_context(|| format!("{} is not YAML", path.display()))?;
            merge(present, config).with_context(|| format!("{} is not a kubeconfig", path.display()))?
        }
        Ok(_) => config.clone(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let parent = parent_of(&path);
            create_private_dir(&parent).with_context(|| format!("make {}", parent.display()))?;
            config.clone()
        }
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    write(&path, &merged)
}

/// `present` with the entries and the current context of `added`.
fn merge(present: Value, added: &Value) -> Result<Value> {
    let Value::Object(mut present) = present else { bail!("it is not a map") };
    for list in ["clusters", "users", "contexts"] {
        let entries = entries(&mut present, list)?;
        for entry in added[list].as_array().into_iter().flatten() {
            match entries.iter_mut().find(|present| present["name"] == entry["name"]) {
                Some(present) => *present = entry.clone(),
                None => entries.push(entry.clone()),
            }
        }
    }
    for key in ["apiVersion", "kind"] {
        present.entry(key).or_insert_with(|| added[key].clone());
    }
    present.insert("current-context".to_owned(), added["current-context"].clone());
    Ok(Value::Object(present))
}

fn entries<'a>(config: &'a mut Map<String, Value>, list: &str) -> Result<&'a mut Vec<Value>> {
    let entries = config.entry(list).or_insert_with(|| Value::Array(Vec::new()));
    if entries.is_null() {
        *entries = Value::Array(Vec::new());
    }
    entries.as_array_mut().with_context(|| format!("{list:?} is not a list"))
}

fn default_path() -> Result<PathBuf> {
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    if let Some(first) = std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty()) {
        return Ok(first);
    }
    let home = std::env::var_os("HOME").context("neither KUBECONFIG nor HOME is set: say --output FILE")?;
    Ok(Path::new(&home).join(".kube").join("config"))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, server: &str) -> Value {
        let client = Client { name: format!("{name}-admin"), cert_pem: "cert".into(), key_pem: "key".into() };
        build(name, server, "ca", &client)
    }

    #[test]
    fn merging_keeps_strangers_and_replaces_namesakes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/config");
        merge_into(&path, &config("one", "https://a:1")).unwrap();
        merge_into(&path, &config("two", "https://b:2")).unwrap();
        merge_into(&path, &config("one", "https://c:3")).unwrap();
        let merged = crate::settings::parse_yaml(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(merged["current-context"], "one");
        assert_eq!(merged["clusters"].as_array().unwrap().len(), 2);
        assert_eq!(merged["clusters"][0]["cluster"]["server"], "https://c:3");
        assert_eq!(merged["users"][1]["name"], "two-admin");
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        for text in ["[1, 2]", "clusters: 7", "a: [", "'"] {
            fs::write(&path, text).unwrap();
            assert!(merge_into(&path, &config("one", "https://a:1")).is_err(), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
