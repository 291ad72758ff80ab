use http::HeaderMap;
use kuorum_auth::authn::static_tokens::Tokens;
use kuorum_cache::Store;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer as Signer, KeyPair};

use super::*;
use crate::config::Config;

/// A CA with its file.
struct Authority {
    signer: Signer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { signer: Signer::new(params, key), file }
    }

    /// A connection whose client has a certificate of this CA.
    fn peer(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Peer {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "staff");
        params.extended_key_usages = vec![usage];
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &self.signer).unwrap();
        Peer::new(([127, 0, 0, 1], 1).into(), vec![leaf.der().clone()])
    }

    fn client(&self, name: &str) -> Peer {
        self.peer(name, ExtendedKeyUsagePurpose::ClientAuth)
    }
}

fn plain_peer() -> Peer {
    Peer::new(([127, 0, 0, 1], 1).into(), Vec::new())
}

fn authenticator(config: &Config, client_ca: Option<&Authority>) -> Authenticator {
    let ca = ClientCa::load(client_ca.map(|a| a.file.path())).unwrap();
    let mut made = setup::authenticators(config, &Store::memory(), Arc::new(ca)).unwrap().authenticator;
    made.tokens.static_tokens = Tokens::parse("t1,alice,u1,\"dev,ops\"\n").unwrap();
    made
}

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

/// Name and groups, or the code of the refusal.
async fn who(auth: &Authenticator, peer: &Peer, list: &[(&'static str, &str)]) -> Result<(String, Vec<String>), u16> {
    let credentials = Credentials::take(&mut headers(list), auth.header_names());
    let found = auth.user(peer, &credentials, "/api").await.map_err(|e| e.code().as_u16())?;
    Ok((found.user.name.clone(), found.user.groups.clone()))
}

async fn name(auth: &Authenticator, peer: &Peer, list: &[(&'static str, &str)]) -> Result<String, u16> {
    who(auth, peer, list).await.map(|(name, _)| name)
}

#[tokio::test]
async fn wrong_credentials_are_not_anonymous() {
    let auth = authenticator(&Config::default(), None);
    let peer = plain_peer();
    assert_eq!(name(&auth, &peer, &[("authorization", "Bearer t1")]).await.unwrap(), "alice");
    assert_eq!(name(&auth, &peer, &[("authorization", "Bearer nope")]).await, Err(401));
    assert_eq!(name(&auth, &peer, &[]).await.unwrap(), "system:anonymous");
    assert_eq!(name(&auth, &peer, &[("authorization", "Basic abc")]).await.unwrap(), "system:anonymous");
    let (_, groups) = who(&auth, &peer, &[("authorization", "Bearer t1")]).await.unwrap();
    assert_eq!(groups, ["dev", "ops", "system:authenticated"]);
}

#[tokio::test]
async fn anonymous_may_be_limited_to_paths() {
    let auth = authenticator(&Config::default(), None);
    let none = Credentials::default();
    let user = async |path| {
        auth.user(&plain_peer(), &none, path).await.map_err(|e| e.code().as_u16()).map(|u| u.user.name.clone())
    };
    for (spec, allowed) in [
        (Anonymous::new(true, Vec::new()), [true, true]),
        (Anonymous::new(true, vec!["/livez".to_owned()]), [true, false]),
        (Anonymous::new(false, Vec::new()), [false, false]),
    ] {
        auth.anonymous.store(Arc::new(spec));
        assert_eq!([user("/livez").await.is_ok(), user("/api").await.is_ok()], allowed);
    }
}

#[tokio::test]
async fn a_certificate_must_be_a_clients_and_of_the_ca() {
    let (own, strange) = (Authority::new("own"), Authority::new("strange"));
    let auth = authenticator(&Config::default(), Some(&own));
    let (found, groups) = who(&auth, &own.client("bob"), &[]).await.unwrap();
    assert_eq!((found.as_str(), groups), ("bob", vec!["staff".to_owned(), "system:authenticated".to_owned()]));
    assert_eq!(name(&auth, &strange.client("bob"), &[]).await, Err(401));
    assert_eq!(name(&auth, &own.peer("bob", ExtendedKeyUsagePurpose::ServerAuth), &[]).await, Err(401));
    // A foreign certificate does not spoil a good token.
    assert_eq!(name(&auth, &strange.client("bob"), &[("authorization", "Bearer t1")]).await.unwrap(), "alice");
}

/// Headers that say: I speak for the administrator.
const SPOOFED: [(&str, &str); 4] = [
    ("x-remote-user", "root"),
    ("x-remote-group", "system:masters"),
    ("x-remote-extra-scopes", "all"),
    ("x-remote-uid", "0"),
];

fn with_front_proxy(proxy: &Authority, allowed: &[&str]) -> Config {
    let mut config = Config::default();
    let options = &mut config.authentication;
    options.requestheader_client_ca_file = Some(proxy.file.path().to_owned());
    options.requestheader_allowed_names = allowed.iter().map(|n| (*n).to_owned()).collect();
    options.requestheader_username_headers = vec!["X-Remote-User".to_owned()];
    options.requestheader_group_headers = vec!["X-Remote-Group".to_owned()];
    options.requestheader_uid_headers = vec!["X-Remote-Uid".to_owned()];
    options.requestheader_extra_headers_prefix = vec!["X-Remote-Extra-".to_owned()];
    config
}

#[tokio::test]
async fn only_the_front_proxy_speaks_for_others() {
    let (clients, proxies) = (Authority::new("clients"), Authority::new("proxies"));
    let auth = authenticator(&with_front_proxy(&proxies, &["front"]), Some(&clients));
    let credentials = Credentials::take(&mut headers(&SPOOFED), auth.header_names());
    let found = auth.user(&proxies.client("front"), &credentials, "/").await.unwrap();
    assert_eq!((found.user.name.as_str(), found.user.uid.as_str()), ("root", "0"));
    assert_eq!(found.user.groups, ["system:masters", "system:authenticated"]);
    assert_eq!(found.user.extra["scopes"], ["all"]);
    // Another name of the same CA, a client's certificate, a token, nothing: the headers say nothing.
    assert_eq!(name(&auth, &proxies.client("other"), &SPOOFED).await, Err(401));
    assert_eq!(name(&auth, &clients.client("bob"), &SPOOFED).await.unwrap(), "bob");
    assert_eq!(name(&auth, &plain_peer(), &SPOOFED).await.unwrap(), "system:anonymous");
    let with_token: Vec<_> = SPOOFED.into_iter().chain([("authorization", "Bearer t1")]).collect();
    assert_eq!(name(&auth, &plain_peer(), &with_token).await.unwrap(), "alice");
    // A client's certificate with the front proxy's name is no front proxy's.
    assert_eq!(name(&auth, &clients.client("front"), &SPOOFED).await.unwrap(), "front");
}

#[tokio::test]
async fn without_a_front_proxy_its_headers_say_nothing() {
    let clients = Authority::new("clients");
    let auth = authenticator(&Config::default(), Some(&clients));
    assert_eq!(name(&auth, &clients.client("bob"), &SPOOFED).await.unwrap(), "bob");
    assert_eq!(name(&auth, &plain_peer(), &SPOOFED).await.unwrap(), "system:anonymous");
}

#[tokio::test]
async fn a_websockets_token_is_a_token() {
    use base64::Engine;
    let auth = authenticator(&Config::default(), None);
    let encode = |token: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token);
    for (token, wanted) in [("t1", Ok("alice".to_owned())), ("nope", Err(401))] {
        let protocols = format!("v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{}", encode(token));
        let list =
            [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-protocol", protocols.as_str())];
        assert_eq!(name(&auth, &plain_peer(), &list).await, wanted);
    }
}
