//! How a webhook is reached: a URL, or a Service. Custom resources' conversion has the same rules.

use kuorum_schema::names;
use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::rules::{invalid_each, required};
use crate::value::{get, int, text};

const FORM: &str = "; desired format: https://host[/path]";

/// Complaints about the client configuration at `path`.
pub fn validate(client: &Value, path: &Path, errors: &mut Errors) {
    match (get(client, "url").as_str(), get(client, "service")) {
        (Some(url), Value::Null) => validate_url(url, path.child("url"), errors),
        (None, service @ Value::Object(_)) => validate_service(service, &path.child("service"), errors),
        _ => errors.push(FieldError::required(path, "exactly one of url or service is required")),
    }
}

fn validate_url(url: &str, path: Path, errors: &mut Errors) {
    if url.bytes().any(|b| b.is_ascii_control() || b == b' ') {
        let why = format!("parse {url:?}: net/url: invalid control character in URL");
        errors.push(FieldError::required(path, &format!("url must be a valid URL: {why}{FORM}")));
        return;
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if !scheme.contains('/') => (scheme, rest),
        _ => ("", rest),
    };
    let authority = rest.strip_prefix("//").map_or("", |rest| rest.split('/').next().unwrap_or(""));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let mut complain = |value: &str, detail: &str| errors.push(FieldError::invalid(path, &value.into(), detail));
    if !scheme.eq_ignore_ascii_case("https") {
        complain(scheme, &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        complain(host, &format!("host must be specified{FORM}"));
    }
    if let Some(user) = user {
        complain(user, "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        complain(fragment, "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        complain(query, "query parameters are not permitted in the URL");
    }
}

fn validate_service(service: &Value, path: &Path, errors: &mut Errors) {
    required(service, "name", path, errors);
    required(service, "namespace", path, errors);
    let port = int(service, "port").unwrap_or(443);
    let complaints = names::port_number(port);
    if !complaints.is_empty() {
        let detail = format!("port is not valid: {}", complaints.join(","));
        errors.push(FieldError::invalid(path.child("port"), &port.into(), &detail));
    }
    url_path(text(service, "path"), path.child("path"), errors);
}

fn url_path(url: &str, path: Path, errors: &mut Errors) {
    if matches!(url, "" | "/") {
        return;
    }
    let mut complain = |detail: &str| errors.push(FieldError::invalid(path, &url.into(), detail));
    if url == "//" {
        return complain("segment[0] may not be empty");
    }
    if !url.starts_with('/') {
        complain("must start with a '/'");
    }
    // kube-apiserver leaves out the first character, whatever it is.
    let first = url.chars().next().map_or(0, char::len_utf8);
    let steps = url[first..].strip_suffix('/').unwrap_or(&url[first..]);
    for (i, step) in steps.split('/').enumerate() {
        if step.is_empty() {
            complain(&format!("segment[{i}] may not be empty"));
            continue;
        }
        for failure in names::dns1123_subdomain(step) {
            complain(&format!("segment[{i}]: {failure}"));
        }
    }
}

const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// Complaints about the versions of the review that a webhook understands.
pub fn validate_review_versions(versions: &Value, path: &Path, errors: &mut Errors) {
    let list = versions.as_array().map_or(&[] as &[Value], Vec::as_slice);
    if list.is_empty() {
        let detail = format!("must specify one of {}", REVIEW_VERSIONS.join(", "));
        errors.push(FieldError::required(path, &detail));
        return;
    }
    for (i, version) in list.iter().enumerate() {
        let shown = version.as_str().unwrap_or("");
        if list[..i].contains(version) {
            errors.push(FieldError::invalid(path.index(i), version, "duplicate version"));
        } else {
            invalid_each(path.index(i), shown, names::dns1035_label(shown), errors);
        }
    }
    if !list.iter().any(|version| REVIEW_VERSIONS.contains(&version.as_str().unwrap_or(""))) {
        let detail = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        errors.push(FieldError::invalid(path, versions, &detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn clients() {
        for (client, fields) in [
            (json!({"url": "https://h/x"}), vec![]),
            (json!({"url": "https://h:1"}), vec![]),
            (json!({"url": "h"}), vec!["c.url", "c.url"]),
            (json!({"url": "https://"}), vec!["c.url"]),
            (json!({"url": "https://u@h/?q#f"}), vec!["c.url", "c.url", "c.url"]),
            (json!({"url": "https://h\u{7f}"}), vec!["c.url"]),
            (json!({}), vec!["c"]),
            (json!({"service": {"name": "s", "namespace": "n", "path": "/a/b/"}}), vec![]),
            (
                json!({"service": {"name": "s", "namespace": "n", "path": "é"}}),
                vec!["c.service.path", "c.service.path"],
            ),
            (json!({"service": {"name": "s", "namespace": "n", "path": "//"}}), vec!["c.service.path"]),
        ] {
            let mut errors = Errors::new();
            validate(&client, &Path::new("c"), &mut errors);
            assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), fields, "{client}");
        }
    }
}
