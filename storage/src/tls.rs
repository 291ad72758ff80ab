//! Who may connect: TLS on both sides of every connection, the role in the certificate's organisation, the member's
//! name in its common name. Certificates are read again when their files change, for new connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// What a certificate lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A front-end: the `Store` service.
    FrontEnd,
    /// A member: the `Raft` service, and the `Cluster` service on the peer listener.
    Peer,
    /// An operator: the `Cluster` service.
    Operator,
    /// This machine without TLS, on loopback only: everything.
    Local,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `None` for a certificate of our authority that names no role.
    pub role: Option<Role>,
    /// The common name.
    pub name: String,
}

impl Identity {
    /// A connection that never left the process or the machine.
    pub fn local() -> Self {
        Self { role: Some(Role::Local), name: "local".into() }
    }

    /// Reads role and name from a certificate's subject.
    ///
    /// # Errors
    /// A certificate that does not parse.
    pub fn from_certificate(der: &[u8]) -> Result<Self, Error> {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(der).map_err(|e| Error::Certificate(e.to_string()))?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next().and_then(|a| a.as_str().ok()).unwrap_or_default();
        let role = subject.iter_organization().filter_map(|a| a.as_str().ok()).find_map(|o| match o {
            "kuorum:front-end" => Some(Role::FrontEnd),
            "kuorum:peer" => Some(Role::Peer),
            "kuorum:operator" => Some(Role::Operator),
            _ => None,
        });
        Ok(Self { role, name: name.to_string() })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read {}: {message}", path.display())]
    File { path: PathBuf, message: String },
    #[error("certificate: {0}")]
    Certificate(String),
    #[error("TLS settings: {0}")]
    Settings(#[from] rustls::Error),
}

/// Certificate, key and the authority that the other side must have, as PEM files.
#[derive(Debug, Clone)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub authority: PathBuf,
}

/// How often, at most, the files are looked at.
const RELOAD_CHECK: Duration = Duration::from_secs(1);

/// TLS settings that follow their files.
pub struct Tls {
    files: Files,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    stamps: [Option<SystemTime>; 3],
    checked: Instant,
}

impl Tls {
    /// # Errors
    /// Files that cannot be read, or do not fit together.
    pub fn new(files: Files) -> Result<Self, Error> {
        let loaded = load(&files)?;
        Ok(Self { files, loaded: Mutex::new(loaded) })
    }

    pub fn server(&self) -> Arc<ServerConfig> {
        self.fresh(|l| l.server.clone())
    }

    pub fn client(&self) -> Arc<ClientConfig> {
        self.fresh(|l| l.client.clone())
    }

    /// Files that changed but do not load leave the old settings in place: a rotation may be half done.
    fn fresh<T>(&self, pick: impl FnOnce(&Loaded) -> T) -> T {
        let mut loaded = self.loaded.lock();
        if loaded.checked.elapsed() >= RELOAD_CHECK {
            loaded.checked = Instant::now();
            if stamps(&self.files) != loaded.stamps {
                match load(&self.files) {
                    Ok(new) => {
                        tracing::info!(certificate = %self.files.certificate.display(), "certificate reloaded");
                        *loaded = new;
                    }
                    Err(error) => tracing::warn!(%error, "changed certificate files do not load; keeping the old ones"),
                }
            }
        }
        pick(&loaded)
    }
}

fn stamps(files: &Files) -> [Option<SystemTime>; 3] {
    [&files.certificate, &files.key, &files.authority].map(|p| std::fs::metadata(p).and_then(|m| m.modified()).ok())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |e: rustls::pki_types::pem::Error| Error::File { path: path.into(), message: e.to_string() };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if chain.is_empty() {
        return Err(Error::File { path: path.into(), message: "no certificate".into() });
    }
    Ok(chain)
}

fn load(files: &Files) -> Result<Loaded, Error> {
    let stamps = stamps(files);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&files.certificate)?;
    let key = || {
        PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|e| Error::File { path: files.key.clone(), message: e.to_string() })
    };
    let mut roots = RootCertStore::empty();
    for root in certificates(&files.authority)? {
        roots.add(root)?;
    }
    let roots = Arc::new(roots);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|e| Error::Certificate(e.to_string()))?;
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key()?)?;
    server.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key()?)?;
    client.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Loaded { server: Arc::new(server), client: Arc::new(client), stamps, checked: Instant::now() })
}
