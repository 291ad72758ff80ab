use std::sync::Arc;

use kuorum_cache::{ResourceSpec, Store, Txn, value};
use serde_json::{Value, json};

use super::*;
use crate::authn::{CREDENTIAL_ID, unix_now};
use crate::jwt::{SigningKey, base64url, keys_in_pem};

const RSA: &[u8] = include_bytes!("../../jwt/testdata/rsa.pem");
const P256: &[u8] = include_bytes!("../../jwt/testdata/p256.pem");
const ISSUER: &str = "https://issuer.example";
const API: &str = "https://api.example";

/// A store with the resources that tokens refer to, and a verifier on it.
struct World {
    store: Store,
    verifier: Verifier,
    issuer: Issuer,
}

impl World {
    async fn new() -> Self {
        let store = Store::memory();
        for plural in ["serviceaccounts", "pods", "secrets", "nodes"] {
            store.register(ResourceSpec {
                prefix: format!("/registry/core/{plural}/"),
                namespaced: plural != "nodes",
                fields: Vec::new(),
            });
        }
        store.start();
        store.wait_ready().await;
        let verifier = Verifier {
            issuers: vec![ISSUER.to_owned(), "https://old.example".to_owned()],
            keys: [RSA, P256].into_iter().flat_map(|pem| keys_in_pem(pem).unwrap()).collect(),
            audiences: vec![API.to_owned()],
            lookup: true,
            objects: Arc::new(Objects::new(store.clone())),
            legacy_uses: None,
        };
        let issuer = Issuer::new(ISSUER.to_owned(), SigningKey::from_pem(RSA).unwrap());
        let world = World { store, verifier, issuer };
        world
            .put("serviceaccounts/ns/sa", json!({"metadata": {"name": "sa", "namespace": "ns", "uid": "sa-uid"}}))
            .await;
        world
    }

    async fn put(&self, key: &str, object: Value) {
        let json = object.to_string();
        let at = json.find("\"metadata\":{").map_or(1, |at| at + "\"metadata\":{".len());
        let key = format!("/registry/core/{key}");
        let outcome = self.store.commit(Txn::new().put(key, value::pack(json.as_bytes(), at as u32)), deadline()).await;
        outcome.unwrap();
        self.store.fence(deadline()).await.unwrap();
    }

    async fn remove(&self, key: &str) {
        self.store.commit(Txn::new().delete(format!("/registry/core/{key}")), deadline()).await.unwrap();
        self.store.fence(deadline()).await.unwrap();
    }

    fn spec(&self) -> TokenSpec {
        TokenSpec {
            namespace: "ns".to_owned(),
            service_account: reference("sa", "sa-uid"),
            audiences: vec![API.to_owned()],
            now: unix_now(),
            expiration_seconds: 3600,
            id: "the-id".to_owned(),
            ..TokenSpec::default()
        }
    }

    async fn verify(&self, token: &str) -> Result<Option<Authenticated>, String> {
        let found = self.verifier.authenticate(token, &[API.to_owned()], unix_now()).await;
        found.map(|found| found.map(|v| v.authenticated)).map_err(|e| e.to_string())
    }

    /// Why a token of this specification is refused.
    async fn refusal(&self, spec: &TokenSpec) -> String {
        self.verify(&self.issuer.token(spec).unwrap()).await.unwrap_err()
    }
}

fn deadline() -> tokio::time::Instant {
    tokio::time::Instant::now() + std::time::Duration::from_secs(10)
}

fn reference(name: &str, uid: &str) -> Reference {
    Reference { name: name.to_owned(), uid: uid.to_owned() }
}

fn object(name: &str, uid: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "ns", "uid": uid}})
}

/// As `object`, deleted so long ago.
fn deleted(name: &str, uid: &str, seconds: i64) -> Value {
    let at = kuorum_schema::time::Timestamp { seconds: unix_now() - seconds, nanos: 0 }.to_rfc3339();
    json!({"metadata": {"deletionTimestamp": at, "name": name, "namespace": "ns", "uid": uid}})
}

#[tokio::test]
async fn a_token_is_its_service_accounts() {
    let world = World::new().await;
    let token = world.issuer.token(&world.spec()).unwrap();
    let found = world.verify(&token).await.unwrap().unwrap();
    assert_eq!(found.user.name, "system:serviceaccount:ns:sa");
    assert_eq!(found.user.uid, "sa-uid");
    assert_eq!(found.user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]);
    assert_eq!(found.user.extra[CREDENTIAL_ID], ["JTI=the-id"]);
    assert_eq!(found.audiences, [API]);
    // Keys rotate: another key and an issuer of before are good too.
    let other = Issuer::new("https://old.example".to_owned(), SigningKey::from_pem(P256).unwrap());
    assert!(world.verify(&other.token(&world.spec()).unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn tokens_for_others_are_refused() {
    let world = World::new().await;
    let spec = TokenSpec { audiences: vec!["vault".to_owned()], ..world.spec() };
    assert_eq!(
        world.refusal(&spec).await,
        r#"token audiences ["vault"] is invalid for the target audiences ["https://api.example"]"#
    );
    // Who reviews a token for another audience gets that one, and no more.
    let token = world.issuer.token(&TokenSpec { audiences: vec![API.into(), "vault".into()], ..world.spec() }).unwrap();
    let wanted = ["vault".to_owned(), "x".to_owned()];
    let found = world.verifier.authenticate(&token, &wanted, unix_now()).await.unwrap().unwrap();
    assert_eq!(found.authenticated.audiences, ["vault"]);
    // Another issuer's token is not looked at, whoever signed it.
    let stranger = Issuer::new("https://evil.example".to_owned(), SigningKey::from_pem(RSA).unwrap());
    assert!(world.verify(&stranger.token(&world.spec()).unwrap()).await.unwrap().is_none());
    assert!(world.verify("not a token").await.unwrap().is_none());
}

#[tokio::test]
async fn times_count() {
    let world = World::new().await;
    let now = unix_now();
    for (now, expiration_seconds, why) in [
        (now - 7200, 3600, "service account token has expired"),
        (now + 3600, 3600, "service account token is not valid yet"),
    ] {
        assert_eq!(world.refusal(&TokenSpec { now, expiration_seconds, ..world.spec() }).await, why);
    }
    let spec = TokenSpec { now: now - 120, warn_after_seconds: Some(60), ..world.spec() };
    let found = world.verify(&world.issuer.token(&spec).unwrap()).await.unwrap().unwrap();
    let [(key, text)] = found.annotations.as_slice() else { panic!("one annotation") };
    assert_eq!(*key, "authentication.k8s.io/stale-token");
    assert!(text.starts_with("subject: system:serviceaccount:ns:sa, seconds after warning threshold: 6"), "{text}");
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let world = World::new().await;
    let good = world.issuer.token(&world.spec()).unwrap();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let payload = world.spec().claims(ISSUER);
    let part = |v: &Value| base64url(v.to_string().as_bytes());
    let key = SigningKey::from_pem(RSA).unwrap();
    let header = |alg: &str, kid: &str| part(&json!({"alg": alg, "kid": kid}));
    let unknown = "go-jose/go-jose: unknown/unsupported algorithm";
    let broken = "go-jose/go-jose: error in cryptographic primitive";
    for (token, why) in [
        (format!("{}.{}.", header("none", key.public().id()), part(&payload)), unknown),
        (format!("{}.{}.{signature}", header("HS256", key.public().id()), part(&payload)), unknown),
        (
            format!("{}.{}.{signature}", header("RS256", "no-such-key"), part(&payload)),
            "invalid signature, no keys found",
        ),
        (format!("{signed}.{}", base64url(&[0; 256])), broken),
        (format!("{signed}.{}", base64url(b"short")), broken),
    ] {
        assert_eq!(world.verify(&token).await.unwrap_err(), why);
    }
    let mut other = payload.clone();
    other["sub"] = json!("system:serviceaccount:kube-system:root");
    let forged = format!("{}.{}.{signature}", signed.split('.').next().unwrap(), part(&other));
    assert_eq!(world.verify(&forged).await.unwrap_err(), broken);
    // A huge one is not even read.
    assert!(world.verify(&format!("{good}{}", "A".repeat(crate::jwt::TOKEN_BYTES_MAX))).await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_dies_with_its_service_account() {
    let world = World::new().await;
    let spec = world.spec();
    let good = async || world.verify(&world.issuer.token(&spec).unwrap()).await.unwrap().is_some();
    assert!(good().await);
    world.put("serviceaccounts/ns/sa", deleted("sa", "sa-uid", 30)).await;
    assert!(good().await, "clocks may differ by a minute");
    world.put("serviceaccounts/ns/sa", deleted("sa", "sa-uid", 90)).await;
    assert_eq!(world.refusal(&spec).await, "service account ns/sa has been deleted");
    world.remove("serviceaccounts/ns/sa").await;
    assert_eq!(world.refusal(&spec).await, "serviceaccounts \"sa\" not found");
    world.put("serviceaccounts/ns/sa", object("sa", "another")).await;
    assert_eq!(world.refusal(&spec).await, "service account UID (another) does not match claim (sa-uid)");
}

#[tokio::test]
async fn a_token_dies_with_what_it_is_bound_to() {
    let world = World::new().await;
    let bound = |bound_to| TokenSpec { bound_to, ..world.spec() };
    let gone = "service account token has been invalidated";
    for (key, kind, spec) in [
        ("pods/ns/x", "pod", bound(BoundTo::Pod(reference("x", "u1"), None))),
        ("secrets/ns/x", "secret", bound(BoundTo::Secret(reference("x", "u1")))),
        ("nodes/x", "node", bound(BoundTo::Node(reference("x", "u1")))),
    ] {
        assert_eq!(world.refusal(&spec).await, gone, "{kind}");
        world.put(key, object("x", "u1")).await;
        assert!(world.verify(&world.issuer.token(&spec).unwrap()).await.unwrap().is_some(), "{kind}");
        world.put(key, deleted("x", "u1", 30)).await;
        assert!(world.verify(&world.issuer.token(&spec).unwrap()).await.unwrap().is_some(), "{kind}");
        world.put(key, deleted("x", "u1", 90)).await;
        assert_eq!(world.refusal(&spec).await, gone, "{kind}");
        world.put(key, object("x", "u2")).await;
        let text = format!("{kind} UID (u2) does not match service account {kind} ref claim (u1)");
        assert_eq!(world.refusal(&spec).await, text);
    }
}

#[tokio::test]
async fn a_pods_token_names_pod_and_node() {
    let world = World::new().await;
    world.put("pods/ns/p", object("p", "p-uid")).await;
    let node = Some(reference("n", "n-uid"));
    let spec = TokenSpec { bound_to: BoundTo::Pod(reference("p", "p-uid"), node), ..world.spec() };
    // The node need not exist: the pod vouches for it.
    let found = world.verify(&world.issuer.token(&spec).unwrap()).await.unwrap().unwrap();
    let extra = |key: &str| found.user.extra[&format!("authentication.kubernetes.io/{key}")].join(",");
    assert_eq!(
        (extra("pod-name"), extra("pod-uid"), extra("node-name"), extra("node-uid")),
        ("p".into(), "p-uid".into(), "n".into(), "n-uid".into())
    );
}

#[tokio::test]
async fn what_was_seen_is_current_until_it_changes() {
    let world = World::new().await;
    let token = world.issuer.token(&world.spec()).unwrap();
    let seen = world.verifier.authenticate(&token, &[API.to_owned()], unix_now()).await.unwrap().unwrap().seen;
    assert!(seen.is_current(&world.verifier.objects));
    world.put("serviceaccounts/ns/other", object("other", "x")).await;
    assert!(seen.is_current(&world.verifier.objects));
    world.remove("serviceaccounts/ns/sa").await;
    assert!(!seen.is_current(&world.verifier.objects));
}

/// A Secret with a token of the old kind.
async fn legacy(world: &World, labels: Value) -> String {
    let claims = json!({
        "iss": LEGACY_ISSUER, "sub": "system:serviceaccount:ns:sa", "kubernetes.io/serviceaccount/namespace": "ns",
        "kubernetes.io/serviceaccount/secret.name": "s", "kubernetes.io/serviceaccount/service-account.name": "sa",
        "kubernetes.io/serviceaccount/service-account.uid": "sa-uid",
    });
    let token = world.issuer.key().sign(&claims).unwrap();
    let mut secret = object("s", "s-uid");
    secret["metadata"]["labels"] = labels;
    use base64::Engine;
    secret["data"] = json!({"token": base64::engine::general_purpose::STANDARD.encode(&token)});
    world.put("secrets/ns/s", secret).await;
    token
}

#[tokio::test]
async fn a_secrets_token_is_good_while_the_secret_has_it() {
    let mut world = World::new().await;
    let (uses, mut noted) = tokio::sync::mpsc::channel(4);
    world.verifier.legacy_uses = Some(uses);
    let token = legacy(&world, json!({})).await;
    let found = world.verify(&token).await.unwrap().unwrap();
    assert_eq!(found.user.name, "system:serviceaccount:ns:sa");
    assert_eq!(found.audiences, [API]);
    let used = LegacyTokenUse { namespace: "ns".into(), name: "s".into(), uid: "s-uid".into() };
    assert_eq!(noted.try_recv(), Ok(used));
    legacy(&world, json!({legacy::LAST_USED_LABEL: legacy::day(unix_now())})).await;
    world.verify(&token).await.unwrap().unwrap();
    assert!(noted.try_recv().is_err(), "the label is of today");
    legacy(&world, json!({"kubernetes.io/legacy-token-invalid-since": "2024-01-01"})).await;
    assert!(world.verify(&token).await.unwrap_err().contains("has been marked invalid"));
    world
        .put(
            "secrets/ns/s",
            json!({"data": {"token": "eA=="}, "metadata": {"name": "s", "namespace": "ns", "uid": "s-uid"}}),
        )
        .await;
    assert_eq!(world.verify(&token).await.unwrap_err(), "Token does not match server's copy");
    world.remove("secrets/ns/s").await;
    assert_eq!(world.verify(&token).await.unwrap_err(), "Token has been invalidated");
}

#[test]
fn names_of_service_accounts_are_told_from_others() {
    assert_eq!(split_username("system:serviceaccount:a:b.c-d"), Some(("a", "b.c-d")));
    for other in [
        "system:serviceaccount:a",
        "system:serviceaccount::b",
        "system:serviceaccount:a:",
        "system:serviceaccount:A:b",
        "system:serviceaccount:a:b:c",
        "a:b",
    ] {
        assert_eq!(split_username(other), None, "{other}");
    }
}
