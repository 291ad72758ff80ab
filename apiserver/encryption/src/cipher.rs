//! The ciphers of keys that are given in the configuration, in Kubernetes' layouts: nonce first, then the ciphertext.

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::consts::U12;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use crypto_secretbox::XSalsa20Poly1305;
use crypto_secretbox::aead::{Aead as OldAead, KeyInit as OldKeyInit};

type Aes192Gcm = AesGcm<Aes192, U12>;

/// Bytes of AES' block, and of a CBC initialisation vector.
const BLOCK_LEN: usize = 16;
/// Bytes of a GCM nonce.
const GCM_NONCE_LEN: usize = 12;
/// Bytes of a GCM tag.
const GCM_TAG_LEN: usize = 16;
/// Bytes of a secretbox nonce.
const BOX_NONCE_LEN: usize = 24;
/// Bytes of its tag.
const BOX_TAG_LEN: usize = 16;

/// Why a value cannot be opened or sealed. The texts are Kubernetes', which operators search for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    #[error("the stored data was shorter than the required size")]
    Short,
    #[error("the stored data is not a multiple of the block size")]
    Block,
    #[error("invalid padding on input")]
    Padding,
    #[error("cipher: message authentication failed")]
    Authentication,
    #[error("output array was not large enough for encryption")]
    Box,
    #[error("invalid key size {0}")]
    KeySize(usize),
    #[error("the value cannot be encrypted")]
    Seal,
}

/// A key with its algorithm.
pub enum Cipher {
    /// AES-CBC with PKCS #7 padding. Kept for the values that exist: it does not authenticate.
    Cbc(CbcKey),
    Gcm(GcmKey),
    Secretbox(Box<XSalsa20Poly1305>),
}

/// An AES key of any of its three lengths.
pub enum CbcKey {
    Aes128([u8; 16]),
    Aes192([u8; 24]),
    Aes256([u8; 32]),
}

/// AES-GCM with a 12-byte nonce.
pub enum GcmKey {
    Aes128(Box<Aes128Gcm>),
    Aes192(Box<Aes192Gcm>),
    Aes256(Box<Aes256Gcm>),
}

impl Cipher {
    pub fn cbc(key: &[u8]) -> Result<Self, CipherError> {
        Ok(Cipher::Cbc(match key.len() {
            16 => CbcKey::Aes128(array(key)?),
            24 => CbcKey::Aes192(array(key)?),
            32 => CbcKey::Aes256(array(key)?),
            len => return Err(CipherError::KeySize(len)),
        }))
    }

    pub fn gcm(key: &[u8]) -> Result<Self, CipherError> {
        GcmKey::new(key).map(Cipher::Gcm)
    }

    pub fn secretbox(key: &[u8]) -> Result<Self, CipherError> {
        let key = XSalsa20Poly1305::new_from_slice(key).map_err(|_| CipherError::KeySize(key.len()))?;
        Ok(Cipher::Secretbox(Box::new(key)))
    }

    /// Appends the sealed `plain` to `out`. `aad` is authenticated where the algorithm can.
    pub fn seal(&self, plain: &[u8], aad: &[u8], out: &mut Vec<u8>) -> Result<(), CipherError> {
        match self {
            Cipher::Cbc(key) => key.seal(plain, out),
            Cipher::Gcm(key) => key.seal(plain, aad, out),
            Cipher::Secretbox(key) => {
                let nonce: [u8; BOX_NONCE_LEN] = rand::random();
                let sealed = key.encrypt(&nonce.into(), plain).map_err(|_| CipherError::Seal)?;
                out.reserve(nonce.len() + sealed.len());
                out.extend_from_slice(&nonce);
                out.extend_from_slice(&sealed);
                Ok(())
            }
        }
    }

    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, CipherError> {
        match self {
            Cipher::Cbc(key) => key.open(sealed),
            Cipher::Gcm(key) => key.open(sealed, aad),
            Cipher::Secretbox(key) => {
                let (nonce, sealed) = split::<BOX_NONCE_LEN>(sealed, BOX_TAG_LEN)?;
                key.decrypt(&nonce.into(), sealed).map_err(|_| CipherError::Box)
            }
        }
    }
}

impl CbcKey {
    fn seal(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), CipherError> {
        let iv: [u8; BLOCK_LEN] = rand::random();
        let start = out.len() + BLOCK_LEN;
        out.reserve(2 * BLOCK_LEN + plain.len());
        out.extend_from_slice(&iv);
        out.extend_from_slice(plain);
        // Padding is one to sixteen bytes.
        out.resize(start + (plain.len() / BLOCK_LEN + 1) * BLOCK_LEN, 0);
        let buffer = out.get_mut(start..).ok_or(CipherError::Seal)?;
        let sealed = match self {
            CbcKey::Aes128(key) => cbc::Encryptor::<Aes128>::new(key.into(), &iv.into())
                .encrypt_padded::<Pkcs7>(buffer, plain.len())
                .is_ok(),
            CbcKey::Aes192(key) => cbc::Encryptor::<Aes192>::new(key.into(), &iv.into())
                .encrypt_padded::<Pkcs7>(buffer, plain.len())
                .is_ok(),
            CbcKey::Aes256(key) => cbc::Encryptor::<Aes256>::new(key.into(), &iv.into())
                .encrypt_padded::<Pkcs7>(buffer, plain.len())
                .is_ok(),
        };
        if sealed { Ok(()) } else { Err(CipherError::Seal) }
    }

    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, CipherError> {
        let (iv, sealed) = split::<BLOCK_LEN>(sealed, 0)?;
        if sealed.is_empty() || sealed.len() % BLOCK_LEN != 0 {
            return Err(CipherError::Block);
        }
        let mut buffer = sealed.to_vec();
        let len = match self {
            CbcKey::Aes128(key) => cbc::Decryptor::<Aes128>::new(key.into(), &iv.into())
                .decrypt_padded::<Pkcs7>(&mut buffer)
                .map(<[u8]>::len),
            CbcKey::Aes192(key) => cbc::Decryptor::<Aes192>::new(key.into(), &iv.into())
                .decrypt_padded::<Pkcs7>(&mut buffer)
                .map(<[u8]>::len),
            CbcKey::Aes256(key) => cbc::Decryptor::<Aes256>::new(key.into(), &iv.into())
                .decrypt_padded::<Pkcs7>(&mut buffer)
                .map(<[u8]>::len),
        };
        buffer.truncate(len.map_err(|_| CipherError::Padding)?);
        Ok(buffer)
    }
}

impl GcmKey {
    pub fn new(key: &[u8]) -> Result<Self, CipherError> {
        use aes_gcm::KeyInit;
        let size = |_| CipherError::KeySize(key.len());
        Ok(match key.len() {
            16 => GcmKey::Aes128(Box::new(Aes128Gcm::new_from_slice(key).map_err(size)?)),
            24 => GcmKey::Aes192(Box::new(Aes192Gcm::new_from_slice(key).map_err(size)?)),
            32 => GcmKey::Aes256(Box::new(Aes256Gcm::new_from_slice(key).map_err(size)?)),
            len => return Err(CipherError::KeySize(len)),
        })
    }

    pub fn seal(&self, plain: &[u8], aad: &[u8], out: &mut Vec<u8>) -> Result<(), CipherError> {
        let nonce: [u8; GCM_NONCE_LEN] = rand::random();
        let payload = Payload { msg: plain, aad };
        let sealed = match self {
            GcmKey::Aes128(key) => key.encrypt(&nonce.into(), payload),
            GcmKey::Aes192(key) => key.encrypt(&nonce.into(), payload),
            GcmKey::Aes256(key) => key.encrypt(&nonce.into(), payload),
        }
        .map_err(|_| CipherError::Seal)?;
        out.reserve(nonce.len() + sealed.len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(())
    }

    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, CipherError> {
        let (nonce, sealed) = split::<GCM_NONCE_LEN>(sealed, GCM_TAG_LEN)?;
        let payload = Payload { msg: sealed, aad };
        match self {
            GcmKey::Aes128(key) => key.decrypt(&nonce.into(), payload),
            GcmKey::Aes192(key) => key.decrypt(&nonce.into(), payload),
            GcmKey::Aes256(key) => key.decrypt(&nonce.into(), payload),
        }
        .map_err(|_| CipherError::Authentication)
    }
}

/// The first `N` bytes, and what follows, of which there must be at least `rest_min`.
fn split<const N: usize>(data: &[u8], rest_min: usize) -> Result<([u8; N], &[u8]), CipherError> {
    match data.split_first_chunk::<N>() {
        Some((head, rest)) if rest.len() >= rest_min => Ok((*head, rest)),
        _ => Err(CipherError::Short),
    }
}

fn array<const N: usize>(key: &[u8]) -> Result<[u8; N], CipherError> {
    key.try_into().map_err(|_| CipherError::KeySize(key.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AAD: &[u8] = b"/registry/core/secrets/default/s";

    fn key(len: usize) -> Vec<u8> {
        (0..len as u8).collect()
    }

    #[test]
    fn every_cipher_opens_what_it_sealed_and_nothing_else() {
        let ciphers = [
            Cipher::cbc(&key(16)),
            Cipher::cbc(&key(24)),
            Cipher::cbc(&key(32)),
            Cipher::gcm(&key(16)),
            Cipher::gcm(&key(24)),
            Cipher::gcm(&key(32)),
            Cipher::secretbox(&key(32)),
        ];
        for (index, cipher) in ciphers.into_iter().enumerate() {
            let cipher = cipher.unwrap();
            let authenticates = index > 2;
            for len in [0, 1, 15, 16, 17, 1000] {
                let plain = vec![b'x'; len];
                let mut sealed = b"prefix".to_vec();
                cipher.seal(&plain, AAD, &mut sealed).unwrap();
                let sealed = &sealed[6..];
                assert_eq!(cipher.open(sealed, AAD).unwrap(), plain, "cipher {index}, {len} bytes");
                let mut again = Vec::new();
                cipher.seal(&plain, AAD, &mut again).unwrap();
                assert_ne!(again, sealed, "a nonce is used once");
                for cut in 0..sealed.len().min(40) {
                    let opened = cipher.open(&sealed[..cut], AAD);
                    assert!(opened.is_err() || !authenticates, "cipher {index} opened {cut} bytes");
                }
                if authenticates {
                    let mut spoilt = sealed.to_vec();
                    *spoilt.last_mut().unwrap() ^= 1;
                    assert!(cipher.open(&spoilt, AAD).is_err());
                }
            }
        }
        for len in [0, 15, 33, 64] {
            assert!(Cipher::cbc(&key(len)).is_err() && Cipher::gcm(&key(len)).is_err());
            assert!(Cipher::secretbox(&key(len)).is_err());
        }
    }

    #[test]
    fn gcm_binds_a_value_to_its_key() {
        let cipher = Cipher::gcm(&key(32)).unwrap();
        let mut sealed = Vec::new();
        cipher.seal(b"value", AAD, &mut sealed).unwrap();
        let moved = cipher.open(&sealed, b"/registry/core/secrets/default/other");
        assert_eq!(moved.unwrap_err(), CipherError::Authentication);
    }
}
