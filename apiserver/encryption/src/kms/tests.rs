use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex as Lock;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

use super::proto::key_management_service_server::{KeyManagementService, KeyManagementServiceServer};
use super::*;

/// A plugin that "seals" by turning bytes around, and counts.
#[derive(Clone, Default)]
struct Plugin {
    key_id: Arc<Lock<String>>,
    broken: Arc<AtomicBool>,
    encrypted: Arc<AtomicUsize>,
    decrypted: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl KeyManagementService for Plugin {
    async fn status(&self, _: Request<proto::StatusRequest>) -> Result<Response<proto::StatusResponse>, Status> {
        let healthz = if self.broken.load(Ordering::SeqCst) { "no quorum" } else { "ok" };
        let key_id = self.key_id.lock().clone();
        Ok(Response::new(proto::StatusResponse { version: "v2".to_owned(), healthz: healthz.to_owned(), key_id }))
    }

    async fn encrypt(
        &self,
        request: Request<proto::EncryptRequest>,
    ) -> Result<Response<proto::EncryptResponse>, Status> {
        self.encrypted.fetch_add(1, Ordering::SeqCst);
        let ciphertext: Vec<u8> = request.into_inner().plaintext.iter().rev().copied().collect();
        let annotations = HashMap::from([("version.kms.test".to_owned(), Bytes::from_static(b"1"))]);
        let key_id = self.key_id.lock().clone();
        Ok(Response::new(proto::EncryptResponse { ciphertext: ciphertext.into(), key_id, annotations }))
    }

    async fn decrypt(
        &self,
        request: Request<proto::DecryptRequest>,
    ) -> Result<Response<proto::DecryptResponse>, Status> {
        self.decrypted.fetch_add(1, Ordering::SeqCst);
        let request = request.into_inner();
        if self.broken.load(Ordering::SeqCst) || !request.annotations.contains_key("version.kms.test") {
            return Err(Status::internal("sealed"));
        }
        let plaintext: Vec<u8> = request.ciphertext.iter().rev().copied().collect();
        Ok(Response::new(proto::DecryptResponse { plaintext: plaintext.into() }))
    }
}

struct Running {
    plugin: Plugin,
    config: KmsConfig,
    _dir: tempfile::TempDir,
}

async fn start() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("kms.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let plugin = Plugin::default();
    *plugin.key_id.lock() = "key-1".to_owned();
    let service = KeyManagementServiceServer::new(plugin.clone());
    tokio::spawn(async move {
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(UnixListenerStream::new(listener))
            .await
    });
    let socket = socket.to_string_lossy().into_owned();
    let config = KmsConfig { name: "test".to_owned(), socket, timeout: Duration::from_secs(3) };
    Running { plugin, config, _dir: dir }
}

fn sealed(kms: &Kms) -> Bytes {
    let mut out = Vec::new();
    kms.seal(b"value", b"key", &mut out).unwrap();
    out.into()
}

#[tokio::test]
async fn one_seed_serves_many_writes_and_another_front_end_opens_them() {
    let Running { plugin, config, _dir } = start().await;
    let seals = Arc::new(Seals::default());
    let kms = Kms::new(&config, seals.clone());
    assert!(kms.seal(b"value", b"key", &mut Vec::new()).is_err(), "nothing is sealed without a seed");
    kms.poll().await.unwrap();
    let values: Vec<Bytes> = (0..20).map(|_| sealed(&kms)).collect();
    kms.poll().await.unwrap();
    assert_eq!(plugin.encrypted.load(Ordering::SeqCst), 1);
    assert_ne!(values[0], values[1]);
    let (plain, seal) = kms.open(&values[0], b"key").unwrap();
    assert_eq!((plain.as_slice(), Some(seal)), (&b"value"[..], kms.write_seal()));
    assert!(kms.open(&values[0], b"another key").unwrap_err().contains("authentication failed"));
    assert_eq!(plugin.decrypted.load(Ordering::SeqCst), 0, "it knows its own seed");

    let other = Kms::new(&config, seals);
    other.poll().await.unwrap();
    assert!(other.open(&values[0], b"key").unwrap_err().starts_with("failed to decrypt DEK"));
    for value in &values {
        other.prepare(value).await;
        assert_eq!(other.open(value, b"key").unwrap().0, b"value");
    }
    assert_eq!(plugin.decrypted.load(Ordering::SeqCst), 1, "one seed, one question");
}

#[tokio::test]
async fn a_new_key_of_the_plugin_makes_old_values_stale() {
    let Running { plugin, config, _dir } = start().await;
    let kms = Kms::new(&config, Arc::default());
    kms.poll().await.unwrap();
    let old = sealed(&kms);
    *plugin.key_id.lock() = "key-2".to_owned();
    kms.poll().await.unwrap();
    let (plain, seal) = kms.open(&old, b"key").unwrap();
    assert_eq!(plain, b"value");
    assert_ne!(Some(seal), kms.write_seal());
    let (_, seal) = kms.open(&sealed(&kms), b"key").unwrap();
    assert_eq!(Some(seal), kms.write_seal());
}

#[tokio::test]
async fn a_sick_plugin_shows_in_its_health_and_reads_say_why() {
    let Running { plugin, config, _dir } = start().await;
    let kms = Kms::new(&config, Arc::default());
    kms.poll().await.unwrap();
    assert_eq!(kms.health(), Ok(()));
    let value = sealed(&kms);
    plugin.broken.store(true, Ordering::SeqCst);
    let why = kms.poll().await.unwrap_err();
    assert_eq!(why, "kmsv2 Provider test is not healthy, error: got unexpected healthz status: no quorum");
    assert_eq!(kms.health(), Err(why));
    // The seed in use stays good for a while.
    assert_eq!(kms.open(&sealed(&kms), b"key").unwrap().0, b"value");

    let other = Kms::new(&config, Arc::default());
    other.prepare(&value).await;
    other.prepare(&value).await;
    let why = other.open(&value, b"key").unwrap_err();
    assert!(why.starts_with("failed to decrypt DEK, error: rpc error") && why.ends_with("sealed"), "{why}");
    assert_eq!(plugin.decrypted.load(Ordering::SeqCst), 1, "a refusal is remembered for a moment");
    plugin.broken.store(false, Ordering::SeqCst);
    kms.poll().await.unwrap();
    assert_eq!(kms.health(), Ok(()));

    // A plugin that is well again is asked again at once.
    let (told, mut recovered) = tokio::sync::mpsc::unbounded_channel();
    let other = Arc::new(other);
    let watching = other.clone();
    let task = tokio::spawn(async move { watching.watch(|| told.send(()).unwrap()).await });
    recovered.recv().await.unwrap();
    other.prepare(&value).await;
    assert_eq!(other.open(&value, b"key").unwrap().0, b"value");
    task.abort();
}

#[tokio::test]
async fn garbage_is_refused_without_a_question() {
    let Running { plugin, config, _dir } = start().await;
    let kms = Kms::new(&config, Arc::default());
    for garbage in [&b""[..], b"\xff\xff\xff", b"\x0a\x01x", b"\x0a\x01x\x12\x01k"] {
        let garbage = Bytes::from_static(garbage);
        kms.prepare(&garbage).await;
        assert!(kms.open(&garbage, b"key").is_err(), "{garbage:?}");
    }
    assert_eq!(plugin.decrypted.load(Ordering::SeqCst), 0);
}
