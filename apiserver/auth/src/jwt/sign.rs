//! Private keys: from PEM; signatures.

use p521::ecdsa::signature::RandomizedSigner;
use ring::rand::SystemRandom;
use ring::signature::{self as sig, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaKeyPair};
use rustls_pki_types::pem::{PemObject, SectionKind};
use serde_json::{Value, json};

use super::der;
use super::key::{Curve, KeyError, PublicKey};

/// A private key with its public half.
pub struct SigningKey {
    public: PublicKey,
    material: Material,
    random: SystemRandom,
}

enum Material {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
    P521(Box<p521::ecdsa::SigningKey>),
}

impl SigningKey {
    /// The first private key of a PEM file: RSA (2048 to 4096 bits) or ECDSA (P-256, P-384, P-521), in PKCS#8 or in
    /// the key's own format.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
            let (kind, der) = section.map_err(|e| KeyError::Pem(e.to_string()))?;
            if matches!(kind, SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey | SectionKind::PrivateKey) {
                return Self::from_der(kind, &der);
            }
        }
        Err(KeyError::Unusable("data does not contain a valid RSA or ECDSA private key".to_owned()))
    }

    pub(super) fn from_der(kind: SectionKind, bytes: &[u8]) -> Result<Self, KeyError> {
        match kind {
            SectionKind::RsaPrivateKey => Self::rsa(RsaKeyPair::from_der(bytes)),
            SectionKind::EcPrivateKey => Self::ec(None, bytes),
            SectionKind::PrivateKey => {
                let malformed = || KeyError::Unusable("malformed PKCS#8 private key".to_owned());
                let mut fields = der::Reader::new(der::Reader::new(bytes).expect(der::SEQUENCE).ok_or_else(malformed)?);
                fields.expect(der::INTEGER).ok_or_else(malformed)?;
                let mut algorithm = der::Reader::new(fields.expect(der::SEQUENCE).ok_or_else(malformed)?);
                match algorithm.expect(der::OID).ok_or_else(malformed)? {
                    der::OID_RSA => Self::rsa(RsaKeyPair::from_pkcs8(bytes)),
                    der::OID_EC => {
                        let curve = algorithm.expect(der::OID).and_then(Curve::from_oid);
                        Self::ec(curve, fields.expect(der::OCTET_STRING).ok_or_else(malformed)?)
                    }
                    _ => Err(KeyError::Unusable("neither an RSA nor an ECDSA key".to_owned())),
                }
            }
            _ => Err(KeyError::Unusable("not a private key".to_owned())),
        }
    }

    fn rsa(pair: Result<RsaKeyPair, ring::error::KeyRejected>) -> Result<Self, KeyError> {
        let pair = pair.map_err(|e| KeyError::Unusable(format!("RSA private key: {e}")))?;
        let public = sig::RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
        let public = PublicKey::rsa(&public.n, &public.e)?;
        Ok(SigningKey { public, material: Material::Rsa(Box::new(pair)), random: SystemRandom::new() })
    }

    /// From a SEC 1 key; the curve may be named outside of it.
    fn ec(curve: Option<Curve>, bytes: &[u8]) -> Result<Self, KeyError> {
        let malformed = || KeyError::Unusable("malformed EC private key".to_owned());
        let mut fields = der::Reader::new(der::Reader::new(bytes).expect(der::SEQUENCE).ok_or_else(malformed)?);
        fields.expect(der::INTEGER).ok_or_else(malformed)?;
        let secret = fields.expect(der::OCTET_STRING).ok_or_else(malformed)?;
        let (mut curve, mut point) = (curve, None);
        while let Some((tag, content)) = fields.next() {
            let mut inner = der::Reader::new(content);
            if tag == der::CONTEXT_1 {
                point = inner.expect(der::BIT_STRING).and_then(|bits| bits.strip_prefix(&[0]));
            } else if let Some(oid) = inner.expect(der::OID) {
                curve = curve.or(Curve::from_oid(oid));
            }
        }
        let curve = curve.ok_or_else(|| {
            KeyError::Unusable("unknown curve of an EC private key, must be P-256, P-384 or P-521".to_owned())
        })?;
        let random = SystemRandom::new();
        let algorithm: &'static EcdsaSigningAlgorithm = match curve {
            Curve::P256 => &sig::ECDSA_P256_SHA256_FIXED_SIGNING,
            Curve::P384 => &sig::ECDSA_P384_SHA384_FIXED_SIGNING,
            Curve::P521 => {
                let key = p521::ecdsa::SigningKey::from_slice(secret).map_err(|_| malformed())?;
                let point = key.verifying_key().to_sec1_point(false);
                let public = PublicKey::ec(curve, point.as_bytes())?;
                return Ok(SigningKey { public, material: Material::P521(Box::new(key)), random });
            }
        };
        let point = point.ok_or_else(|| KeyError::Unusable("EC private key without its public key".to_owned()))?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, secret, point, &random)
            .map_err(|e| KeyError::Unusable(format!("EC private key: {e}")))?;
        let public = PublicKey::ec(curve, pair.public_key().as_ref())?;
        Ok(SigningKey { public, material: Material::Ec(Box::new(pair)), random })
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A compact token of these claims. `None`: the system has no random numbers.
    pub fn sign(&self, claims: &Value) -> Option<String> {
        let header = json!({"alg": self.public.algorithm(), "kid": self.public.id()});
        let text = |v: &Value| super::base64url(v.to_string().as_bytes());
        let mut token = format!("{}.{}", text(&header), text(claims));
        let signature = match &self.material {
            Material::Rsa(pair) => {
                let mut out = vec![0; pair.public().modulus_len()];
                pair.sign(&sig::RSA_PKCS1_SHA256, &self.random, token.as_bytes(), &mut out).ok()?;
                out
            }
            Material::Ec(pair) => pair.sign(&self.random, token.as_bytes()).ok()?.as_ref().to_vec(),
            Material::P521(key) => {
                let signature: p521::ecdsa::Signature =
                    key.try_sign_with_rng(&mut rand::rng(), token.as_bytes()).ok()?;
                signature.to_bytes().to_vec()
            }
        };
        token.push('.');
        token.push_str(&super::base64url(&signature));
        Some(token)
    }
}
