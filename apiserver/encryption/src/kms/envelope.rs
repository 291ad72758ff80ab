//! The envelope of a value: the sealed seed, and what the plugin wants to see again with it.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use super::proto::{DecryptRequest, EncryptResponse, EncryptedDekSourceType, EncryptedObject};

/// Limits of what a plugin may answer. Kubernetes' own.
const KEY_ID_LEN_MAX: usize = 1024;
const SOURCE_LEN_MAX: usize = 1024;
const ANNOTATIONS_LEN_MAX: usize = 32 * 1024;

/// An `EncryptedObject` without its data.
#[derive(Clone)]
pub struct Envelope(EncryptedObject);

impl Envelope {
    /// Of a seed that the plugin has just sealed.
    pub fn new(answer: EncryptResponse) -> Result<Self, String> {
        let EncryptResponse { ciphertext, key_id, annotations } = answer;
        Self::checked(EncryptedObject {
            encrypted_data: Bytes::new(),
            key_id,
            encrypted_dek_source: ciphertext,
            annotations,
            encrypted_dek_source_type: EncryptedDekSourceType::HkdfSha256XnonceAesGcmSeed.into(),
        })
    }

    /// Of a stored value, with the value's data.
    pub fn decode(sealed: &Bytes) -> Result<(Self, Bytes), String> {
        let mut object = EncryptedObject::decode(sealed.clone()).map_err(|e| e.to_string())?;
        let data = std::mem::take(&mut object.encrypted_data);
        if data.is_empty() {
            return Err("encrypted data is empty".to_owned());
        }
        Ok((Self::checked(object)?, data))
    }

    fn checked(object: EncryptedObject) -> Result<Self, String> {
        if EncryptedDekSourceType::try_from(object.encrypted_dek_source_type).is_err() {
            return Err(format!("unknown encryptedDEKSourceType: {}", object.encrypted_dek_source_type));
        }
        let source = object.encrypted_dek_source.len();
        if source == 0 {
            return Err("failed to validate encrypted DEK source: encrypted DEK source is empty".to_owned());
        }
        if source > SOURCE_LEN_MAX {
            return Err(format!(
                "failed to validate encrypted DEK source: it has {source} bytes, more than {SOURCE_LEN_MAX}"
            ));
        }
        check_key_id(&object.key_id).map_err(|why| format!("failed to validate key id: {why}"))?;
        let annotations: usize = object.annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
        if annotations > ANNOTATIONS_LEN_MAX {
            let why = format!("they have {annotations} bytes, more than {ANNOTATIONS_LEN_MAX}");
            return Err(format!("failed to validate annotations: {why}"));
        }
        Ok(Envelope(object))
    }

    pub fn key_id(&self) -> &str {
        &self.0.key_id
    }

    pub fn is_seed(&self) -> bool {
        self.0.encrypted_dek_source_type() == EncryptedDekSourceType::HkdfSha256XnonceAesGcmSeed
    }

    /// Appends the envelope with `data` in it.
    pub fn append(&self, data: Bytes, out: &mut Vec<u8>) {
        let object = EncryptedObject { encrypted_data: data, ..self.0.clone() };
        out.reserve(object.encoded_len());
        // A Vec has room.
        let _ = object.encode(out);
    }

    /// What the plugin is asked to open.
    pub fn into_request(self) -> DecryptRequest {
        let EncryptedObject { key_id, encrypted_dek_source, annotations, .. } = self.0;
        DecryptRequest { ciphertext: encrypted_dek_source, uid: String::new(), key_id, annotations }
    }

    /// Tells sealed seeds apart: a hash of everything that the plugin is shown.
    pub fn id(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(&self.0.encrypted_dek_source_type.to_le_bytes());
        part(&self.0.encrypted_dek_source);
        part(self.0.key_id.as_bytes());
        sorted(&self.0.annotations).into_iter().for_each(|(key, value)| {
            part(key.as_bytes());
            part(value);
        });
        hash.finalize().into()
    }
}

fn sorted(annotations: &HashMap<String, Bytes>) -> Vec<(&String, &Bytes)> {
    let mut all: Vec<_> = annotations.iter().collect();
    all.sort();
    all
}

pub fn check_key_id(id: &str) -> Result<(), String> {
    match id.len() {
        0 => Err("keyID is empty".to_owned()),
        len if len > KEY_ID_LEN_MAX => {
            Err(format!("keyID is {len} bytes, which exceeds the max size of {KEY_ID_LEN_MAX}"))
        }
        _ => Ok(()),
    }
}
