//! A small KMS plugin (v2) on a unix socket: keys in memory, calls counted.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use kuorum_encryption::cipher::Cipher;
use kuorum_encryption::kms::proto::key_management_service_server::{KeyManagementService, KeyManagementServiceServer};
use kuorum_encryption::kms::proto::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest, StatusResponse,
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

/// A running plugin; ends when dropped.
pub struct Kms {
    state: Arc<Mutex<State>>,
    socket: PathBuf,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct State {
    key_id: String,
    /// By their ids.
    keys: HashMap<String, [u8; 32]>,
    sick: bool,
    encrypted: usize,
    decrypted: usize,
}

impl State {
    fn cipher(&self, key_id: &str) -> Option<Cipher> {
        Cipher::gcm(self.keys.get(key_id)?).ok()
    }
}

impl Kms {
    /// Listens on `socket`, with one key.
    pub fn start(socket: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let state = Arc::<Mutex<State>>::default();
        let service = KeyManagementServiceServer::new(Plugin(state.clone()));
        let _guard = runtime.enter();
        let listener = UnixListener::bind(socket).context("bind the KMS' socket")?;
        runtime.spawn(async move {
            let incoming = UnixListenerStream::new(listener);
            tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await
        });
        drop(_guard);
        let kms = Kms { state, socket: socket.to_path_buf(), _runtime: runtime };
        kms.rotate("key-1");
        Ok(kms)
    }

    /// `unix:///…`
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Makes a key the one in use. The others are kept.
    pub fn rotate(&self, key_id: &str) {
        let mut state = self.lock();
        state.key_id = key_id.to_owned();
        state.keys.insert(key_id.to_owned(), rand::random());
    }

    /// From now on the plugin says that it is not well, and opens nothing.
    pub fn sicken(&self, sick: bool) {
        self.lock().sick = sick;
    }

    /// How many seeds it has sealed and opened.
    pub fn calls(&self) -> (usize, usize) {
        let state = self.lock();
        (state.encrypted, state.decrypted)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Plugin(Arc<Mutex<State>>);

impl Plugin {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl KeyManagementService for Plugin {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let state = self.lock();
        let healthz = if state.sick { "sick" } else { "ok" }.to_owned();
        Ok(Response::new(StatusResponse { version: "v2".to_owned(), healthz, key_id: state.key_id.clone() }))
    }

    async fn encrypt(&self, request: Request<EncryptRequest>) -> Result<Response<EncryptResponse>, Status> {
        let mut state = self.lock();
        state.encrypted += 1;
        let key_id = state.key_id.clone();
        let cipher = state.cipher(&key_id).ok_or_else(|| Status::not_found("no key"))?;
        let mut sealed = Vec::new();
        let plain = request.into_inner().plaintext;
        cipher.seal(&plain, b"kms", &mut sealed).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(EncryptResponse { ciphertext: sealed.into(), key_id, annotations: HashMap::new() }))
    }

    async fn decrypt(&self, request: Request<DecryptRequest>) -> Result<Response<DecryptResponse>, Status> {
        let mut state = self.lock();
        state.decrypted += 1;
        if state.sick {
            return Err(Status::unavailable("sick"));
        }
        let request = request.into_inner();
        let cipher = state.cipher(&request.key_id).ok_or_else(|| Status::not_found("no such key"))?;
        let plain = cipher.open(&request.ciphertext, b"kms").map_err(|e| Status::invalid_argument(e.to_string()))?;
        Ok(Response::new(DecryptResponse { plaintext: plain.into() }))
    }
}
