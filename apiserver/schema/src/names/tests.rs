use super::*;

/// `check` finds nothing wrong with `good` and something wrong with `bad`.
fn split(check: fn(&str) -> Vec<String>, good: &[&str], bad: &[&str]) {
    for value in good {
        assert_eq!(check(value), Vec::<String>::new(), "{value:?}");
    }
    for value in bad {
        assert!(!check(value).is_empty(), "{value:?} should be refused");
    }
}

#[test]
fn dns_labels() {
    let long = "a".repeat(64);
    split(
        dns1123_label,
        &["a", "0", "a-b", "a--b", "0-a", &"a".repeat(63)],
        &["", "-", "-a", "a-", "A", "a.b", "a_b", "a b", "é", "a\n", &long],
    );
    assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
    assert_eq!(dns1123_label(&long), ["must be no more than 63 characters"]);
    assert_eq!(
        dns1123_label("A"),
        [
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end \
          with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
          '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ]
    );
    split(dns1035_label, &["a", "a0", "a-0"], &["", "0a", "-", "A", "a.b"]);
}

#[test]
fn dns_subdomains() {
    split(
        dns1123_subdomain,
        &["a", "a.b.c", "0.1", "a-b.c-d"],
        &["", ".", "a.", ".a", "a..b", "a.-b", "A.b", "a_b", &format!("a{}", ".a".repeat(127))],
    );
    assert_eq!(
        dns1123_subdomain("Bad_Name"),
        [
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
          and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
          '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ]
    );
    split(dns1123_subdomain_with_underscore, &["_a.b", "a_b.c"], &["__a", "a_", "_", ""]);
    split(wildcard_dns1123_subdomain, &["*.a", "*.a.b"], &["*", "*.", "a.b", "*.*.a", "**.a"]);
    split(fully_qualified_name, &["a.b.c"], &["", "a.b", "a.b.C"]);
    split(fully_qualified_domain_name, &["a.b", "a.b."], &["", "a", "a.b..", "a.B"]);
}

#[test]
fn label_keys_and_values() {
    let k64 = "k".repeat(64);
    split(
        label_key,
        &["simple", "now-with-dashes", "1.2.3", "a_b.c", "example.com/x", "X/Y".to_lowercase().as_str(), "UPPER"],
        &["", "/", "a/", "/b", "a/b/c", "-a", "a-", "Ex.com/a", "a b", &k64, &format!("{}/x", "a".repeat(254))],
    );
    assert_eq!(label_key("/x"), ["prefix part must be non-empty"]);
    assert_eq!(label_key(&k64), ["name part must be no more than 63 bytes"]);
    assert_eq!(label_key("").len(), 2, "an empty name is both empty and no match");
    split(label_value, &["", "a", "a.b", "A_b-c", &"v".repeat(63)], &["-", "a-", "web&x", "été", &"v".repeat(64)]);
    assert_eq!(label_value(&"v".repeat(64)), ["must be no more than 63 bytes"]);
}

#[test]
fn file_and_path_names() {
    split(path_segment_name, &["a", "a:b", "..."], &[".", "..", "a/b", "a%b"]);
    assert_eq!(path_segment_name("a/%"), ["may not contain '/'", "may not contain '%'"]);
    split(path_segment_prefix, &[".", ".."], &["/"]);
    split(config_map_key, &["a", "A.b_c-d", ".a"], &["", ".", "..", "..a", "a/b", "é"]);
    assert_eq!(config_map_key("..a"), ["must not start with '..'"]);
    split(c_identifier, &["a", "_", "a1"], &["", "1a", "a-b"]);
    split(env_var_name, &["a", "A.b-c", "_1"], &["", "1", "a=b", "..", "a b"]);
    split(relaxed_env_var_name, &["1", "a b", "a/b"], &["", "a=b", "a\tb", "é"]);
    split(http_header_name, &["X-A"], &["", "a b"]);
    split(domain_prefixed_path, &["acme.io/foo", "a/b/c"], &["", "a", "a/", "/b", "A/b", "a/b c"]);
}

#[test]
fn ports_and_numbers() {
    split(port_name, &["a", "http-2", "0a"], &["", "0", "-a", "a-", "a--b", "A", "abcdefghijklmnop"]);
    split(percent, &["0%", "100%"], &["", "%", "1", "1.5%", "-1%"]);
    assert_eq!(port_number(0), ["must be between 1 and 65535, inclusive"]);
    assert!(port_number(65535).is_empty());
    assert_eq!(unix_id(-1), ["must be between 0 and 2147483647, inclusive"]);
}

#[test]
fn addresses() {
    split(
        ip,
        &["1.2.3.4", "01.2.3.4", "::1", "::ffff:1.2.3.4", "00001::", "::ffff:01.2.3.4"],
        &["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "::g", "fe80::1%eth0", "1.2.3.4/8", ":::", "-1.2.3.4"],
    );
    assert_eq!(ip_strict("01.2.3.4"), ["must not have leading 0s"]);
    assert_eq!(ip_strict("::ffff:1.2.3.4"), ["must not be an IPv4-mapped IPv6 address"]);
    split(ipv4, &["1.2.3.4"], &["::1", "x"]);
    split(ipv6, &["::1"], &["1.2.3.4", "x"]);
    split(cidr, &["10.1.2.3/8", "10.0.0.0/08", "::/0", "1.2.3.4/32"], &["", "/", "1.2.3.4", "1.2.3.4/33", "::/129"]);
    assert_eq!(cidr_strict("10.1.2.3/8"), ["must not have bits set beyond the prefix length"]);
    assert_eq!(cidr_strict("10.0.0.0/08"), ["must not have leading 0s in IP or prefix length"]);
    assert!(cidr_strict("0.0.0.0/0").is_empty() && cidr_strict("::/0").is_empty());
    assert_eq!(interface_address("10.0.0.01/8"), [r#"must be in canonical form ("10.0.0.1/8")"#]);
    assert!(interface_address("10.0.0.1/8").is_empty());
}
