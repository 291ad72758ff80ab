//! Who asks: tokens from TokenRequest to their end, reviews, impersonation, headers that lie.

use std::path::PathBuf;

use kuorum_apiserver::config::Config;
use serde_json::{Value, json};

use crate::harness::{Answer, Server};

const REVIEWS: &str = "/apis/authentication.k8s.io/v1";

/// Settings with a key that signs tokens.
fn config() -> Config {
    let key = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/auth/src/jwt/testdata/rsa.pem"));
    Config { service_account_signing_key_file: Some(key), ..Config::default() }
}

async fn make_account(server: &Server, name: &str) -> Value {
    let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    server.call("POST", "/api/v1/namespaces/default/serviceaccounts", Some(&object)).await.is(201).json()
}

async fn request_token(server: &Server, name: &str, spec: Value) -> Answer {
    let object = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    server.call("POST", &format!("/api/v1/namespaces/default/serviceaccounts/{name}/token"), Some(&object)).await
}

async fn token(server: &Server, name: &str, spec: Value) -> String {
    request_token(server, name, spec).await.is(201).json()["status"]["token"].as_str().unwrap().to_owned()
}

/// SelfSubjectReview with these headers.
async fn whoami(server: &Server, headers: &[(&str, &str)]) -> Answer {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    server.call_with("POST", &format!("{REVIEWS}/selfsubjectreviews"), &all, Some(body)).await
}

async fn bearer(server: &Server, token: &str) -> Answer {
    whoami(server, &[("authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn a_token_works_on_every_front_end_until_its_account_is_deleted() {
    let one = Server::with(config()).await;
    let two = Server::on(config(), one.store.clone());
    make_account(&one, "bot").await;
    let token = token(&one, "bot", json!({})).await;
    for server in [&one, &two, &one] {
        let user = bearer(server, &token).await.is(201).json()["status"]["userInfo"].clone();
        assert_eq!(user["username"], "system:serviceaccount:default:bot");
        assert!(user["extra"]["authentication.kubernetes.io/credential-id"][0].as_str().unwrap().starts_with("JTI="));
    }
    one.call("DELETE", "/api/v1/namespaces/default/serviceaccounts/bot", None).await.is(200);
    // Both have just remembered the token: that must not help it.
    for server in [&one, &two] {
        bearer(server, &token).await.is(401);
    }
    // An account of the same name is another one.
    make_account(&one, "bot").await;
    bearer(&two, &token).await.is(401);
}

#[tokio::test]
async fn a_token_for_somebody_else_is_not_for_this_api() {
    let server = Server::with(config()).await;
    make_account(&server, "bot").await;
    let token = token(&server, "bot", json!({"audiences": ["vault"]})).await;
    bearer(&server, &token).await.is(401);
    let review = async |audiences: Value| {
        let spec = json!({"token": token, "audiences": audiences});
        let object = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
        server.call("POST", &format!("{REVIEWS}/tokenreviews"), Some(&object)).await.is(201).json()["status"].clone()
    };
    let status = review(json!(["x", "vault"])).await;
    assert_eq!((&status["authenticated"], &status["audiences"]), (&json!(true), &json!(["vault"])));
    let status = review(json!([])).await;
    assert!(status["authenticated"].is_null());
    assert!(status["error"].as_str().unwrap().contains(r#"token audiences ["vault"] is invalid"#), "{status}");
}

#[tokio::test]
async fn a_pods_token_that_asks_for_its_hour_outlives_it() {
    let server = Server::with(config()).await;
    make_account(&server, "bot").await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"serviceAccountName": "bot", "containers": [{"name": "c", "image": "i"}]},
    });
    server.call("POST", "/api/v1/namespaces/default/pods", Some(&pod)).await.is(201);
    let lifetime = async |spec: Value| {
        use base64::Engine;
        let token = token(&server, "bot", spec).await;
        let payload = token.split('.').nth(1).unwrap();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let warns = !claims["kubernetes.io"]["warnafter"].is_null();
        (claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), warns)
    };
    let bound = json!({"kind": "Pod", "apiVersion": "v1", "name": "p"});
    assert_eq!(lifetime(json!({"expirationSeconds": 3607, "boundObjectRef": bound})).await, (365 * 86400, true));
    assert_eq!(lifetime(json!({"expirationSeconds": 3600, "boundObjectRef": bound})).await, (3600, false));
    assert_eq!(lifetime(json!({"expirationSeconds": 3607})).await, (3607, false));
}

#[tokio::test]
async fn long_tokens_are_shortened_with_a_warning() {
    let mut config = config();
    config.authentication.service_account_max_token_expiration = std::time::Duration::from_secs(3600);
    let server = Server::with(config).await;
    make_account(&server, "bot").await;
    let answer = request_token(&server, "bot", json!({"expirationSeconds": 7200})).await.is(201);
    assert_eq!(answer.json()["spec"]["expirationSeconds"], 3600);
    let warning = answer.headers["warning"].to_str().unwrap();
    assert_eq!(warning, "299 - \"requested expiration of 7200 seconds shortened to 3600 seconds\"");
}

#[tokio::test]
async fn another_uid_is_another_account() {
    let server = Server::with(config()).await;
    let uid = make_account(&server, "bot").await["metadata"]["uid"].as_str().unwrap().to_owned();
    let path = "/api/v1/namespaces/default/serviceaccounts/bot/token";
    let object =
        |uid: &str| json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {"uid": uid}});
    server.call("POST", path, Some(&object(&uid))).await.is(201);
    let refused = server.call("POST", path, Some(&object("x"))).await.is(409);
    assert_eq!(
        refused.message(),
        format!(
            "Operation cannot be fulfilled on TokenRequest.authentication.k8s.io \"bot\": the UID in the token request (x) does not match the UID of the service account ({uid})"
        )
    );
}

#[tokio::test]
async fn without_a_key_there_are_no_tokens() {
    let server = Server::start().await;
    make_account(&server, "bot").await;
    request_token(&server, "bot", json!({})).await.is(404);
    server.call("GET", "/openid/v1/jwks", None).await.is(404);
}

#[tokio::test]
async fn headers_that_lie_are_not_believed() {
    let server = Server::with(config()).await;
    let lies = [
        ("authorization", "Bearer alice-token"),
        ("x-remote-user", "root"),
        ("x-remote-group", "system:masters"),
        ("x-remote-extra-scopes", "all"),
    ];
    let user = whoami(&server, &lies).await.is(201).json()["status"]["userInfo"].clone();
    assert_eq!(user, json!({"username": "alice", "uid": "alice-uid", "groups": ["dev", "system:authenticated"]}));
}

#[tokio::test]
async fn who_may_not_impersonate_does_not() {
    let server = Server::with(config()).await;
    let alice = ("authorization", "Bearer alice-token");
    for headers in [
        &[alice, ("impersonate-user", "admin")][..],
        &[alice, ("impersonate-user", "alice"), ("impersonate-group", "system:masters")],
        &[alice, ("impersonate-user", "system:serviceaccount:kube-system:x")],
        &[alice, ("impersonate-user", "system:node:n")],
        &[alice, ("impersonate-user", "bob"), ("impersonate-uid", "1")],
        &[alice, ("impersonate-user", "bob"), ("impersonate-extra-scopes", "all")],
    ] {
        whoami(&server, headers).await.is(403);
    }
    whoami(&server, &[alice, ("impersonate-group", "system:masters")]).await.is(400);
    // Who may, is then bound to what the other one may.
    let admin = ("authorization", "Bearer admin-token");
    let node = whoami(&server, &[admin, ("impersonate-user", "system:node:n1")]).await.is(201).json();
    assert_eq!(node["status"]["userInfo"]["groups"], json!(["system:nodes", "system:authenticated"]));
    let nobody = [admin, ("impersonate-user", "nobody")];
    server.call_with("GET", "/api/v1/secrets", &nobody, None::<String>).await.is(403);
}
