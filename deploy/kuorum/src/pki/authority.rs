//! A certificate authority and what it issues: ECDSA P-256 keys, X.509 certificates. No files here.

use std::time::SystemTime;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use time::{Duration, OffsetDateTime};

/// How far back `notBefore` is set, so that a peer whose clock is a little behind accepts a new certificate.
const CLOCK_SKEW: Duration = Duration::minutes(5);

/// What a certificate may be used for on a TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Presented by the side that listens.
    Server,
    /// Presented by the side that connects.
    Client,
    /// Both: a store member listens to, and connects to, its peers.
    Both,
}

/// What a leaf certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The user of a client, the member of a store peer.
    pub common_name: String,
    /// The group of a client, the role on a store connection.
    pub organization: Option<String>,
    /// DNS names and IP addresses that a server may be reached under.
    pub hosts: Vec<String>,
    /// Extended key usage.
    pub usage: Usage,
}

/// A certificate with its private key, both PEM.
#[derive(Clone)]
pub struct Issued {
    /// `CERTIFICATE`.
    pub cert_pem: String,
    /// `PRIVATE KEY` (PKCS #8).
    pub key_pem: String,
}

/// A CA that can sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a self-signed authority that is valid for `days`.
    pub fn create(common_name: &str, days: u32) -> Result<Issued> {
        let key = new_key()?;
        let mut params = params_for(common_name, None, &[], days)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = params.self_signed(&key).context("sign the authority's certificate")?;
        Ok(Issued { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }

    /// Takes up an authority from its PEM files; of a bundle, the first certificate is the one that signs.
    pub fn load(cert_pem: &str, key_pem: &str) -> Result<Self> {
        let key = KeyPair::from_pem(key_pem).context("read the authority's key")?;
        let issuer = Issuer::from_ca_cert_pem(cert_pem, key).context("read the authority's certificate")?;
        Ok(Self { issuer })
    }

    /// Issues a certificate on a new key, valid for `days`.
    pub fn issue(&self, leaf: &Leaf, days: u32) -> Result<Issued> {
        let key = new_key()?;
        let mut params = params_for(&leaf.common_name, leaf.organization.as_deref(), &leaf.hosts, days)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match leaf.usage {
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        let cert = params.signed_by(&key, &self.issuer).with_context(|| format!("sign {:?}", leaf.common_name))?;
        Ok(Issued { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }
}

/// Bits of the key that signs tokens: what kubeadm makes, and what every verifier of tokens takes.
const TOKEN_KEY_BITS: usize = 2048;

/// A key pair that signs tokens: private and public PEM. RSA, because some who verify tokens know nothing else.
pub fn key_pair() -> Result<(String, String)> {
    let key = rsa::PrivateKey::new(&mut rand::rng(), TOKEN_KEY_BITS).context("make an RSA key")?;
    let private = key.to_pkcs8_pem(LineEnding::LF).context("encode an RSA key")?;
    let public = key.to_public_key().to_public_key_pem(LineEnding::LF).context("encode an RSA key")?;
    Ok((private.to_string(), public))
}

fn new_key() -> Result<KeyPair> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("make a P-256 key")
}

fn params_for(common_name: &str, organization: Option<&str>, hosts: &[String], days: u32) -> Result<CertificateParams> {
    let mut params =
        CertificateParams::new(hosts.to_vec()).with_context(|| format!("a name in {hosts:?} is not a host"))?;
    let mut subject = DistinguishedName::new();
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    subject.push(DnType::CommonName, common_name);
    params.distinguished_name = subject;
    let now = OffsetDateTime::from(SystemTime::now());
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + Duration::days(i64::from(days));
    Ok(params)
}
