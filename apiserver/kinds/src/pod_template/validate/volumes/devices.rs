//! Volumes on block devices and in file systems of old.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::rules::{optional_one_of, required};
use crate::value::{entries, flag, get, int, is_set, text};

/// The complaint about an initiator's interface, which is named `<volume>:<portal>`.
pub const INITIATOR_TOO_LONG: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";

/// Whether an initiator's interface would get too long a name.
pub fn initiator_too_long(source: &Value, volume: &str) -> bool {
    get(source, "initiatorName").is_string() && volume.len() + 1 + text(source, "targetPortal").len() > 64
}

pub fn iscsi(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, "targetPortal", path, errors);
    let iqn = text(source, "iqn");
    if iqn.is_empty() {
        errors.push(FieldError::required(path.child("iqn"), ""));
    } else {
        initiator(iqn, path.child("iqn"), errors);
    }
    let lun = int(source, "lun").unwrap_or(0);
    if !(0..=255).contains(&lun) {
        errors.push(FieldError::invalid(path.child("lun"), &lun.into(), "must be between 0 and 255, inclusive"));
    }
    if (flag(source, "chapAuthDiscovery") || flag(source, "chapAuthSession")) && !get(source, "secretRef").is_object() {
        errors.push(FieldError::required(path.child("secretRef"), ""));
    }
    if let Some(name) = get(source, "initiatorName").as_str() {
        initiator(name, path.child("initiatorname"), errors);
    }
}

/// The qualified name of an iSCSI target or initiator, in one of three notations.
fn initiator(name: &str, path: Path, errors: &mut Errors) {
    let detail = match name.get(..3) {
        Some("iqn") if is_iqn(name) => return,
        Some("eui") if is_numbered(name, 16) => return,
        Some("naa") if is_numbered(name, 32) => return,
        Some("iqn" | "eui" | "naa") => "must be valid format",
        _ => "must be valid format starting with iqn, eui, or naa",
    };
    errors.push(FieldError::invalid(path, &name.into(), detail));
}

/// `iqn.2001-04.com.example:storage.disk2`
fn is_iqn(name: &str) -> bool {
    let Some((date, rest)) = name.strip_prefix("iqn.").and_then(|rest| rest.split_at_checked(7)) else { return false };
    let dated = date.bytes().enumerate().all(|(i, b)| if i == 4 { b == b'-' } else { b.is_ascii_digit() });
    let Some((authority, unit)) = rest.strip_prefix('.').and_then(|rest| rest.split_once(':')) else { return false };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let special = |c: char| matches!(c, ',' | ';' | '*' | '&' | '$' | '|') || c.is_ascii_whitespace();
    dated && !authority.is_empty() && authority.bytes().all(plain) && !unit.is_empty() && !unit.contains(special)
}

/// `eui.02004567A425678D`: a prefix, any character, and so many letters and digits.
fn is_numbered(name: &str, digits: usize) -> bool {
    name.get(4..).is_some_and(|rest| rest.len() == digits && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

pub fn flocker(source: &Value, path: &Path, errors: &mut Errors) {
    let (name, id) = (text(source, "datasetName"), text(source, "datasetUUID"));
    if name.is_empty() && id.is_empty() {
        errors.push(FieldError::required(path, "one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !id.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(FieldError::invalid(path, &"resource".into(), detail));
    }
    if name.contains('/') {
        errors.push(FieldError::invalid(path.child("datasetName"), &name.into(), "must not contain '/'"));
    }
}

pub fn quobyte(source: &Value, path: &Path, errors: &mut Errors) {
    let registry = text(source, "registry");
    if registry.is_empty() {
        let detail = "must be a host:port pair or multiple pairs separated by commas";
        errors.push(FieldError::required(path.child("registry"), detail));
    } else if text(source, "tenant").len() >= 65 {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(FieldError::required(path.child("tenant"), detail));
    } else {
        for _ in registry.split(',').filter(|pair| !is_host_port(pair)) {
            let detail = "must be a host:port pair or multiple pairs separated by commas";
            errors.push(FieldError::invalid(path.child("registry"), &registry.into(), detail));
        }
    }
    required(source, "volume", path, errors);
}

pub fn fibre_channel(source: &Value, path: &Path, errors: &mut Errors) {
    let (targets, ids) = (is_set(source, "targetWWNs"), is_set(source, "wwids"));
    match (targets, ids) {
        (false, false) => {
            let detail = "must specify either targetWWNs or wwids, but not both";
            errors.push(FieldError::required(path.child("targetWWNs"), detail));
        }
        (true, true) => {
            let detail = "targetWWNs and wwids can not be specified simultaneously";
            errors.push(FieldError::invalid(path.child("targetWWNs"), get(source, "targetWWNs"), detail));
        }
        _ => {}
    }
    if targets {
        match int(source, "lun") {
            None => errors.push(FieldError::required(path.child("lun"), "lun is required if targetWWNs is specified")),
            Some(lun) if !(0..=255).contains(&lun) => {
                errors.push(FieldError::invalid(
                    path.child("lun"),
                    &lun.into(),
                    "must be between 0 and 255, inclusive",
                ));
            }
            Some(_) => {}
        }
    }
}

pub fn flex(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, "driver", path, errors);
    for (key, _) in entries(source, "options") {
        let namespace = key.split('/').next().unwrap_or("");
        let normalized = format!(".{}", namespace.to_lowercase());
        if normalized.ends_with(".kubernetes.io") || normalized.ends_with(".k8s.io") {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(FieldError::invalid(path.child("options").key(key), &key.into(), detail));
        }
    }
}

pub fn azure_disk(source: &Value, path: &Path, errors: &mut Errors) {
    required(source, "diskName", path, errors);
    required(source, "diskURI", path, errors);
    optional_one_of(source, "cachingMode", &["None", "ReadOnly", "ReadWrite"], path, errors);
    let known = ["Dedicated", "Managed", "Shared"];
    optional_one_of(source, "kind", &known, path, errors);
    let uri = text(source, "diskURI");
    let managed = text(source, "kind") == "Managed";
    if managed && !uri.starts_with("/subscriptions/") {
        let form = ["/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"];
        errors.push(FieldError::not_supported(path.child("diskURI"), &uri.into(), &form));
    }
    if !managed && !uri.starts_with("https://") {
        let form = ["https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"];
        errors.push(FieldError::not_supported(path.child("diskURI"), &uri.into(), &form));
    }
}

/// `host:port`, with an IPv6 host in brackets, as Go splits it.
fn is_host_port(pair: &str) -> bool {
    let Some((host, _)) = pair.rsplit_once(':') else { return false };
    match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|inner| !inner.contains(['[', ']'])),
        None => !host.contains([':', '[', ']']),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initiator_names() {
        for (name, good) in [
            ("iqn.2001-04.com.example:storage:diskarrays-sn-a8675309", true),
            ("iqn.2001-04.com.example", false),
            ("iqn.2001-4.com.example:a", false),
            ("iqn.2001-04.com.example:a b", false),
            ("iqn.2001-04.com_example:a", false),
            ("iqn", false),
            ("eui.0123456789ABCDEF", true),
            ("eui.0123456789ABCDE", false),
            ("naa.62004567BA64678D0123456789ABCDEF", true),
            ("naa.1", false),
            ("x", false),
            ("éé", false),
        ] {
            let mut errors = Errors::new();
            initiator(name, Path::new("iqn"), &mut errors);
            assert_eq!(errors.is_empty(), good, "{name}");
        }
    }

    #[test]
    fn hosts_and_ports() {
        for (pair, good) in
            [("h:1", true), ("[::1]:1", true), ("h", false), ("::1", false), ("[h:1", false), (":", true)]
        {
            assert_eq!(is_host_port(pair), good, "{pair}");
        }
    }
}
