//! Users of client certificates.

use kuorum_auth::authn::CREDENTIAL_ID;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::User;

/// The attribute of a subject that has the user's UID: 1.3.6.1.4.1.57683.2, Kubernetes' own.
const UID_OID: &str = "1.3.6.1.4.1.57683.2";

/// What a certificate says, whoever signed it.
pub struct Subject {
    /// The last common name; empty if there is none.
    pub common_name: String,
    organizations: Vec<String>,
    uids: Vec<Option<String>>,
    credential_id: String,
    /// Seconds since 1970.
    pub expires: i64,
}

impl Subject {
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|e| e.to_string())?;
        let text =
            |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().ok().map(str::to_owned);
        let subject = parsed.subject();
        let uids = subject.iter_attributes().filter(|a| a.attr_type().to_id_string() == UID_OID).map(text);
        let digest = Sha256::digest(certificate.as_ref());
        Ok(Subject {
            common_name: subject.iter_common_name().filter_map(text).last().unwrap_or_default(),
            organizations: subject.iter_organization().filter_map(text).collect(),
            uids: uids.collect(),
            credential_id: digest.iter().fold("X509SHA256=".to_owned(), |mut id, byte| {
                use std::fmt::Write;
                // Writing to a string cannot fail.
                let _ = write!(id, "{byte:02x}");
                id
            }),
            expires: parsed.validity().not_after.timestamp(),
        })
    }

    /// CN is the name, O are the groups. `Ok(None)`: no CN.
    pub fn user(self) -> Result<Option<User>, String> {
        if self.common_name.is_empty() {
            return Ok(None);
        }
        let uid = match self.uids.as_slice() {
            [] => String::new(),
            [Some(uid)] if !uid.is_empty() => uid.clone(),
            [Some(_)] => return Err("UID cannot be an empty string".to_owned()),
            [None] => return Err("unable to parse UID into a string".to_owned()),
            many => return Err(format!("expected 1 UID, but found multiple: {}", many.len())),
        };
        let extra = [(CREDENTIAL_ID.to_owned(), vec![self.credential_id])].into();
        Ok(Some(User { name: self.common_name, uid, groups: self.organizations, extra }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn certificate(attributes: &[(DnType, &str)]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn uid() -> DnType {
        DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 57683, 2])
    }

    #[test]
    fn name_groups_uid_and_fingerprint_are_read() {
        let der = certificate(&[(DnType::CommonName, "alice"), (DnType::OrganizationName, "dev"), (uid(), "u1")]);
        let subject = Subject::of(&der).unwrap();
        assert!(subject.expires > 0);
        let user = subject.user().unwrap().unwrap();
        assert_eq!(
            (user.name.as_str(), user.uid.as_str(), user.groups.as_slice()),
            ("alice", "u1", &["dev".to_owned()][..])
        );
        let id = &user.extra[CREDENTIAL_ID][0];
        assert_eq!(id.len(), "X509SHA256=".len() + 64);
        assert!(id.starts_with("X509SHA256="));
    }

    #[test]
    fn a_certificate_without_a_name_is_nobodys() {
        assert!(Subject::of(&certificate(&[(DnType::OrganizationName, "dev")])).unwrap().user().unwrap().is_none());
        assert!(Subject::of(&certificate(&[(DnType::CommonName, "a"), (uid(), "")])).unwrap().user().is_err());
    }
}
