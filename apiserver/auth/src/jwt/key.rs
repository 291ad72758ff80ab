//! Public keys: from PEM, from JWK, as JWK; verification.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p521::ecdsa::signature::Verifier;
use ring::signature::{self as sig, RsaPublicKeyComponents, UnparsedPublicKey};
use rustls_pki_types::pem::{PemObject, SectionKind};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use super::der;
use super::sign::SigningKey;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("data does not contain any valid RSA or ECDSA public keys")]
    None,
    #[error("not a PEM file: {0}")]
    Pem(String),
    #[error("{0}")]
    Unusable(String),
}

/// Why a signature is refused. The texts are those that users of Go's libraries know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("go-jose/go-jose: error in cryptographic primitive")]
    Signature,
    #[error("go-jose/go-jose: unknown/unsupported algorithm")]
    Algorithm,
}

/// A public key with its id.
#[derive(Clone)]
pub struct PublicKey {
    id: String,
    material: Material,
}

#[derive(Clone)]
enum Material {
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point.
    Ec { curve: Curve, point: Vec<u8> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(super) fn from_oid(oid: &[u8]) -> Option<Self> {
        match oid {
            der::OID_P256 => Some(Curve::P256),
            der::OID_P384 => Some(Curve::P384),
            der::OID_P521 => Some(Curve::P521),
            _ => None,
        }
    }

    fn oid(self) -> &'static [u8] {
        match self {
            Curve::P256 => der::OID_P256,
            Curve::P384 => der::OID_P384,
            Curve::P521 => der::OID_P521,
        }
    }

    pub(super) fn algorithm(self) -> &'static str {
        match self {
            Curve::P256 => "ES256",
            Curve::P384 => "ES384",
            Curve::P521 => "ES512",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Curve::P256 => "P-256",
            Curve::P384 => "P-384",
            Curve::P521 => "P-521",
        }
    }

    /// Bytes of a coordinate.
    fn bytes(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }
}

/// Bits of the RSA keys that are verified with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

impl PublicKey {
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let trim = |b: &[u8]| b.iter().copied().skip_while(|b| *b == 0).collect::<Vec<u8>>();
        let (n, e) = (trim(n), trim(e));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            let (low, high) = (RSA_BITS.start(), RSA_BITS.end());
            return Err(KeyError::Unusable(format!("RSA key has {bits} bits, {low} to {high} are needed")));
        }
        Ok(Self::with_id(Material::Rsa { n, e }))
    }

    pub(super) fn ec(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        if point.first() != Some(&4) || point.len() != 1 + 2 * curve.bytes() {
            return Err(KeyError::Unusable(format!("not an uncompressed point of {}", curve.name())));
        }
        Ok(Self::with_id(Material::Ec { curve, point: point.to_vec() }))
    }

    /// The id is derived from the key, one way, as kube-apiserver does: the SHA-256 of its DER.
    fn with_id(material: Material) -> Self {
        let info = match &material {
            Material::Rsa { n, e } => {
                let key = der::value(der::SEQUENCE, &[der::unsigned(n), der::unsigned(e)].concat());
                der::public_key_info(der::OID_RSA, &[5, 0], &key)
            }
            Material::Ec { curve, point } => {
                der::public_key_info(der::OID_EC, &der::value(der::OID, curve.oid()), point)
            }
        };
        let id = super::base64url(ring::digest::digest(&ring::digest::SHA256, &info).as_ref());
        PublicKey { id, material }
    }

    /// From a DER SubjectPublicKeyInfo.
    fn from_spki(info: &SubjectPublicKeyInfo<'_>) -> Result<Self, KeyError> {
        use x509_parser::public_key::PublicKey as Parsed;
        let unusable = |why: &str| KeyError::Unusable(why.to_owned());
        match info.parsed().map_err(|e| KeyError::Unusable(e.to_string()))? {
            Parsed::RSA(rsa) => Self::rsa(rsa.modulus, rsa.exponent),
            Parsed::EC(point) => {
                let oid = info.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
                let curve = oid.and_then(|oid| Curve::from_oid(oid.as_bytes()));
                Self::ec(curve.ok_or_else(|| unusable("unknown curve, must be P-256, P-384 or P-521"))?, point.data())
            }
            _ => Err(unusable("neither an RSA nor an ECDSA key")),
        }
    }

    /// From a JSON web key. `Ok(None)`: a key for something else than signatures of the kinds known here.
    pub fn from_jwk(jwk: &Value) -> Result<Option<Self>, KeyError> {
        if jwk["use"].as_str().is_some_and(|u| u != "sig") {
            return Ok(None);
        }
        let part = |name: &str| {
            let text = jwk[name].as_str().ok_or_else(|| KeyError::Unusable(format!("JWK has no {name:?}")))?;
            let text = text.trim_end_matches('=');
            URL_SAFE_NO_PAD.decode(text).map_err(|e| KeyError::Unusable(format!("JWK {name:?}: {e}")))
        };
        let mut key = match jwk["kty"].as_str() {
            Some("RSA") => Self::rsa(&part("n")?, &part("e")?)?,
            Some("EC") => {
                let curve = match jwk["crv"].as_str() {
                    Some("P-256") => Curve::P256,
                    Some("P-384") => Curve::P384,
                    Some("P-521") => Curve::P521,
                    _ => return Ok(None),
                };
                let mut point = vec![4];
                for coordinate in [part("x")?, part("y")?] {
                    let missing = curve.bytes().saturating_sub(coordinate.len());
                    point.extend(std::iter::repeat_n(0, missing));
                    point.extend(coordinate);
                }
                Self::ec(curve, &point)?
            }
            _ => return Ok(None),
        };
        if let Some(id) = jwk["kid"].as_str() {
            key.id = id.to_owned();
        }
        Ok(Some(key))
    }

    /// As a JSON web key.
    pub fn jwk(&self) -> Value {
        let text = super::base64url;
        match &self.material {
            Material::Rsa { n, e } => {
                json!({"use": "sig", "kty": "RSA", "kid": self.id, "alg": "RS256", "n": text(n), "e": text(e)})
            }
            Material::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.bytes());
                json!({
                    "use": "sig", "kty": "EC", "kid": self.id, "crv": curve.name(), "alg": curve.algorithm(),
                    "x": text(x), "y": text(y),
                })
            }
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The algorithm of signatures that kube-apiserver makes with such a key.
    pub fn algorithm(&self) -> &'static str {
        match &self.material {
            Material::Rsa { .. } => "RS256",
            Material::Ec { curve, .. } => curve.algorithm(),
        }
    }

    pub(super) fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        let outcome = match &self.material {
            Material::Rsa { n, e } => {
                let parameters = match algorithm {
                    "RS256" => &sig::RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &sig::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &sig::RSA_PKCS1_2048_8192_SHA512,
                    "PS256" => &sig::RSA_PSS_2048_8192_SHA256,
                    "PS384" => &sig::RSA_PSS_2048_8192_SHA384,
                    "PS512" => &sig::RSA_PSS_2048_8192_SHA512,
                    _ => return Err(VerifyError::Algorithm),
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).ok()
            }
            Material::Ec { curve, .. } if curve.algorithm() != algorithm => return Err(VerifyError::Algorithm),
            Material::Ec { curve: Curve::P256, point } => {
                UnparsedPublicKey::new(&sig::ECDSA_P256_SHA256_FIXED, point).verify(message, signature).ok()
            }
            Material::Ec { curve: Curve::P384, point } => {
                UnparsedPublicKey::new(&sig::ECDSA_P384_SHA384_FIXED, point).verify(message, signature).ok()
            }
            Material::Ec { curve: Curve::P521, point } => verify_p521(point, message, signature),
        };
        outcome.ok_or(VerifyError::Signature)
    }
}

/// `ring` has no P-521.
fn verify_p521(point: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
    let signature = p521::ecdsa::Signature::from_slice(signature).ok()?;
    key.verify(message, &signature).ok()
}

/// Every public key in a PEM file: public keys, certificates, and the public halves of private keys.
pub fn keys_in_pem(pem: &[u8]) -> Result<Vec<PublicKey>, KeyError> {
    let mut keys = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let (kind, der) = section.map_err(|e| KeyError::Pem(e.to_string()))?;
        let malformed = |e: x509_parser::nom::Err<x509_parser::error::X509Error>| KeyError::Unusable(e.to_string());
        match kind {
            SectionKind::PublicKey => {
                keys.push(PublicKey::from_spki(&SubjectPublicKeyInfo::from_der(&der).map_err(malformed)?.1)?);
            }
            SectionKind::Certificate => {
                let certificate = X509Certificate::from_der(&der).map_err(malformed)?.1;
                keys.push(PublicKey::from_spki(certificate.public_key())?);
            }
            SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey | SectionKind::PrivateKey => {
                keys.push(SigningKey::from_der(kind, &der)?.public().clone());
            }
            _ => {}
        }
    }
    if keys.is_empty() { Err(KeyError::None) } else { Ok(keys) }
}
