//! What `pki init` and `pki rotate` leave on disk.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn spec() -> Spec {
    Spec {
        sans: vec!["api.example.com".into(), "192.0.2.7".into()],
        members: vec!["store-1=store-1,192.0.2.1".parse().unwrap(), "store-2".parse().unwrap()],
        service_cluster_ip_range: "10.96.0.0/12".into(),
        days: 30,
    }
}

fn hosts(path: &Path) -> Vec<String> {
    inspect::inspect(&read(path).unwrap()).unwrap().leaf.hosts
}

#[test]
fn init_makes_everything_once() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path().join("pki"));
    let first = init(&layout, &spec(), false).unwrap();
    assert_eq!(first.len(), 18, "two authorities, six leaves, two files each, and the service-account pair");
    assert!(init(&layout, &spec(), false).unwrap().is_empty(), "a second run keeps everything");

    let serving = hosts(&layout.apiserver().cert);
    for name in ["kubernetes.default.svc", "localhost", "::1", "10.96.0.1", "api.example.com", "192.0.2.7"] {
        assert!(serving.contains(&name.to_owned()), "{name} in {serving:?}");
    }
    let member = inspect::inspect(&read(&layout.member("store-1").cert).unwrap()).unwrap();
    assert_eq!(member.leaf.common_name, "store-1");
    assert_eq!(member.leaf.organization.as_deref(), Some(ROLE_PEER));
    assert_eq!(member.leaf.usage, Usage::Both);
    assert_eq!(member.issuer, "kuorum-store-ca");

    for path in first {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let secret = path.extension().is_some_and(|extension| extension == "key");
        assert_eq!(mode, if secret { MODE_SECRET } else { MODE_PUBLIC }, "{}", path.display());
    }
}

#[test]
fn rotate_keeps_names_and_authorities_and_changes_keys() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    init(&layout, &spec(), false).unwrap();
    let (ca, key) = (read(&layout.ca().cert).unwrap(), read(&layout.apiserver().key).unwrap());
    let before = hosts(&layout.apiserver().cert);

    assert!(rotate(&layout, Some(7), 365).unwrap().is_empty(), "nothing ends within a week");
    assert_eq!(rotate(&layout, Some(31), 365).unwrap().len(), 12, "six leaves, two files each");
    assert_eq!(read(&layout.ca().cert).unwrap(), ca);
    assert_ne!(read(&layout.apiserver().key).unwrap(), key);
    assert_eq!(hosts(&layout.apiserver().cert), before);
}

#[test]
fn a_new_name_reissues_the_serving_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    init(&layout, &spec(), false).unwrap();
    assert!(!ensure_serving_names(&layout, &spec()).unwrap());
    let more = Spec { sans: vec!["other.example.com".into()], ..spec() };
    assert!(ensure_serving_names(&layout, &more).unwrap());
    let serving = hosts(&layout.apiserver().cert);
    assert!(serving.contains(&"other.example.com".to_owned()) && serving.contains(&"192.0.2.7".to_owned()));
}

#[test]
fn half_a_pair_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    init(&layout, &spec(), false).unwrap();
    fs::remove_file(layout.ca().key).unwrap();
    let error = init(&layout, &spec(), false).unwrap_err().to_string();
    assert!(error.contains("ca.key") && error.contains("both"), "{error}");
}

#[test]
fn member_names_cannot_leave_the_directory() {
    for bad in ["../x=h", "=h", ".x", "a/b", "ca=h", "operator"] {
        assert!(bad.parse::<MemberHosts>().is_err(), "{bad}");
    }
}

#[test]
fn the_first_service_address() {
    for (range, first) in [("10.0.0.0/24", "10.0.0.1"), ("10.96.3.0/12", "10.96.0.1"), ("fd00::/108", "fd00::1")] {
        assert_eq!(first_address(range).unwrap().to_string(), first);
    }
    for bad in ["10.0.0.0", "10.0.0.0/31", "10.0.0.0/99", "x/8", "fd00::/127"] {
        assert!(first_address(bad).is_err(), "{bad}");
    }
}
