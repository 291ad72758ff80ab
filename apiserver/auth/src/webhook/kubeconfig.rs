//! Kubeconfig files, as far as a server uses them: the current context's cluster and user.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Why a kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("kubeconfig {}: {why}", path.display())]
    Invalid { path: PathBuf, why: String },
}

/// Where a server is and how to talk to it.
#[derive(Clone, Debug, Default)]
pub struct Kubeconfig {
    /// `https://host:port/path`
    pub server: String,
    /// Overrides the name that the server's certificate must have.
    pub tls_server_name: Option<String>,
    /// PEM. Without it the host's authorities are trusted.
    pub certificate_authority: Option<Vec<u8>>,
    pub insecure_skip_tls_verify: bool,
    /// PEM chain and key.
    pub client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    pub token: Option<Token>,
    /// User and password.
    pub basic: Option<(String, String)>,
}

/// A bearer token.
#[derive(Clone)]
pub enum Token {
    Text(String),
    /// Read for each call: it may be renewed.
    File(PathBuf),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Token::Text(_) => f.write_str("Text(…)"),
            Token::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Kubeconfig {
    pub fn load(path: &Path) -> Result<Self, KubeconfigError> {
        let text = read(path)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, directory).map_err(|why| KubeconfigError::Invalid { path: path.to_owned(), why })
    }

    /// From YAML. Relative paths start at `directory`.
    pub fn parse(yaml: &[u8], directory: &Path) -> Result<Self, String> {
        let document = kuorum_schema::yaml::to_json(yaml).map_err(|e| e.to_string())?.value;
        let current = text(&document, "current-context").ok_or("current-context is not set")?;
        let context = named(&document, "contexts", "context", current)?;
        let cluster = named(&document, "clusters", "cluster", text(context, "cluster").unwrap_or_default())?;
        let user = match text(context, "user") {
            Some(name) => named(&document, "users", "user", name)?,
            None => &Value::Null,
        };
        for unsupported in ["exec", "auth-provider"] {
            if !user[unsupported].is_null() {
                return Err(format!("user {unsupported} is not supported"));
            }
        }
        if !cluster["proxy-url"].is_null() {
            return Err("cluster proxy-url is not supported".to_owned());
        }
        let files = Files { directory };
        let certificate = files.data(user, "client-certificate")?;
        let key = files.data(user, "client-key")?;
        let client_certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("client-certificate and client-key must be given together".to_owned()),
        };
        let token = match (text(user, "token"), text(user, "tokenFile")) {
            (Some(token), _) => Some(Token::Text(token.to_owned())),
            (None, Some(file)) => Some(Token::File(directory.join(file))),
            (None, None) => None,
        };
        Ok(Kubeconfig {
            server: text(cluster, "server").ok_or("cluster has no server")?.to_owned(),
            tls_server_name: text(cluster, "tls-server-name").map(str::to_owned),
            certificate_authority: files.data(cluster, "certificate-authority")?,
            insecure_skip_tls_verify: cluster["insecure-skip-tls-verify"].as_bool().unwrap_or(false),
            client_certificate,
            token,
            basic: text(user, "username")
                .map(|name| (name.to_owned(), text(user, "password").unwrap_or_default().to_owned())),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, KubeconfigError> {
    std::fs::read(path).map_err(|source| KubeconfigError::Unreadable { path: path.to_owned(), source })
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str().filter(|t| !t.is_empty())
}

/// The `part` of the entry called `name` in the list `list`.
fn named<'a>(document: &'a Value, list: &str, part: &str, name: &str) -> Result<&'a Value, String> {
    let entries = document[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = entries.iter().find(|e| e["name"].as_str() == Some(name));
    found.map(|e| &e[part]).ok_or_else(|| format!("{part} {name:?} does not exist"))
}

struct Files<'a> {
    directory: &'a Path,
}

impl Files<'_> {
    /// `<key>-data` (base64), or the content of the file `<key>`.
    fn data(&self, value: &Value, key: &str) -> Result<Option<Vec<u8>>, String> {
        let inline = format!("{key}-data");
        if let Some(data) = text(value, &inline) {
            return STANDARD.decode(data).map(Some).map_err(|e| format!("{inline}: {e}"));
        }
        let Some(file) = text(value, key) else { return Ok(None) };
        let path = self.directory.join(file);
        std::fs::read(&path).map(Some).map_err(|e| format!("cannot read {}: {e}", path.display()))
    }
}
