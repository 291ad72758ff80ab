//! TLS: the serving certificate and the CA of client certificates, both read again when their files change.
//!
//! A client certificate is asked for and never demanded. Its signature is checked in the handshake; whether it leads
//! to the CA is decided by the authenticator ([`ClientCa::verify`]), so that a request with a foreign certificate and
//! a good token is served, as kube-apiserver does.

pub mod ciphers;
pub mod sni;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("{} has no certificate", path.display())]
    Empty { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Unusable { path: PathBuf, source: rustls::Error },
    #[error("client CA {}: {why}", path.display())]
    BadCa { path: PathBuf, why: String },
    #[error(transparent)]
    Protocol(#[from] rustls::Error),
}

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// The certificates of a server, shared by its connections and by the task that reads them again.
pub struct Certificates {
    serving: Arc<Serving>,
    client_ca: Arc<ClientCa>,
}

impl Certificates {
    /// Reads the files once. Without a CA file no client certificate is accepted.
    pub fn load(cert: &Path, key: &Path, client_ca: Option<&Path>, named: Vec<sni::Spec>) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(Keys::read(cert, key, &named)?);
        let serving = Serving { cert: cert.to_owned(), key: key.to_owned(), named, current };
        let ca = ClientCa::load(client_ca)?;
        Ok(Certificates { serving: Arc::new(serving), client_ca: Arc::new(ca) })
    }

    /// The rustls configuration: h2 before http/1.1, TLS 1.2 or `min_version` and newer, the cipher suites that are
    /// named (none: all).
    pub fn server_config(&self, min_version: &str, cipher_suites: &[String]) -> Result<ServerConfig, TlsError> {
        let (suites, has_tls12) =
            ciphers::select(cipher_suites).map_err(|why| TlsError::Protocol(rustls::Error::General(why)))?;
        for name in ciphers::weak(cipher_suites) {
            tracing::warn!(name, "a cipher suite that is not offered: it is weak");
        }
        let provider_of_suites = CryptoProvider { cipher_suites: suites, ..rustls::crypto::ring::default_provider() };
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider_of_suites))
            .with_protocol_versions(ciphers::versions(min_version, has_tls12))?
            .with_client_cert_verifier(Arc::new(AskForCertificate { provider: provider() }))
            .with_cert_resolver(self.serving.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    pub fn client_ca(&self) -> Arc<ClientCa> {
        self.client_ca.clone()
    }

    /// Reads the files again whenever they change, for as long as it is polled. A file that cannot be used is logged
    /// and the old content stays.
    pub async fn watch_files(&self) {
        let mut seen = self.stamps();
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            let now = self.stamps();
            if now == seen {
                continue;
            }
            match Keys::read(&self.serving.cert, &self.serving.key, &self.serving.named) {
                Ok(keys) => self.serving.current.store(Arc::new(keys)),
                Err(error) => tracing::error!(%error, "keeping the old serving certificate"),
            }
            if let Err(error) = self.client_ca.reload() {
                tracing::error!(%error, "keeping the old client CA");
            }
            tracing::info!("certificates read again");
            seen = now;
        }
    }

    /// What tells that a file has changed: its time and length.
    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let files = [Some(&self.serving.cert), Some(&self.serving.key), self.client_ca.file.as_ref()];
        let named = self.serving.named.iter().flat_map(|spec| [Some(&spec.cert), Some(&spec.key)]);
        files.into_iter().chain(named).map(|f| f.and_then(|f| stamp(f))).collect()
    }
}

/// What tells that a file has changed: its time and length.
pub fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read_certs(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |why: String| TlsError::Unreadable { path: path.to_owned(), why };
    let certs: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|e| unreadable(e.to_string()))?
        .collect::<Result<_, _>>()
        .map_err(|e| unreadable(e.to_string()))?;
    if certs.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(certs) }
}

fn read_key(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let certs = read_certs(cert)?;
    let der = PrivateKeyDer::from_pem_file(key)
        .map_err(|e| TlsError::Unreadable { path: key.to_owned(), why: e.to_string() })?;
    let unusable = |source| TlsError::Unusable { path: key.to_owned(), source };
    let signing = provider.key_provider.load_private_key(der).map_err(unusable)?;
    let certified = CertifiedKey::new(certs, signing);
    certified.keys_match().map_err(unusable)?;
    Ok(certified)
}

/// Hands the current certificate to each handshake.
#[derive(Debug)]
struct Serving {
    cert: PathBuf,
    key: PathBuf,
    named: Vec<sni::Spec>,
    current: ArcSwap<Keys>,
}

/// The certificates of all names.
#[derive(Debug)]
struct Keys {
    default: Arc<CertifiedKey>,
    by_name: sni::ByName,
}

impl Keys {
    fn read(cert: &Path, key: &Path, named: &[sni::Spec]) -> Result<Self, TlsError> {
        let provider = provider();
        let mut pairs = Vec::with_capacity(named.len());
        for spec in named {
            pairs.push((spec.clone(), Arc::new(read_key(&spec.cert, &spec.key, &provider)?)));
        }
        Ok(Keys { default: Arc::new(read_key(cert, key, &provider)?), by_name: sni::ByName::new(&pairs) })
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = self.current.load();
        let named = hello.server_name().and_then(|name| keys.by_name.get(name));
        Some(named.unwrap_or(&keys.default).clone())
    }
}

/// A CA that client certificates must lead to.
pub struct ClientCa {
    file: Option<PathBuf>,
    current: ArcSwapOption<Verifier>,
}

struct Verifier(Arc<dyn ClientCertVerifier>);

impl ClientCa {
    /// Reads the file. Without one no certificate is accepted.
    pub fn load(file: Option<&Path>) -> Result<Self, TlsError> {
        let ca = ClientCa { file: file.map(Path::to_owned), current: ArcSwapOption::empty() };
        ca.reload()?;
        Ok(ca)
    }

    fn reload(&self) -> Result<(), TlsError> {
        let Some(path) = &self.file else { return Ok(()) };
        let bad = |why: String| TlsError::BadCa { path: path.clone(), why };
        let mut roots = RootCertStore::empty();
        for cert in read_certs(path)? {
            roots.add(cert).map_err(|e| bad(e.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|e| bad(e.to_string()))?;
        self.current.store(Some(Arc::new(Verifier(verifier))));
        Ok(())
    }

    /// Reads the file again whenever it changes, for as long as it is polled.
    pub async fn watch_file(&self) {
        let Some(path) = &self.file else { return };
        let mut seen = stamp(path);
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            let now = stamp(path);
            if now != seen {
                match self.reload() {
                    Ok(()) => tracing::info!(path = %path.display(), "CA read again"),
                    Err(error) => tracing::error!(%error, "keeping the old CA"),
                }
                seen = now;
            }
        }
    }

    /// A token of the current CA: another one after a reload.
    pub fn generation(&self) -> usize {
        self.current.load().as_ref().map_or(0, |v| Arc::as_ptr(v) as usize)
    }

    /// Whether there is a CA at all.
    pub fn is_set(&self) -> bool {
        self.current.load().is_some()
    }

    /// Whether a certificate chain leads to the CA, for a client, today.
    pub fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<(), String> {
        let current = self.current.load();
        let verifier = current.as_ref().ok_or("no CA of client certificates")?;
        let (leaf, intermediates) = chain.split_first().ok_or("no certificate")?;
        verifier.0.verify_client_cert(leaf, intermediates, UnixTime::now()).map(drop).map_err(|e| e.to_string())
    }
}

/// Seconds since 1970.
pub fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

/// Asks for a certificate, checks that the client has its key, and leaves trust to the authenticator.
#[derive(Debug)]
struct AskForCertificate {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AskForCertificate {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
