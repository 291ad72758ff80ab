//! gRPC to the plugin, over a unix socket.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::proto;
use super::proto::key_management_service_client::KeyManagementServiceClient;
use crate::config::KmsConfig;

/// A lazy connection, made again when it breaks.
pub struct Client {
    client: KeyManagementServiceClient<Channel>,
    timeout: Duration,
}

impl Client {
    pub fn new(config: &KmsConfig) -> Self {
        // Linux' abstract sockets are spelled with a leading NUL.
        let path = match config.socket.strip_prefix('@') {
            Some(name) => PathBuf::from(format!("\0{name}")),
            None => PathBuf::from(&config.socket),
        };
        let connect = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://kms").connect_with_connector_lazy(connect);
        Client { client: KeyManagementServiceClient::new(channel), timeout: config.timeout }
    }

    pub async fn status(&self) -> Result<proto::StatusResponse, String> {
        self.within(self.client.clone().status(proto::StatusRequest {})).await
    }

    pub async fn encrypt(&self, plaintext: Bytes) -> Result<proto::EncryptResponse, String> {
        self.within(self.client.clone().encrypt(proto::EncryptRequest { plaintext, uid: uid() })).await
    }

    /// `request` has no uid yet.
    pub async fn decrypt(&self, mut request: proto::DecryptRequest) -> Result<Bytes, String> {
        request.uid = uid();
        Ok(self.within(self.client.clone().decrypt(request)).await?.plaintext)
    }

    async fn within<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, String> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(format!("rpc error: code = {:?} desc = {}", status.code(), status.message())),
            Err(_) => Err(format!("the plugin did not answer within {:?}", self.timeout)),
        }
    }
}

/// Names a call in the plugin's log.
fn uid() -> String {
    uuid::Uuid::new_v4().to_string()
}
