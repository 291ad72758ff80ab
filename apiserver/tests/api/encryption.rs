//! Encryption at rest through the API: what is stored is sealed, what is answered is not, keys can be changed and lost.

use kuorum_apiserver::config::Config;
use kuorum_apiserver::encryption;
use kuorum_apiserver::options::ServingOptions;
use kuorum_cache::Store;
use serde_json::{Value, json};

use crate::harness::{CONFIG_MAPS, MERGE, Server, config_map};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const A: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const B: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";

struct Sealed {
    server: Server,
    sealing: std::sync::Arc<kuorum_encryption::Encryption>,
    file: tempfile::NamedTempFile,
}

fn configuration(providers: &str) -> String {
    format!(
        "apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources: [{{resources: [secrets], providers: [{providers}]}}]"
    )
}

fn key(name: &str, secret: &str) -> String {
    format!("aesgcm: {{keys: [{{name: {name}, secret: {secret}}}]}}")
}

fn keys(first: (&str, &str), second: (&str, &str)) -> String {
    let key = |(name, secret)| format!("{{name: {name}, secret: {secret}}}");
    format!("aesgcm: {{keys: [{}, {}]}}", key(first), key(second))
}

async fn sealed(providers: &str) -> Sealed {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), configuration(providers)).unwrap();
    let serving = ServingOptions {
        encryption_provider_config: Some(file.path().to_owned()),
        encryption_provider_config_automatic_reload: true,
        ..ServingOptions::default()
    };
    let store = Store::memory();
    let sealing = encryption::load(&serving, &store).await.unwrap().unwrap();
    let server = Server::on(Config { serving, ..Config::default() }, store);
    assert!(server.app.encryption.set(sealing.clone()).is_ok());
    kuorum_apiserver::bootstrap::run(server.app.clone(), 6443).await;
    Sealed { server, sealing, file }
}

impl Sealed {
    async fn reload(&self, providers: &str) {
        std::fs::write(self.file.path(), configuration(providers)).unwrap();
        assert!(self.sealing.reload_once().await, "taken over");
        self.server.store.open_again();
    }

    /// What the store has, and had, of a resource of the core group.
    fn stored(&self, plural: &str) -> Vec<u8> {
        let memory = self.server.store.memory_backend().unwrap();
        memory.values(&format!("/registry/core/{plural}/")).concat()
    }
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"k": "planted"}})
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// base64 of "planted"
const PLANTED: &str = "cGxhbnRlZA==";

#[tokio::test]
async fn what_is_stored_is_sealed_and_what_is_answered_is_not() {
    let s = sealed(&key("one", A)).await;
    s.server.post(SECRETS, &secret("s")).await.is(201);
    s.server.post(CONFIG_MAPS, &config_map("c")).await.is(201);
    let stored = s.stored("secrets");
    assert!(contains(&stored, "k8s:enc:aesgcm:v1:one:") && !contains(&stored, PLANTED));
    assert!(contains(&s.stored("configmaps"), "\"k\":\"v\""), "others are as they were");
    for path in [format!("{SECRETS}/s"), SECRETS.to_owned(), format!("{SECRETS}?watch=1&timeoutSeconds=1")] {
        let answer = s.server.get(&path).await.is(200);
        assert!(contains(&answer.body, PLANTED), "{path}");
    }
    let patched = s.server.patch(&format!("{SECRETS}/s"), MERGE, &json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(patched.is(200).json()["data"]["k"], PLANTED);
    s.server.delete(&format!("{SECRETS}/s")).await.is(200);
    s.server.get(&format!("{SECRETS}/s")).await.is(404);
    assert!(!contains(&s.stored("secrets"), PLANTED), "nor does the past");
}

#[tokio::test]
async fn equal_content_is_written_again_when_the_key_is_stale() {
    let s = sealed("identity: {}").await;
    let created = s.server.post(SECRETS, &secret("s")).await.is(201).json();
    assert!(contains(&s.stored("secrets"), PLANTED), "not sealed yet");
    let path = format!("{SECRETS}/s");
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let same = s.server.put(&path, &created).await.is(200).json();
    assert_eq!(version(&same), version(&created), "nothing to write");

    // What an operator does to rotate: the new key behind, then first, then every object replaced by itself.
    s.reload(&format!("{{{}}}, {{identity: {{}}}}", key("one", A))).await;
    let first = s.server.put(&path, &same).await.is(200).json();
    assert_ne!(version(&first), version(&same));
    assert!(contains(&s.stored("secrets"), "k8s:enc:aesgcm:v1:one:"));
    s.reload(&keys(("two", B), ("one", A))).await;
    let second = s.server.put(&path, &first).await.is(200).json();
    assert_ne!(version(&second), version(&first));
    let third = s.server.put(&path, &second).await.is(200).json();
    assert_eq!(version(&third), version(&second), "written with the new key already");
    s.reload(&key("two", B)).await;
    s.server.get(&path).await.is(200);
}

#[tokio::test]
async fn a_lost_key_is_an_error_and_not_an_absence() {
    let s = sealed(&key("one", A)).await;
    s.server.post(SECRETS, &secret("s")).await.is(201);
    s.server.post("/api/v1/namespaces/kube-system/secrets", &secret("t")).await.is(201);
    s.reload(&key("two", B)).await;
    // Another front-end starts with the wrong key.
    let spec = s.server.store.resource("/registry/core/secrets/").unwrap().spec().clone();
    s.server.store.unregister("/registry/core/secrets/");
    s.server.store.register(spec);

    let why = "Internal error occurred: unable to transform key \"/registry/core/secrets/default/s\": no matching key was found for the provided AES transformer";
    let path = format!("{SECRETS}/s");
    for (method, path) in [("GET", path.as_str()), ("GET", SECRETS), ("DELETE", path.as_str()), ("DELETE", SECRETS)] {
        let refused = s.server.call(method, path, None).await.is(500);
        assert_eq!(refused.message(), why, "{method} {path}");
        assert_eq!(refused.json()["reason"], "InternalError");
    }
    let patch = s.server.patch(&path, MERGE, &json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(patch.is(500).message(), why);
    s.server.get(&format!("{SECRETS}?watch=1&timeoutSeconds=1")).await.is(500);
    s.server.post(SECRETS, &secret("s")).await.is(409);
    // Where nothing is sealed with the lost key, life goes on.
    s.server.get("/api/v1/namespaces/kube-public/secrets").await.is(200);
    s.server.get(&format!("{SECRETS}/other")).await.is(404);
    s.server.post(SECRETS, &secret("new")).await.is(201);

    s.reload(&keys(("two", B), ("one", A))).await;
    assert_eq!(s.server.get(&path).await.is(200).json()["data"]["k"], PLANTED);
    s.server.get(SECRETS).await.is(200);
}

#[tokio::test]
async fn a_bad_file_leaves_the_keys_as_they_are() {
    let s = sealed(&key("one", A)).await;
    std::fs::write(s.file.path(), "nonsense").unwrap();
    assert!(!s.sealing.reload_once().await);
    s.server.post(SECRETS, &secret("s")).await.is(201);
    assert!(contains(&s.stored("secrets"), "k8s:enc:aesgcm:v1:one:"));
    // With reload, the check is there even without a KMS.
    s.server.get("/healthz/kms-providers").await.is(200);
    let plain = Server::start().await;
    plain.get("/healthz/kms-providers").await.is(404);
}
