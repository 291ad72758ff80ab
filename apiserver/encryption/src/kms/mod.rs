//! Keys that a KMS plugin holds (KMS v2): the front-end makes a seed, the plugin seals it, and every value sealed with
//! the seed carries the sealed seed.
//!
//! The plugin is asked for its status all the time. When its key changes, a new seed is made; while it does not answer,
//! the seed in use stays good for [`SEED_LIFE_WITHOUT_STATUS`], after which writes fail and reads go on.

mod client;
mod envelope;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::cipher::{CipherError, GcmKey};
use crate::config::KmsConfig;
use crate::seal::{Seal, Seals};
use crate::seed::{SEED_LEN, Seed};
use client::Client;
use envelope::Envelope;

/// The plugin's messages, and the envelope of a value.
pub mod proto {
    tonic::include_proto!("v2");
}

pub const PREFIX: &str = "k8s:enc:kms:v2:";
/// Between two questions for the plugin's status, after a good answer and after a bad one. Kubernetes' own.
const POLL_HEALTHY: Duration = Duration::from_secs(20);
const POLL_UNHEALTHY: Duration = Duration::from_secs(3);
/// How long writes go on without a good status.
const SEED_LIFE_WITHOUT_STATUS: Duration = Duration::from_secs(180);
/// A sealed seed that the plugin could not open is not shown to it again before this time has passed.
const REFUSAL_LIFE: Duration = Duration::from_secs(3);
/// Opened seeds that are remembered: there is one per key of the plugin and start of a front-end.
const KNOWN_MAX: usize = 10_000;

/// A plugin, its seed in use, and the seeds that it has opened.
pub struct Kms {
    name: String,
    client: Client,
    seals: Arc<Seals>,
    current: ArcSwapOption<Current>,
    /// By what identifies a sealed seed.
    known: Mutex<HashMap<[u8; 32], Known>>,
    health: Mutex<Result<(), String>>,
}

/// What writes use.
#[derive(Clone)]
struct Current {
    material: Arc<Material>,
    envelope: Envelope,
    seal: Seal,
    expires: Instant,
}

/// What a KMS has opened: a seed, or the key of values from before seeds were used.
enum Material {
    Seed(Seed),
    Key(GcmKey),
}

enum Known {
    Opened(Arc<Material>),
    Refused { why: String, until: Instant },
}

impl Material {
    fn new(plain: &[u8], is_seed: bool) -> Result<Self, CipherError> {
        if is_seed { Seed::new(plain).map(Material::Seed) } else { GcmKey::new(plain).map(Material::Key) }
    }

    fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, CipherError> {
        match self {
            Material::Seed(seed) => seed.open(sealed, aad),
            Material::Key(key) => key.open(sealed, aad),
        }
    }
}

impl Kms {
    /// Nothing is sent before [`Kms::poll`].
    pub fn new(config: &KmsConfig, seals: Arc<Seals>) -> Self {
        Kms {
            name: config.name.clone(),
            client: Client::new(config),
            seals,
            current: ArcSwapOption::empty(),
            known: Mutex::default(),
            health: Mutex::new(Err("the plugin has not been asked yet".to_owned())),
        }
    }

    /// Whether the last status was good.
    pub fn health(&self) -> Result<(), String> {
        self.health.lock().clone()
    }

    /// How sealed values of this plugin begin.
    pub fn prefix(&self) -> String {
        format!("{PREFIX}{}:", self.name)
    }

    /// The seal of what is written now.
    pub fn write_seal(&self) -> Option<Seal> {
        self.current.load().as_ref().map(|current| current.seal)
    }

    /// Asks for the status, for as long as it is polled. `recovered` is called when values that did not open may open
    /// now: a bad status turned good, or the plugin refused seeds while its status was good. In the latter case more
    /// and more seldom, because a key may be gone for good.
    pub async fn watch(&self, recovered: impl Fn()) {
        let mut rounds_with_refusals = 0u64;
        loop {
            let was_healthy = self.health().is_ok();
            tokio::time::sleep(if was_healthy { POLL_HEALTHY } else { POLL_UNHEALTHY }).await;
            if self.poll().await.is_err() {
                continue;
            }
            rounds_with_refusals = if self.has_refusals() { rounds_with_refusals + 1 } else { 0 };
            if !was_healthy || rounds_with_refusals.is_power_of_two() {
                self.forget_refusals();
                recovered();
            }
        }
    }

    fn has_refusals(&self) -> bool {
        self.known.lock().values().any(|known| matches!(known, Known::Refused { .. }))
    }

    fn forget_refusals(&self) {
        self.known.lock().retain(|_, known| matches!(known, Known::Opened(_)));
    }

    /// Asks for the status once, and makes a new seed where the plugin's key has changed.
    pub async fn poll(&self) -> Result<(), String> {
        let outcome = self.try_poll().await.map_err(|why| {
            let why = format!("kmsv2 Provider {} is not healthy, error: {why}", self.name);
            tracing::warn!(%why, "a KMS plugin needs attention");
            why
        });
        self.health.lock().clone_from(&outcome);
        outcome
    }

    async fn try_poll(&self) -> Result<(), String> {
        // Counted from before the question: the upper bound is what operators rely on when they change keys.
        let expires = Instant::now() + SEED_LIFE_WITHOUT_STATUS;
        let status = self.client.status().await?;
        if status.healthz != "ok" {
            return Err(format!("got unexpected healthz status: {}", status.healthz));
        }
        if !matches!(status.version.as_str(), "v2" | "v2beta1") {
            return Err(format!("expected KMSv2 API version v2, got {}", status.version));
        }
        envelope::check_key_id(&status.key_id)?;
        let current = self.current.load_full();
        if let Some(current) = current.filter(|current| current.envelope.key_id() == status.key_id) {
            self.current.store(Some(Arc::new(Current { expires, ..Current::clone(&current) })));
            return Ok(());
        }
        let seed: [u8; SEED_LEN] = rand::random();
        let answer = self.client.encrypt(Bytes::copy_from_slice(&seed)).await?;
        if answer.key_id != status.key_id {
            // The key is changing at this moment: the next status will tell.
            return Err("the plugin sealed with another key than its status names".to_owned());
        }
        let envelope = Envelope::new(answer)?;
        let material = Arc::new(Material::new(&seed, true).map_err(|e| e.to_string())?);
        self.remember(envelope.id(), Known::Opened(material.clone()));
        let seal = self.seals.of(&format!("{}{}", self.prefix(), envelope.key_id()));
        tracing::info!(provider = self.name, "a new seed, sealed with the plugin's key");
        self.current.store(Some(Arc::new(Current { material, envelope, seal, expires })));
        Ok(())
    }

    /// Appends the sealed `plain` (without the prefix).
    pub fn seal(&self, plain: &[u8], aad: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let current = self.current.load();
        let Some(current) = current.as_ref() else {
            return Err(self.health().err().unwrap_or_else(|| "there is no seed yet".to_owned()));
        };
        if Instant::now() > current.expires {
            return Err(format!("encryptedDEKSource of KMS provider {} expired: its status is not good", self.name));
        }
        let Material::Seed(seed) = current.material.as_ref() else {
            return Err("writes need a seed".to_owned());
        };
        let mut data = Vec::new();
        seed.seal(plain, aad, &mut data).map_err(|e| e.to_string())?;
        current.envelope.append(data.into(), out);
        Ok(())
    }

    /// Opens what [`Kms::seal`] made here or elsewhere. The plugin is not asked: see [`Kms::prepare`].
    pub fn open(&self, sealed: &Bytes, aad: &[u8]) -> Result<(Vec<u8>, Seal), String> {
        let (envelope, data) = Envelope::decode(sealed)?;
        let material = match self.known.lock().get(&envelope.id()) {
            Some(Known::Opened(material)) => material.clone(),
            Some(Known::Refused { why, .. }) => return Err(format!("failed to decrypt DEK, error: {why}")),
            None => return Err("failed to decrypt DEK, error: the plugin has not been asked".to_owned()),
        };
        let plain = material.open(&data, aad).map_err(|e| e.to_string())?;
        Ok((plain, self.seals.of(&format!("{}{}", self.prefix(), envelope.key_id()))))
    }

    /// Has the plugin open the seed of a sealed value, unless it is known.
    pub async fn prepare(&self, sealed: &Bytes) {
        let Ok((envelope, _)) = Envelope::decode(sealed) else { return };
        let id = envelope.id();
        match self.known.lock().get(&id) {
            Some(Known::Opened(_)) => return,
            Some(Known::Refused { until, .. }) if Instant::now() < *until => return,
            _ => {}
        }
        let is_seed = envelope.is_seed();
        let opened = self.client.decrypt(envelope.into_request()).await;
        let opened = opened.and_then(|plain| Material::new(&plain, is_seed).map_err(|e| e.to_string()));
        let known = match opened {
            Ok(material) => Known::Opened(Arc::new(material)),
            Err(why) => {
                tracing::warn!(provider = self.name, %why, "the KMS plugin did not open a seed");
                Known::Refused { why, until: Instant::now() + REFUSAL_LIFE }
            }
        };
        self.remember(id, known);
    }

    fn remember(&self, id: [u8; 32], what: Known) {
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
            if let Some(current) = self.current.load().as_ref() {
                known.insert(current.envelope.id(), Known::Opened(current.material.clone()));
            }
        }
        known.insert(id, what);
    }
}

#[cfg(test)]
mod tests;
