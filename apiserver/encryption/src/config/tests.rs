use super::*;

fn parse(rules: &str) -> Result<Config, ConfigError> {
    let head = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n";
    Config::parse(format!("{head}{rules}").as_bytes())
}

const KEY32: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

#[test]
fn a_file_with_every_provider_is_read() {
    let config = parse(&format!(
        "resources:
- resources: [secrets, configmaps, deployments.apps]
  providers:
  - aescbc: {{keys: [{{name: key1, secret: {KEY32}}}, {{name: key2, secret: AAAAAAAAAAAAAAAAAAAAAA==}}]}}
  - aesgcm: {{keys: [{{name: key1, secret: {KEY32}}}]}}
  - secretbox: {{keys: [{{name: key1, secret: {KEY32}}}]}}
  - kms: {{apiVersion: v2, name: vault, endpoint: unix:///run/kms.sock, timeout: 1s500ms}}
  - identity: {{}}
- resources: ['*.batch', '*.*']
  providers: [identity: {{}}]
"
    ));
    // `*.*` overlaps `*.batch` in one list.
    assert!(config.unwrap_err().to_string().contains("overlapping resources"));

    let config = parse(&format!(
        "resources:
- resources: [secrets]
  providers:
  - kms: {{apiVersion: v2, name: vault, endpoint: unix:///@abstract, timeout: 1s500ms}}
  - secretbox: {{keys: [{{name: key1, secret: {KEY32}}}]}}
- resources: ['*.*']
  providers: [identity: {{}}]
"
    ))
    .unwrap();
    assert_eq!(config.rules.len(), 2);
    let ProviderConfig::Kms(kms) = &config.rules[0].providers[0] else { panic!("{config:?}") };
    assert_eq!((kms.socket.as_str(), kms.timeout), ("@abstract", Duration::from_millis(1500)));
    assert!(!format!("{config:?}").contains(KEY32));
}

#[test]
fn patterns_match_what_they_name() {
    // pattern, group, resource, whether it matches
    let table = [
        ("secrets", "", "secrets", true),
        ("secrets", "", "configmaps", false),
        ("secrets", "example.com", "secrets", false),
        ("deployments.apps", "apps", "deployments", true),
        ("foos.example.com", "example.com", "foos", true),
        ("*.apps", "apps", "statefulsets", true),
        ("*.apps", "", "pods", false),
        ("*.", "", "pods", true),
        ("*.", "apps", "deployments", false),
        ("*.*", "", "pods", true),
        ("*.*", "example.com", "foos", true),
    ];
    for (pattern, group, resource, want) in table {
        assert_eq!(Pattern::parse(pattern).matches(group, resource), want, "{pattern} on {resource}.{group}");
    }
}

#[test]
fn what_is_wrong_is_said_and_keys_are_not() {
    let keys = |secret: &str| {
        format!("resources: [{{resources: [secrets], providers: [aescbc: {{keys: [{{name: k, secret: {secret}}}]}}]}}]")
    };
    let kms = |fields: &str| format!("resources: [{{resources: [secrets], providers: [kms: {{{fields}}}]}}]");
    let resources = |list: &str| format!("resources: [{{resources: {list}, providers: [identity: {{}}]}}]");
    let table = [
        (String::new(), "resources: Required value: at least one resources is required"),
        ("resources: [{resources: [secrets]}]".to_owned(), "resources[0].providers: Required value"),
        ("resources: [{providers: [identity: {}]}]".to_owned(), "resources[0].resources: Required value"),
        ("resources: [{resources: [a], providers: [{}]}]".to_owned(), "any of the expected providers"),
        (
            "resources: [{resources: [a], providers: [{identity: {}, aescbc: {keys: []}}]}]".to_owned(),
            "more than one provider specified in a single element",
        ),
        (keys("c2hvcnQ="), "secret is not of the expected length, got 5, expected one of [16 24 32]"),
        (keys("'%%%'"), "\"REDACTED\": secrets must be base64 encoded"),
        (keys("''"), "secret is a mandatory field for a key"),
        (
            "resources: [{resources: [a], providers: [secretbox: {keys: []}]}]".to_owned(),
            "at least one keys is required",
        ),
        (kms("apiVersion: v2, name: a, endpoint: 'http://x'"), "unsupported scheme \"http\""),
        (kms("apiVersion: v2, name: a"), "endpoint is a mandatory field for a kms"),
        (kms("apiVersion: v2, name: 'a:b', endpoint: 'unix:///s'"), "must not contain ':'"),
        (kms("apiVersion: v2, name: a, endpoint: 'unix:///s', cachesize: 5"), "cachesize is not supported in v2"),
        (kms("apiVersion: v2, name: a, endpoint: 'unix:///s', timeout: 0s"), "timeout should be a positive value"),
        (kms("name: a, endpoint: 'unix:///s'"), "unsupported apiVersion v1"),
        (resources("[Secrets]"), "capital letters"),
        (resources("['*']"), "use '*.'"),
        (resources("[events.events.k8s.io]"), "Use 'events' instead"),
        (resources("[ingresses.extensions]"), "'extensions' group has been removed"),
        (resources("['secrets.*']"), "across groups"),
        (resources("[secrets, secrets]"), "cannot be specified multiple times"),
        (resources("[secrets, '*.']"), "overlapping resources"),
        (
            "resources: [{resources: ['*.*'], providers: [identity: {}]}, {resources: [secrets], providers: [identity: {}]}]"
                .to_owned(),
            "resource \"secrets\" is masked by earlier rule \"*.*\"",
        ),
        ("resources: []\nunknown: 1".to_owned(), "unknown field `unknown`"),
        ("resources: []\nresources: []".to_owned(), "already set in map"),
    ];
    for (text, want) in table {
        let said = parse(&text).unwrap_err().to_string();
        assert!(said.contains(want), "{text}: {said}");
        assert!(!said.contains("c2hvcnQ=") && !said.contains("%%%"), "{said}");
    }
    assert!(Config::parse(b"").unwrap_err().to_string().contains("is empty"));
    assert!(Config::parse(b"kind: Pod\napiVersion: v1").unwrap_err().to_string().contains("no kind \"Pod\""));
}
