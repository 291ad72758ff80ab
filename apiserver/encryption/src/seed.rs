//! A seed from which every value gets a key of its own: HKDF-SHA256 over 32 random bytes that precede the value.
//!
//! One call to a KMS serves any number of writes this way, and no key is used for two values.

use hkdf::Hkdf;
use sha2::Sha256;

use crate::cipher::{CipherError, GcmKey};

/// Bytes of a seed that is made here, of what a key is derived from, and of the derived key.
pub const SEED_LEN: usize = 32;

/// Key material that a KMS has sealed.
pub struct Seed(Hkdf<Sha256>);

impl Seed {
    /// `seed` has at least [`SEED_LEN`] random bytes.
    pub fn new(seed: &[u8]) -> Result<Self, CipherError> {
        Hkdf::from_prk(seed).map(Seed).map_err(|_| CipherError::KeySize(seed.len()))
    }

    pub fn seal(&self, plain: &[u8], aad: &[u8], out: &mut Vec<u8>) -> Result<(), CipherError> {
        let info: [u8; SEED_LEN] = rand::random();
        out.extend_from_slice(&info);
        self.key(&info)?.seal(plain, aad, out)
    }

    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, CipherError> {
        let (info, sealed) = sealed.split_first_chunk::<SEED_LEN>().ok_or(CipherError::Short)?;
        self.key(info)?.open(sealed, aad)
    }

    fn key(&self, info: &[u8]) -> Result<GcmKey, CipherError> {
        let mut key = [0; SEED_LEN];
        self.0.expand(info, &mut key).map_err(|_| CipherError::Seal)?;
        GcmKey::new(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_opens_what_it_sealed() {
        let seed = Seed::new(&[7; SEED_LEN]).unwrap();
        let mut sealed = Vec::new();
        seed.seal(b"value", b"key", &mut sealed).unwrap();
        assert_eq!(seed.open(&sealed, b"key").unwrap(), b"value");
        assert_eq!(seed.open(&sealed, b"other").unwrap_err(), CipherError::Authentication);
        assert_eq!(seed.open(&sealed[..20], b"key").unwrap_err(), CipherError::Short);
        assert!(Seed::new(&[8; SEED_LEN]).unwrap().open(&sealed, b"key").is_err());
        assert!(Seed::new(&[7; 16]).is_err());
    }
}
