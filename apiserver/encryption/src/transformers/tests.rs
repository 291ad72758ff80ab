use super::*;

const SECRETS: &str = "/registry/core/secrets/";
const KEY: &[u8] = b"/registry/core/secrets/default/s";
const PLAIN: &[u8] = b"\x01\0\0\0\0{}";
const A: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const B: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";

fn transformers(seals: &Arc<Seals>, rules: &str) -> Transformers {
    let text = format!("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n{rules}");
    Transformers::new(Config::parse(text.as_bytes()).unwrap(), seals)
}

fn secrets(seals: &Arc<Seals>, providers: &str) -> Transformers {
    transformers(seals, &format!("- {{resources: [secrets], providers: [{providers}]}}"))
}

fn keys(algorithm: &str, names: &[(&str, &str)]) -> String {
    let keys: Vec<String> = names.iter().map(|(name, secret)| format!("{{name: {name}, secret: {secret}}}")).collect();
    format!("{{{algorithm}: {{keys: [{}]}}}}", keys.join(", "))
}

#[test]
fn the_first_provider_writes_and_every_one_reads() {
    let seals = Arc::new(Seals::default());
    for (algorithm, prefix) in [
        ("aescbc", "k8s:enc:aescbc:v1:one:"),
        ("aesgcm", "k8s:enc:aesgcm:v1:one:"),
        ("secretbox", "k8s:enc:secretbox:v1:one:"),
    ] {
        let old = secrets(&seals, &format!("{}, {{identity: {{}}}}", keys(algorithm, &[("one", A)])));
        let sealed = Bytes::from(old.seal(SECRETS, KEY, PLAIN).unwrap().unwrap());
        assert!(sealed.starts_with(prefix.as_bytes()), "{sealed:?}");
        let (plain, seal) = old.open(SECRETS, KEY, &sealed).unwrap();
        assert_eq!(plain.unwrap(), PLAIN);
        assert!(!old.is_stale(SECRETS, seal));
        // What was there before encryption was switched on is read, and stale.
        let (plain, plain_seal) = old.open(SECRETS, KEY, &Bytes::from_static(PLAIN)).unwrap();
        assert!(plain.is_none() && old.is_stale(SECRETS, plain_seal));

        // A rotation: the new key first.
        let new = secrets(&seals, &keys(algorithm, &[("two", B), ("one", A)]));
        let (plain, seal) = new.open(SECRETS, KEY, &sealed).unwrap();
        assert_eq!(plain.unwrap(), PLAIN);
        assert!(new.is_stale(SECRETS, seal));
        // No identity: plain values are refused.
        assert_eq!(new.open(SECRETS, KEY, &Bytes::from_static(PLAIN)).unwrap_err(), NO_PREFIX);

        // Switching it off again.
        let off = secrets(&seals, &format!("{{identity: {{}}}}, {}", keys(algorithm, &[("one", A)])));
        assert!(off.seal(SECRETS, KEY, PLAIN).unwrap().is_none());
        let (plain, seal) = off.open(SECRETS, KEY, &sealed).unwrap();
        assert_eq!(plain.unwrap(), PLAIN);
        assert!(off.is_stale(SECRETS, seal) && !off.is_stale(SECRETS, Seal::PLAIN));
    }
}

#[test]
fn what_does_not_open_says_why() {
    let seals = Arc::new(Seals::default());
    let seal = |providers: &str| Bytes::from(secrets(&seals, providers).seal(SECRETS, KEY, PLAIN).unwrap().unwrap());
    let gcm = seal(&keys("aesgcm", &[("one", A)]));
    let boxed = seal(&keys("secretbox", &[("one", A)]));
    let refused = |providers: &str, stored: &Bytes| secrets(&seals, providers).open(SECRETS, KEY, stored).unwrap_err();
    // providers, stored value, what is said
    let table = [
        (keys("aesgcm", &[("two", B)]), &gcm, "no matching key was found for the provided AES transformer"),
        (keys("aesgcm", &[("one", B)]), &gcm, "cipher: message authentication failed"),
        (keys("secretbox", &[("two", B)]), &boxed, "no matching key was found for the provided Secretbox transformer"),
        (keys("secretbox", &[("one", B)]), &boxed, "output array was not large enough for encryption"),
        (keys("aescbc", &[("one", A)]), &gcm, "no matching prefix found"),
        ("{identity: {}}".to_owned(), &gcm, "identity transformer tried to read encrypted data"),
    ];
    for (providers, stored, want) in table {
        assert_eq!(refused(&providers, stored), want, "{providers}");
    }
    // A value under another key does not open.
    let moved =
        secrets(&seals, &keys("aesgcm", &[("one", A)])).open(SECRETS, b"/registry/core/secrets/default/t", &gcm);
    assert_eq!(moved.unwrap_err(), "cipher: message authentication failed");
    // Nor does a sealed value of a resource without a rule.
    let elsewhere = secrets(&seals, &keys("aesgcm", &[("one", A)])).open("/registry/core/pods/", KEY, &gcm);
    assert_eq!(elsewhere.unwrap_err(), IDENTITY_SEALED);
    // Two providers of one algorithm: the second one opens what the first one cannot.
    let both = format!("{}, {}", keys("aesgcm", &[("one", B)]), keys("aesgcm", &[("one", A)]));
    assert!(secrets(&seals, &both).open(SECRETS, KEY, &gcm).is_ok());
}

#[test]
fn the_most_specific_rule_of_a_resource_counts() {
    let seals = Arc::new(Seals::default());
    let all = transformers(
        &seals,
        &format!(
            "- {{resources: [secrets, deployments.apps], providers: [{}]}}
- {{resources: ['*.apps'], providers: [{}]}}
- {{resources: [events], providers: [identity: {{}}]}}
- {{resources: ['*.*'], providers: [{}]}}",
            keys("aesgcm", &[("some", A)]),
            keys("aesgcm", &[("apps", A)]),
            keys("aesgcm", &[("all", A)]),
        ),
    );
    // store prefix, name of the key that seals
    let table = [
        ("/registry/core/secrets/", Some("some")),
        ("/registry/apps/deployments/", Some("some")),
        ("/registry/apps/statefulsets/", Some("apps")),
        ("/registry/core/pods/", Some("all")),
        ("/registry/example.com/foos/", Some("all")),
        ("/registry/core/events/", None),
        // Bookkeeping of the front-ends is no resource.
        ("/registry/kuorum/nodeports/", None),
    ];
    for (prefix, want) in table {
        let sealed = all.seal(prefix, KEY, PLAIN).unwrap();
        let name = sealed.as_deref().map(|s| String::from_utf8_lossy(&s[18..]).split(':').next().unwrap().to_owned());
        assert_eq!(name.as_deref(), want, "{prefix}");
    }
}
