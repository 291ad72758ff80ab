//! What is wrong with a request for a certificate: its own form, who is to sign it, and which decisions may be taken
//! back (none).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{pem, signers};
use crate::field::{Errors, FieldError};
use crate::hooks::Context;
use crate::path::Path;
use crate::value::{get, int, is_set, items, remove, text};

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// A signer of v1beta1 days, for requests that named none.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
/// Shortest life of a certificate, in seconds.
const SECONDS_MIN: i64 = 600;
/// Conditions that are decisions: true, and final.
const DECISIONS: [&str; 3] = ["Approved", "Denied", "Failed"];

pub fn create(csr: &Value, _: &Context) -> Errors {
    let mut errors = Errors::new();
    let spec = get(csr, "spec");
    let path = Path::new("spec");
    if let Err(detail) = request(text(spec, "request")) {
        errors.push(FieldError::invalid(path.child("request"), &text(spec, "request").into(), detail));
    }
    usages(spec, &path.child("usages"), &mut errors);
    let signer = text(spec, "signerName");
    if signer == LEGACY_SIGNER {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.push(FieldError::invalid(path.child("signerName"), &signer.into(), detail));
    } else {
        signers::name(signer, path.child("signerName"), &mut errors);
    }
    if let Some(seconds) = int(spec, "expirationSeconds").filter(|seconds| *seconds < SECONDS_MIN) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid(path.child("expirationSeconds"), &seconds.into(), detail));
    }
    conditions(csr, &mut errors);
    if let Err(detail) = certificate(text(csr, "status.certificate")) {
        errors.push(FieldError::invalid("status.certificate", &"<certificate data>".into(), &detail));
    }
    errors
}

fn decoded(base64: &str) -> String {
    STANDARD.decode(base64).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn request(encoded: &str) -> Result<(), &'static str> {
    match pem::blocks(&decoded(encoded)).first() {
        Some(block) if block.label == "CERTIFICATE REQUEST" => match pem::is_signed(&block.bytes) {
            true => Ok(()),
            false => Err("asn1: structure error: not a PKCS #10 certificate request"),
        },
        _ => Err("PEM block type must be CERTIFICATE REQUEST"),
    }
}

/// An issued certificate is a chain of PEM blocks; none at all is fine.
fn certificate(encoded: &str) -> Result<(), String> {
    if encoded.is_empty() {
        return Ok(());
    }
    let blocks = pem::blocks(&decoded(encoded));
    for block in &blocks {
        if block.label != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {:?}", block.label));
        }
        if block.headers {
            return Err("no PEM block headers are permitted".to_owned());
        }
        if block.bytes.is_empty() {
            return Err("found CERTIFICATE PEM block containing 0 certificates".to_owned());
        }
        if !pem::is_signed(&block.bytes) {
            return Err("x509: malformed certificate".to_owned());
        }
    }
    if blocks.is_empty() { Err("must contain at least one CERTIFICATE PEM block".to_owned()) } else { Ok(()) }
}

fn usages(spec: &Value, path: &Path, errors: &mut Errors) {
    let usages = items(spec, "usages");
    if usages.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    for (i, usage) in usages.iter().enumerate() {
        if !USAGES.contains(&usage.as_str().unwrap_or("")) {
            errors.push(FieldError::not_supported(path.index(i), usage, &USAGES));
        }
    }
    for (i, usage) in usages.iter().enumerate().filter(|(i, usage)| usages[..*i].contains(usage)) {
        errors.push(FieldError::duplicate(path.index(i), usage));
    }
}

fn conditions(csr: &Value, errors: &mut Errors) {
    let list = Path::new("status.conditions");
    let conditions = items(csr, "status.conditions");
    for (i, condition) in conditions.iter().enumerate() {
        let path = list.index(i);
        let (kind, status) = (text(condition, "type"), text(condition, "status"));
        if kind.is_empty() {
            errors.push(FieldError::required(path.child("type"), ""));
        }
        let allowed: &[&str] = if DECISIONS.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
        if status.is_empty() {
            errors.push(FieldError::required(path.child("status"), ""));
        } else if !allowed.contains(&status) {
            errors.push(FieldError::not_supported(path.child("status"), &status.into(), allowed));
        }
        let earlier = |other: &str| conditions[..i].iter().any(|c| text(c, "type") == other);
        if (kind == "Approved" && earlier("Denied")) || (kind == "Denied" && earlier("Approved")) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid(list, &kind.into(), detail));
        }
        if earlier(kind) {
            errors.push(FieldError::duplicate(path.child("type"), &kind.into()));
        }
    }
}

pub fn update(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = create(new, context);
    let of_kind = |csr: &Value, kind: &str| -> Vec<Value> {
        let bare = |condition: &Value| {
            let mut condition = condition.clone();
            for stamp in ["lastTransitionTime", "lastUpdateTime"] {
                remove(&mut condition, stamp);
            }
            condition
        };
        items(csr, "status.conditions").iter().filter(|c| text(c, "type") == kind).map(bare).collect()
    };
    for kind in DECISIONS {
        let (after, before) = (of_kind(new, kind), of_kind(old, kind));
        let may_add = kind == "Failed" || context.subresource == "approval";
        let verb = match after.len().cmp(&before.len()) {
            std::cmp::Ordering::Less => "remove",
            std::cmp::Ordering::Greater if !may_add => "add",
            std::cmp::Ordering::Equal if after != before => "modify",
            _ => continue,
        };
        let detail = format!("updates may not {verb} a condition of type {kind:?}");
        errors.push(FieldError::forbidden("status.conditions", &detail));
    }
    if text(new, "status.certificate") != text(old, "status.certificate") {
        let detail = match context.subresource {
            "status" if is_set(old, "status.certificate") => "updates may not modify existing certificate content",
            "status" => return errors,
            _ => "updates may not set certificate content",
        };
        errors.push(FieldError::forbidden("status.certificate", detail));
    }
    errors
}
