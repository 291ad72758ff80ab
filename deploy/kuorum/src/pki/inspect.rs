//! Reads back what a certificate says, to renew it with the same subject, names and use, and to tell when it ends.

use anyhow::{Context, Result, bail};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::net::IpAddr;
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::{Leaf, Usage};

/// A certificate's contents, as far as kuorum makes use of them.
#[derive(Debug)]
pub struct Inspected {
    /// What would have to be asked for to get the same certificate again.
    pub leaf: Leaf,
    /// Its authority's common name.
    pub issuer: String,
    /// The first moment at which it is no longer valid.
    pub not_after: OffsetDateTime,
}

/// Reads the first certificate of a PEM text.
pub fn inspect(pem: &str) -> Result<Inspected> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).context("no certificate in PEM format")?;
    let (_, cert) = X509Certificate::from_der(&der).context("not an X.509 certificate")?;
    let Some(common_name) = first_text(cert.subject().iter_common_name()) else {
        bail!("the certificate has no common name");
    };
    let mut hosts = Vec::new();
    if let Some(names) = cert.subject_alternative_name().context("subject alternative names")? {
        for name in &names.value.general_names {
            match name {
                GeneralName::DNSName(name) => hosts.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => hosts.push(address(bytes)?.to_string()),
                _ => {}
            }
        }
    }
    let usage = match cert.extended_key_usage().context("extended key usage")? {
        Some(usage) if usage.value.server_auth && usage.value.client_auth => Usage::Both,
        Some(usage) if usage.value.server_auth => Usage::Server,
        _ => Usage::Client,
    };
    Ok(Inspected {
        leaf: Leaf { common_name, organization: first_text(cert.subject().iter_organization()), hosts, usage },
        issuer: first_text(cert.issuer().iter_common_name()).unwrap_or_default(),
        not_after: cert.validity().not_after.to_datetime(),
    })
}

fn first_text<'a>(
    mut attributes: impl Iterator<Item = &'a x509_parser::x509::AttributeTypeAndValue<'a>>,
) -> Option<String> {
    attributes.next().and_then(|attribute| attribute.as_str().ok()).map(str::to_owned)
}

fn address(bytes: &[u8]) -> Result<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::from(v4));
    }
    if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
        return Ok(IpAddr::from(v6));
    }
    bail!("an address of {} bytes among the certificate's names", bytes.len())
}
