//! CertificateSubjectRestriction: nobody asks the signer of client certificates for one of system:masters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kuorum_kinds::value as json;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::{Attributes, Plugin, Verdict, refuse};
use crate::auth::MASTERS;

pub struct CertificateSubjectRestriction;

const SIGNER: &str = "kubernetes.io/kube-apiserver-client";

impl Plugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.creates("certificates.k8s.io", "CertificateSigningRequest") {
            return None;
        }
        let csr = object.filter(|csr| json::text(csr, "spec.signerName") == SIGNER)?;
        check(json::text(csr, "spec.request")).err().map(|why| refuse(attributes.refusal(csr, why)))
    }
}

/// Looks at the organizations of a request, which is PEM in base64.
fn check(request: &str) -> Result<(), String> {
    let organizations = organizations(request).map_err(|why| format!("failed to parse CSR: {why}"))?;
    match organizations.iter().any(|o| o == MASTERS) {
        true => Err(format!("use of {SIGNER} signer with {MASTERS} group is not allowed")),
        false => Ok(()),
    }
}

fn organizations(request: &str) -> Result<Vec<String>, String> {
    let pem = STANDARD.decode(request).map_err(|e| e.to_string())?;
    let der = CertificateSigningRequestDer::from_pem_slice(&pem)
        .map_err(|_| "PEM block type must be CERTIFICATE REQUEST".to_owned())?;
    let (_, parsed) = X509CertificationRequest::from_der(&der).map_err(|e| e.to_string())?;
    let subject = &parsed.certification_request_info.subject;
    // What cannot be read is refused: the signer might read it.
    subject.iter_organization().map(|o| o.as_str().map(str::to_owned).map_err(|e| e.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn request(organizations: &[&str]) -> String {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for organization in organizations {
            params.distinguished_name.push(DnType::OrganizationName, *organization);
        }
        params.distinguished_name.push(DnType::CommonName, "alice");
        STANDARD.encode(params.serialize_request(&key).unwrap().pem().unwrap())
    }

    #[test]
    fn system_masters_is_refused() {
        assert_eq!(check(&request(&[])), Ok(()));
        assert_eq!(check(&request(&["dev"])), Ok(()));
        let why = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
        assert_eq!(check(&request(&["system:masters"])), Err(why.to_owned()));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let other = STANDARD.encode("-----BEGIN X-----\neA==\n-----END X-----\n");
        let broken = STANDARD.encode("-----BEGIN CERTIFICATE REQUEST-----\neA==\n-----END CERTIFICATE REQUEST-----\n");
        for text in ["%", "", &other, &broken] {
            assert!(check(text).unwrap_err().starts_with("failed to parse CSR: "), "{text}");
        }
    }
}
