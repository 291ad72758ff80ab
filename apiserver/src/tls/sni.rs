//! Certificates by the name that a client asks for (`--tls-sni-cert-key`).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// One pair, and the names it is for; none: those in the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Names, or `*.domain`.
    pub names: Vec<String>,
}

impl Spec {
    /// `cert,key`, or `cert,key:name,name`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (files, names) = match text.split_once(':') {
            Some((files, names)) => (files, names.split(',').map(|name| name.trim().to_lowercase()).collect()),
            None => (text, Vec::new()),
        };
        let files: Vec<&str> = files.split(',').map(str::trim).filter(|file| !file.is_empty()).collect();
        let [cert, key] = files[..] else {
            return Err("expected comma separated certificate and key file paths".to_owned());
        };
        if names.iter().any(|name: &String| name.is_empty()) {
            return Err("empty name in domain patterns".to_owned());
        }
        Ok(Spec { cert: cert.into(), key: key.into(), names })
    }
}

/// Certificates by name.
#[derive(Debug, Default)]
pub struct ByName(HashMap<String, Arc<CertifiedKey>>);

impl ByName {
    /// Earlier pairs win over later ones, names that are given over names that a certificate has.
    pub fn new(pairs: &[(Spec, Arc<CertifiedKey>)]) -> Self {
        let mut names = HashMap::new();
        for (_, key) in pairs.iter().rev().filter(|(spec, _)| spec.names.is_empty()) {
            names_of(key).into_iter().for_each(|name| drop(names.insert(name, key.clone())));
        }
        for (spec, key) in pairs.iter().rev() {
            spec.names.iter().for_each(|name| drop(names.insert(name.clone(), key.clone())));
        }
        ByName(names)
    }

    /// The certificate for a name: its own, or that of its domain's wildcard.
    pub fn get(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        if self.0.is_empty() {
            return None;
        }
        let name = name.trim_end_matches('.').to_lowercase();
        self.0.get(&name).or_else(|| {
            let (_, domain) = name.split_once('.')?;
            self.0.get(&format!("*.{domain}"))
        })
    }
}

/// The names that a certificate is valid for; its common name where it has no others.
fn names_of(key: &CertifiedKey) -> Vec<String> {
    let Some((_, cert)) = key.cert.first().and_then(|der| X509Certificate::from_der(der).ok()) else {
        return Vec::new();
    };
    let alternative = cert.subject_alternative_name().ok().flatten();
    let names: Vec<String> = alternative
        .iter()
        .flat_map(|san| &san.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_lowercase()),
            _ => None,
        })
        .collect();
    if !names.is_empty() {
        return names;
    }
    cert.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read() {
        let plain = Spec::parse("foo.crt,foo.key").unwrap();
        assert_eq!((plain.cert, plain.key, plain.names.len()), ("foo.crt".into(), "foo.key".into(), 0));
        let named = Spec::parse("foo.crt, foo.key:*.Foo.com,foo.com").unwrap();
        assert_eq!(named.names, ["*.foo.com", "foo.com"]);
        for bad in ["", "foo.crt", "a,b,c", "a,b:", "a,b:x,,y"] {
            assert!(Spec::parse(bad).is_err(), "{bad}");
        }
    }
}
