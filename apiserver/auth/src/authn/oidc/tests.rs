use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::authn::unix_now;
use crate::jwt::SigningKey;
use crate::webhook::test_server::{Answers, TestServer};

const RSA: &[u8] = include_bytes!("../../jwt/testdata/rsa.pem");
const P256: &[u8] = include_bytes!("../../jwt/testdata/p256.pem");

/// An issuer on the loopback, with the keys that it publishes.
struct Issuer {
    server: TestServer,
    key: SigningKey,
}

impl Issuer {
    async fn new(pem: &[u8]) -> Self {
        let server = TestServer::start(Answers::default()).await;
        let issuer = Issuer { server, key: SigningKey::from_pem(pem).unwrap() };
        let url = &issuer.server.url;
        let document = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        issuer.server.answers.set("/.well-known/openid-configuration", 200, document);
        issuer.publish(&[&issuer.key]);
        issuer
    }

    fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<Value> = keys.iter().map(|k| k.public().jwk()).collect();
        self.server.answers.set("/keys", 200, json!({"keys": keys}));
    }

    fn flags(&self) -> Flags {
        Flags {
            issuer_url: self.server.url.clone(),
            client_id: "kuorum".to_owned(),
            certificate_authority: Some(self.server.ca_pem.clone()),
            username_claim: "sub".to_owned(),
            groups_claim: "groups".to_owned(),
            groups_prefix: "oidc:".to_owned(),
            signing_algorithms: vec!["RS256".to_owned(), "ES256".to_owned()],
            ..Flags::default()
        }
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.server.url, "aud": "kuorum", "sub": "alice", "exp": unix_now() + 600, "groups": ["dev", "ops"],
            "email": "a@example.com", "email_verified": true, "team": "red",
        })
    }

    fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.key.sign(&claims).unwrap()
    }

    /// An authenticator of a configuration file; `extra` follows the issuer.
    async fn configured(&self, extra: &str) -> Oidc {
        let ca = self.server.ca_pem.replace('\n', "\n        ");
        let url = &self.server.url;
        let file = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n    url: {url}\n    audiences: [kuorum, other]\n    audienceMatchPolicy: MatchAny\n    certificateAuthority: |\n        {ca}\n{extra}"
        );
        let read = AuthenticationConfiguration::parse(file.as_bytes(), &[]).unwrap();
        let oidc = Oidc::new(read.jwt.into_iter().next().unwrap()).unwrap();
        oidc.initialize().await;
        oidc
    }
}

async fn of_flags(flags: Flags) -> Oidc {
    let oidc = Oidc::new(flags.spec().unwrap()).unwrap();
    oidc.initialize().await;
    oidc
}

async fn user(oidc: &Oidc, token: &str) -> Result<Arc<User>, String> {
    let found = oidc.authenticate(token, unix_now()).await.map_err(|e| e.to_string())?;
    found.map(|f| f.user).ok_or_else(|| "not mine".to_owned())
}

#[tokio::test]
async fn claims_become_a_user() {
    let issuer = Issuer::new(RSA).await;
    let oidc = of_flags(issuer.flags()).await;
    let found = user(&oidc, &issuer.token(|_| {})).await.unwrap();
    assert_eq!(found.name, format!("{}#alice", issuer.server.url));
    assert_eq!(found.groups, ["oidc:dev", "oidc:ops", "system:authenticated"]);
    let one = user(&oidc, &issuer.token(|c| c["groups"] = json!("solo"))).await.unwrap();
    assert_eq!(one.groups, ["oidc:solo", "system:authenticated"]);
    for (prefix, claim, name) in [("-", "sub", "alice"), ("x:", "sub", "x:alice"), ("", "email", "a@example.com")] {
        let flags = Flags { username_prefix: prefix.into(), username_claim: claim.into(), ..issuer.flags() };
        assert_eq!(user(&of_flags(flags).await, &issuer.token(|_| {})).await.unwrap().name, name);
    }
}

#[tokio::test]
async fn tokens_that_are_not_right_are_refused() {
    let issuer = Issuer::new(RSA).await;
    let required = vec![("team".to_owned(), "red".to_owned())];
    let oidc = of_flags(Flags { required_claims: required, ..issuer.flags() }).await;
    assert!(user(&oidc, &issuer.token(|_| {})).await.is_ok());
    let now = unix_now();
    for (change, why) in [
        (
            json!({"aud": "somebody-else"}),
            r#"oidc: verify token: oidc: expected audience in ["kuorum"] got ["somebody-else"]"#,
        ),
        (json!({"exp": now - 10}), "oidc: verify token: oidc: token is expired"),
        (json!({"exp": null}), "oidc: verify token: oidc: token is expired"),
        (json!({"nbf": now + 1000}), "oidc: verify token: oidc: current time is before the nbf (not before) time"),
        (json!({"sub": 5}), "oidc: parse username claims \"sub\": not text"),
        (json!({"team": "blue"}), "oidc: required claim team value does not match. Got = blue, want = red"),
        (json!({"iss": "https://evil.example"}), "not mine"),
    ] {
        let token = issuer.token(|claims| {
            for (key, value) in change.as_object().unwrap() {
                claims[key] = value.clone();
            }
        });
        let error = user(&oidc, &token).await.unwrap_err();
        assert!(error.starts_with(why), "{error}");
    }
    // Signed by somebody else, in a way that is not wanted, or not at all.
    let stranger = SigningKey::from_pem(P256).unwrap().sign(&issuer.claims()).unwrap();
    assert!(user(&oidc, &stranger).await.unwrap_err().contains("failed to verify"));
    let flags = Flags { signing_algorithms: vec!["ES256".to_owned()], ..issuer.flags() };
    assert!(
        user(&of_flags(flags).await, &issuer.token(|_| {}))
            .await
            .unwrap_err()
            .contains("unexpected signature algorithm")
    );
}

#[tokio::test]
async fn an_email_must_be_verified() {
    let issuer = Issuer::new(RSA).await;
    let oidc = of_flags(Flags { username_claim: "email".into(), ..issuer.flags() }).await;
    let token = issuer.token(|c| c["email_verified"] = json!(false));
    assert_eq!(user(&oidc, &token).await.unwrap_err(), "oidc: email not verified");
}

#[tokio::test]
async fn new_keys_are_fetched_when_a_token_names_them() {
    let issuer = Issuer::new(RSA).await;
    let oidc = of_flags(issuer.flags()).await;
    let new = SigningKey::from_pem(P256).unwrap();
    issuer.publish(&[&issuer.key, &new]);
    let token = new.sign(&issuer.claims()).unwrap();
    // Keys are not fetched again at once: wait until they may be.
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while user(&oidc, &token).await.is_err() {
        assert!(tokio::time::Instant::now() < limit, "the new key was never fetched");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(user(&oidc, &issuer.token(|_| {})).await.is_ok());
}

#[tokio::test]
async fn expressions_map_and_validate() {
    let issuer = Issuer::new(P256).await;
    let oidc = issuer
        .configured(
            r#"
  claimValidationRules:
  - expression: 'claims.exp - claims.?iat.orValue(claims.exp) <= 86400'
    message: lives too long
  - claim: team
    requiredValue: red
  claimMappings:
    username: {expression: '"corp:" + claims.sub'}
    groups: {expression: 'claims.groups.map(g, "corp:" + g)'}
    uid: {expression: 'claims.email.split("@")[0]'}
    extra:
    - {key: example.com/team, valueExpression: claims.team}
    - {key: example.com/none, valueExpression: '""'}
  userValidationRules:
  - expression: '!user.username.startsWith("corp:system:")'
    message: reserved
"#,
        )
        .await;
    let found = user(&oidc, &issuer.token(|c| c["aud"] = json!(["x", "other"]))).await.unwrap();
    assert_eq!((found.name.as_str(), found.uid.as_str()), ("corp:alice", "a"));
    assert_eq!(found.groups, ["corp:dev", "corp:ops", "system:authenticated"]);
    assert_eq!(found.extra, [("example.com/team".to_owned(), vec!["red".to_owned()])].into());
    let reserved = user(&oidc, &issuer.token(|c| c["sub"] = json!("system:root"))).await.unwrap_err();
    assert!(reserved.ends_with("failed: reserved"), "{reserved}");
    let long = user(&oidc, &issuer.token(|c| c["iat"] = json!(0))).await.unwrap_err();
    assert!(long.ends_with("failed: lives too long"), "{long}");
}

#[tokio::test]
async fn groups_may_be_elsewhere() {
    let issuer = Issuer::new(RSA).await;
    let oidc = of_flags(issuer.flags()).await;
    let elsewhere = issuer.key.sign(&json!({
        "iss": issuer.server.url, "aud": "kuorum", "exp": unix_now() + 600, "groups": ["far"],
    }));
    issuer.server.answers.set_text("/groups", 200, elsewhere.unwrap());
    let endpoint = format!("{}/groups", issuer.server.url);
    let token = issuer.token(|claims| {
        claims.as_object_mut().unwrap().remove("groups");
        claims["_claim_names"] = json!({"groups": "src"});
        claims["_claim_sources"] = json!({"src": {"endpoint": endpoint, "access_token": "secret"}});
    });
    assert_eq!(user(&oidc, &token).await.unwrap().groups, ["oidc:far", "system:authenticated"]);
    let asked = issuer.server.answers.requests();
    assert!(asked.iter().any(|r| r.path == "/groups" && r.authorization == "Bearer secret"));
}

#[tokio::test]
async fn an_issuer_must_be_who_it_says() {
    let issuer = Issuer::new(RSA).await;
    let document = json!({"issuer": "https://evil.example", "jwks_uri": format!("{}/keys", issuer.server.url)});
    issuer.server.answers.set("/.well-known/openid-configuration", 200, document);
    let oidc = Oidc::new(issuer.flags().spec().unwrap()).unwrap();
    assert!(oidc.provider.discover().await.unwrap_err().contains("issuer did not match"));
    assert_eq!(user(&oidc, &issuer.token(|_| {})).await.unwrap_err(), "oidc: authenticator not initialized");
    // Nor is it trusted without its CA.
    let untrusted = Oidc::new(Flags { certificate_authority: None, ..issuer.flags() }.spec().unwrap()).unwrap();
    assert!(untrusted.provider.discover().await.is_err());
}

#[test]
fn configuration_files_are_checked() {
    let issuer = "issuer: {url: 'https://a.example', audiences: [x]}";
    let mappings = "claimMappings: {username: {claim: sub, prefix: ''}}";
    let parse = |body: &str| {
        let file = format!("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n{body}");
        AuthenticationConfiguration::parse(file.as_bytes(), &["https://own.example".to_owned()])
    };
    assert_eq!(parse(&format!("jwt: [{{{issuer}, {mappings}}}]")).unwrap().jwt.len(), 1);
    for (body, why) in [
        (
            format!("jwt: [{{{issuer}, {mappings}}}, {{{issuer}, {mappings}}}]"),
            r#"jwt[1].issuer.url: Duplicate value: "https://a.example""#,
        ),
        (format!("jwt: [{{issuer: {{audiences: [x]}}, {mappings}}}]"), "jwt[0].issuer.url: Required value"),
        (format!("jwt: [{{issuer: {{url: 'http://a', audiences: [x]}}, {mappings}}}]"), "URL scheme must be https"),
        (
            format!("jwt: [{{issuer: {{url: 'https://own.example', audiences: [x]}}, {mappings}}}]"),
            "URL must not overlap with disallowed issuers",
        ),
        (
            format!("jwt: [{{issuer: {{url: 'https://a', audiences: [x, z]}}, {mappings}}}]"),
            "audienceMatchPolicy must be MatchAny for multiple audiences",
        ),
        (format!("jwt: [{{issuer: {{url: 'https://a'}}, {mappings}}}]"), "jwt[0].issuer.audiences: Required value"),
        (
            format!("jwt: [{{{issuer}, claimMappings: {{}}}}]"),
            "jwt[0].claimMappings.username: Required value: claim or expression is required",
        ),
        (
            format!("jwt: [{{{issuer}, claimMappings: {{username: {{claim: sub}}}}}}]"),
            "prefix is required when claim is set",
        ),
        (
            format!("jwt: [{{{issuer}, claimMappings: {{username: {{expression: 'user.x'}}}}}}]"),
            "undeclared reference to 'user'",
        ),
        (
            format!("jwt: [{{{issuer}, claimMappings: {{username: {{expression: 'claims.email'}}}}}}]"),
            "claims.email_verified must be used",
        ),
        (format!("jwt: [{{{issuer}, {mappings}, extra: 1}}]"), "unknown field `extra`"),
        (
            "anonymous: {enabled: false, conditions: [{path: /livez}]}".to_owned(),
            "enabled should be set to true when conditions are defined",
        ),
    ] {
        let error = parse(&body).unwrap_err().to_string();
        assert!(error.contains(why), "{body}: {error}");
    }
    let anonymous = parse("anonymous: {enabled: true, conditions: [{path: /livez}]}").unwrap().anonymous.unwrap();
    assert_eq!(anonymous, AnonymousSpec { enabled: true, paths: vec!["/livez".to_owned()] });
    assert!(AuthenticationConfiguration::parse(b"kind: X", &[]).is_err());
}
