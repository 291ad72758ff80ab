//! Rules for names: DNS labels and subdomains, label keys and values, ports, environment variables, paths.
//!
//! Every function returns what is wrong with a value, in apimachinery's words, and an empty vector (no allocation)
//! when nothing is. The grammars are small, so they are matched by hand on bytes.

pub mod ip;

pub use ip::{cidr, cidr_strict, interface_address, ip, ip_strict, ipv4, ipv6};

/// Most bytes in a DNS label, and in the name part of a label key, and in a label value.
pub const LABEL_BYTES_MAX: usize = 63;
/// Most bytes in a DNS subdomain, hence in most object names and in the prefix of a label key.
pub const SUBDOMAIN_BYTES_MAX: usize = 253;
/// Most bytes in an IANA service name (a named port).
pub const PORT_NAME_BYTES_MAX: usize = 15;

const QUALIFIED_NAME_FMT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_NAME_MSG: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const DNS1123_LABEL_FMT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN_FMT: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

/// An RFC 1123 label: lower case, digits and inner dashes, at most 63 bytes.
pub fn dns1123_label(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_BYTES_MAX {
        errors.push(max_characters(LABEL_BYTES_MAX));
    }
    if !is_dns1123_label(value) {
        if is_dns1123_subdomain(value) {
            // It is a good subdomain, so the dots must be what is wrong.
            errors.push("must not contain dots".to_owned());
        } else {
            errors.push(pattern(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                 and end with an alphanumeric character",
                DNS1123_LABEL_FMT,
                &["my-name", "123-abc"],
            ));
        }
    }
    errors
}

/// An RFC 1123 subdomain: labels joined by dots, at most 253 bytes. The rule for most object names.
pub fn dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > SUBDOMAIN_BYTES_MAX {
        errors.push(max_characters(SUBDOMAIN_BYTES_MAX));
    }
    if !is_dns1123_subdomain(value) {
        errors.push(subdomain_pattern());
    }
    errors
}

/// An RFC 1123 subdomain in which labels may begin with, and contain, underscores.
pub fn dns1123_subdomain_with_underscore(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > SUBDOMAIN_BYTES_MAX {
        errors.push(max_characters(SUBDOMAIN_BYTES_MAX));
    }
    let label = |part: &str| {
        let part = part.strip_prefix('_').unwrap_or(part);
        bracketed(part.as_bytes(), is_lower_alnum, |b| is_lower_alnum(b) || b == b'-' || b == b'_')
    };
    if !value.split('.').all(label) {
        errors.push(pattern(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', and \
             must start and end with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    errors
}

/// An RFC 1035 label: as [`dns1123_label`], but it begins with a letter.
pub fn dns1035_label(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_BYTES_MAX {
        errors.push(max_characters(LABEL_BYTES_MAX));
    }
    if !(is_dns1123_label(value) && value.as_bytes()[0].is_ascii_lowercase()) {
        errors.push(pattern(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    errors
}

/// `*.` followed by an RFC 1123 subdomain.
pub fn wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > SUBDOMAIN_BYTES_MAX {
        errors.push(max_characters(SUBDOMAIN_BYTES_MAX));
    }
    if !value.strip_prefix("*.").is_some_and(is_dns1123_subdomain) {
        errors.push(pattern(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist \
             of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{DNS1123_SUBDOMAIN_FMT}"),
            &["*.example.com"],
        ));
    }
    errors
}

/// A domain of at least three labels (a signer name's prefix, a dedicated API group).
pub fn fully_qualified_name(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec![String::new()];
    }
    let errors = dns1123_subdomain(value);
    if !errors.is_empty() {
        return errors;
    }
    if value.split('.').count() < 3 {
        return vec!["should be a domain with at least three segments separated by dots".to_owned()];
    }
    Vec::new()
}

/// A domain of at least two RFC 1123 labels; one dot may end it.
pub fn fully_qualified_domain_name(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec![String::new()];
    }
    let name = value.strip_suffix('.').unwrap_or(value);
    if name.len() > SUBDOMAIN_BYTES_MAX {
        return vec![max_characters(SUBDOMAIN_BYTES_MAX)];
    }
    if name.split('.').count() < 2 {
        return vec!["should be a domain with at least two segments separated by dots".to_owned()];
    }
    name.split('.').flat_map(dns1123_label).collect()
}

/// `domain/path`, as in the name of a finalizer or a CSI driver's attribute.
pub fn domain_prefixed_path(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec![String::new()];
    }
    let Some((host, path)) = value.split_once('/').filter(|(host, path)| !host.is_empty() && !path.is_empty()) else {
        return vec![r#"must be a domain-prefixed path (such as "acme.io/foo")"#.to_owned()];
    };
    let mut errors = dns1123_subdomain(host);
    if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b)) {
        errors.push(pattern("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", &[]));
    }
    errors
}

/// A label key (or annotation key): an optional subdomain and `/`, then a name of at most 63 bytes.
pub fn label_key(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let mut parts = value.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                if prefix.len() > SUBDOMAIN_BYTES_MAX {
                    errors.push(format!("prefix part {}", max_bytes(SUBDOMAIN_BYTES_MAX)));
                }
                if !is_dns1123_subdomain(prefix) {
                    errors.push(format!("prefix part {}", subdomain_pattern()));
                }
            }
            name
        }
        _ => {
            errors.push(
                pattern(
                    &format!("a valid label key {QUALIFIED_NAME_MSG}"),
                    QUALIFIED_NAME_FMT,
                    &["MyName", "my.name", "123-abc"],
                ) + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
            );
            return errors;
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_BYTES_MAX {
        errors.push(format!("name part {}", max_bytes(LABEL_BYTES_MAX)));
    }
    if !is_qualified_name(name) {
        let message = format!("name part {QUALIFIED_NAME_MSG}");
        errors.push(pattern(&message, QUALIFIED_NAME_FMT, &["MyName", "my.name", "123-abc"]));
    }
    errors
}

/// A qualified name (resource, taint key, annotation key): the same rule and words as [`label_key`] since 1.34.
pub fn qualified_name(value: &str) -> Vec<String> {
    label_key(value)
}

/// A label value: empty, or a name of at most 63 bytes.
pub fn label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_BYTES_MAX {
        errors.push(max_bytes(LABEL_BYTES_MAX));
    }
    if !value.is_empty() && !is_qualified_name(value) {
        errors.push(pattern(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character",
            &format!("({QUALIFIED_NAME_FMT})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    errors
}

/// A name that can stand between two slashes of a URL: not `.` or `..`, without `/` and `%`.
pub fn path_segment_name(value: &str) -> Vec<String> {
    if value == "." || value == ".." {
        return vec![format!("may not be '{value}'")];
    }
    path_segment_prefix(value)
}

/// As [`path_segment_name`], for a `generateName`, which is only the beginning of a name.
pub fn path_segment_prefix(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    for forbidden in ['/', '%'] {
        if value.contains(forbidden) {
            errors.push(format!("may not contain '{forbidden}'"));
        }
    }
    errors
}

/// A C identifier.
pub fn c_identifier(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let good = bytes.first().is_some_and(|&b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_');
    if good {
        return Vec::new();
    }
    vec![pattern(
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric \
         characters or '_'",
        "[A-Za-z_][A-Za-z0-9_]*",
        &["my_name", "MY_NAME", "MyName"],
    )]
}

/// The name of an environment variable under the old rule (letters, digits, `_`, `-`, `.`).
pub fn env_var_name(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let mut errors = Vec::new();
    if !(bytes.first().is_some_and(|&b| part(b) && !b.is_ascii_digit()) && bytes.iter().all(|&b| part(b))) {
        errors.push(pattern(
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and \
             must not start with a digit",
            "[-._a-zA-Z][-._a-zA-Z0-9]*",
            &["my.env-name", "MY_ENV.NAME", "MyEnvName1"],
        ));
    }
    errors.extend(directory_prefix(value));
    errors
}

/// The name of an environment variable as Pods may use it since 1.34: printable ASCII without `=`.
pub fn relaxed_env_var_name(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()]
}

/// A key of a ConfigMap or a Secret, which becomes a file name.
pub fn config_map_key(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > SUBDOMAIN_BYTES_MAX {
        errors.push(max_characters(SUBDOMAIN_BYTES_MAX));
    }
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        errors.push(pattern(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    errors.extend(directory_prefix(value));
    errors
}

/// The name of an HTTP header.
pub fn http_header_name(value: &str) -> Vec<String> {
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    vec![pattern(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// A percentage such as `25%`.
pub fn percent(value: &str) -> Vec<String> {
    let good =
        value.strip_suffix('%').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    if good {
        return Vec::new();
    }
    vec![pattern(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// An IANA service name, the rule for named ports (RFC 6335).
pub fn port_name(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > PORT_NAME_BYTES_MAX {
        errors.push(max_characters(PORT_NAME_BYTES_MAX));
    }
    if value.is_empty() || !value.bytes().all(|b| is_lower_alnum(b) || b == b'-') {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !value.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if value.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if value.starts_with('-') || value.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// A port number, 1 to 65535.
pub fn port_number(port: i64) -> Vec<String> {
    in_range(port, 1, 65535)
}

/// A number between `low` and `high`, both included.
pub fn in_range(value: i64, low: i64, high: i64) -> Vec<String> {
    if (low..=high).contains(&value) {
        return Vec::new();
    }
    vec![format!("must be between {low} and {high}, inclusive")]
}

/// A Unix user or group id.
pub fn unix_id(id: i64) -> Vec<String> {
    in_range(id, 0, i64::from(i32::MAX))
}

/// Whether `value` is an RFC 1123 label, without its length.
pub fn is_dns1123_label(value: &str) -> bool {
    bracketed(value.as_bytes(), is_lower_alnum, |b| is_lower_alnum(b) || b == b'-')
}

/// Whether `value` is an RFC 1123 subdomain, without its length.
pub fn is_dns1123_subdomain(value: &str) -> bool {
    value.split('.').all(is_dns1123_label)
}

/// Letters and digits at both ends, also `-`, `_` and `.` between them; never empty.
fn is_qualified_name(value: &str) -> bool {
    bracketed(
        value.as_bytes(),
        |b| b.is_ascii_alphanumeric(),
        |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'),
    )
}

fn is_lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Not empty, `end` holds for the first and the last byte and `inner` for all.
fn bracketed(bytes: &[u8], end: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    match bytes {
        [] => false,
        [only] => end(*only),
        [first, middle @ .., last] => end(*first) && end(*last) && middle.iter().all(|&b| inner(b)),
    }
}

/// A name that would climb out of its directory when it becomes a file name.
fn directory_prefix(value: &str) -> Option<String> {
    match value {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ if value.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

fn subdomain_pattern() -> String {
    pattern(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
         and end with an alphanumeric character",
        DNS1123_SUBDOMAIN_FMT,
        &["example.com"],
    )
}

/// The server counts bytes everywhere; the words differ between its older and newer validators.
fn max_characters(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn max_bytes(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

/// The message of a value that does not match a pattern, with examples that do.
fn pattern(message: &str, format: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{format}')");
    }
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{message} (e.g. {}regex used for validation is '{format}')", examples.join(" or "))
}

#[cfg(test)]
mod tests;
