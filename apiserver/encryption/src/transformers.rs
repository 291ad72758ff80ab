//! One configuration at work: which providers a resource has, sealing with the first, opening with any.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::cipher::Cipher;
use crate::config::{Algorithm, Config, Pattern, ProviderConfig};
use crate::kms::Kms;
use crate::seal::{Seal, Seals};

/// What every sealed value begins with.
pub const SEALED_PREFIX: &[u8] = b"k8s:enc:";
/// What is said where no provider knows the prefix of a value.
const NO_PREFIX: &str = "no matching prefix found";

/// All rules of a configuration.
pub struct Transformers {
    rules: Vec<(Vec<Pattern>, Arc<Vec<Provider>>)>,
    /// Providers by resource prefix, found once per resource. `None`: no rule matches.
    resolved: RwLock<HashMap<String, Option<Arc<Vec<Provider>>>>>,
    pub(crate) kms: Vec<Arc<Kms>>,
}

enum Provider {
    Identity,
    Keys { algorithm: Algorithm, keys: Vec<Key> },
    Kms { prefix: String, kms: Arc<Kms> },
}

struct Key {
    /// Algorithm and name: what a value begins with.
    prefix: String,
    cipher: Cipher,
    seal: Seal,
}

/// An opened value; `None`: it was not sealed.
pub type Opened = (Option<Vec<u8>>, Seal);

impl Transformers {
    pub fn new(config: Config, seals: &Arc<Seals>) -> Self {
        let mut kms = Vec::new();
        let mut rules: Vec<(Vec<Pattern>, Arc<Vec<Provider>>)> = Vec::new();
        for rule in config.rules {
            let providers = rule.providers.into_iter().map(|provider| match provider {
                ProviderConfig::Identity => Provider::Identity,
                ProviderConfig::Keys { algorithm, keys } => {
                    let keys = keys.into_iter().map(|key| {
                        let prefix = format!("{}{}:", algorithm.prefix(), key.name);
                        Key { seal: seals.of(&prefix), prefix, cipher: key.cipher }
                    });
                    Provider::Keys { algorithm, keys: keys.collect() }
                }
                ProviderConfig::Kms(config) => {
                    let provider = Arc::new(Kms::new(&config, seals.clone()));
                    kms.push(provider.clone());
                    Provider::Kms { prefix: provider.prefix(), kms: provider }
                }
            });
            let providers = Arc::new(providers.collect::<Vec<_>>());
            rules.push((rule.resources, providers));
        }
        Transformers { rules, resolved: RwLock::default(), kms }
    }

    /// The providers of a resource, by its store prefix: `/registry/<group>/<plural>/`.
    fn providers(&self, prefix: &str) -> Option<Arc<Vec<Provider>>> {
        if let Some(found) = self.resolved.read().get(prefix) {
            return found.clone();
        }
        let found = self.find(prefix);
        self.resolved.write().insert(prefix.to_owned(), found.clone());
        found
    }

    fn find(&self, prefix: &str) -> Option<Arc<Vec<Provider>>> {
        let (group, resource) = group_resource(prefix)?;
        // The most specific pattern wins: the resource, then its group, then everything.
        let specific = |p: &&Pattern| p.matches(group, resource);
        let rank = |p: &Pattern| match (p.resource.as_str(), p.group.as_str()) {
            ("*", "*") => 2,
            ("*", _) => 1,
            _ => 0,
        };
        let best = self.rules.iter().filter_map(|(patterns, providers)| {
            patterns.iter().filter(specific).map(rank).min().map(|rank| (rank, providers))
        });
        best.min_by_key(|(rank, _)| *rank).map(|(_, providers)| providers.clone())
    }

    /// The sealed value; `None`: it stays as it is.
    pub fn seal(&self, prefix: &str, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let Some(providers) = self.providers(prefix) else { return Ok(None) };
        let mut out = Vec::new();
        match providers.first() {
            None | Some(Provider::Identity) => return Ok(None),
            Some(Provider::Keys { keys, .. }) => {
                let first = keys.first().ok_or("the provider has no keys")?;
                out.reserve(first.prefix.len() + value.len() + 64);
                out.extend_from_slice(first.prefix.as_bytes());
                first.cipher.seal(value, key, &mut out).map_err(|e| e.to_string())?;
            }
            Some(Provider::Kms { prefix, kms }) => {
                out.extend_from_slice(prefix.as_bytes());
                kms.seal(value, key, &mut out)?;
            }
        }
        Ok(Some(out))
    }

    /// Opens a stored value with the provider that its prefix names.
    pub fn open(&self, prefix: &str, key: &[u8], stored: &Bytes) -> Result<Opened, String> {
        let sealed = stored.starts_with(SEALED_PREFIX);
        let Some(providers) = self.providers(prefix) else {
            return if sealed { Err(IDENTITY_SEALED.to_owned()) } else { Ok((None, Seal::PLAIN)) };
        };
        let mut refusals = Vec::new();
        for provider in providers.iter() {
            match provider.open(key, stored, sealed) {
                Some(Ok(opened)) => return Ok(opened),
                Some(Err(why)) => refusals.push(why),
                None => {}
            }
        }
        refusals.dedup();
        Err(match refusals.len() {
            0 => NO_PREFIX.to_owned(),
            1 => refusals.concat(),
            _ => format!("[{}]", refusals.join(", ")),
        })
    }

    /// Whether a value with this seal would be sealed otherwise now.
    pub fn is_stale(&self, prefix: &str, seal: Seal) -> bool {
        let Some(providers) = self.providers(prefix) else { return false };
        let now = match providers.first() {
            None | Some(Provider::Identity) => Some(Seal::PLAIN),
            Some(Provider::Keys { keys, .. }) => keys.first().map(|key| key.seal),
            Some(Provider::Kms { kms, .. }) => kms.write_seal(),
        };
        now.is_some_and(|now| now != seal)
    }

    /// Has KMS plugins open what [`Transformers::open`] will need.
    pub async fn prepare(&self, prefix: &str, stored: &Bytes) {
        if self.kms.is_empty() || !stored.starts_with(crate::kms::PREFIX.as_bytes()) {
            return;
        }
        let Some(providers) = self.providers(prefix) else { return };
        for provider in providers.iter() {
            if let Provider::Kms { prefix, kms } = provider
                && stored.starts_with(prefix.as_bytes())
            {
                kms.prepare(&stored.slice(prefix.len()..)).await;
            }
        }
    }
}

/// What is said where a value is sealed and its resource has no provider that could have done that.
const IDENTITY_SEALED: &str = "identity transformer tried to read encrypted data";

impl Provider {
    /// `None`: the value is another provider's.
    fn open(&self, key: &[u8], stored: &Bytes, sealed: bool) -> Option<Result<Opened, String>> {
        match self {
            Provider::Identity if sealed => Some(Err(IDENTITY_SEALED.to_owned())),
            Provider::Identity => Some(Ok((None, Seal::PLAIN))),
            Provider::Keys { algorithm, keys } => {
                if !stored.starts_with(algorithm.prefix().as_bytes()) {
                    return None;
                }
                let mut refusal =
                    format!("no matching key was found for the provided {} transformer", algorithm.family());
                for candidate in keys {
                    let Some(data) = stored.strip_prefix(candidate.prefix.as_bytes()) else { continue };
                    match candidate.cipher.open(data, key) {
                        Ok(plain) => return Some(Ok((Some(plain), candidate.seal))),
                        Err(error) => refusal = error.to_string(),
                    }
                }
                Some(Err(refusal))
            }
            Provider::Kms { prefix, kms } => stored
                .starts_with(prefix.as_bytes())
                .then(|| kms.open(&stored.slice(prefix.len()..), key).map(|(plain, seal)| (Some(plain), seal))),
        }
    }
}

/// Group and plural of a store prefix. Keys that are no resource's (`/registry/kuorum/…`) have none.
fn group_resource(prefix: &str) -> Option<(&str, &str)> {
    let (group, resource) = prefix.strip_prefix("/registry/")?.strip_suffix('/')?.split_once('/')?;
    match group {
        "kuorum" => None,
        "core" => Some(("", resource)),
        group => Some((group, resource)),
    }
}

#[cfg(test)]
mod tests;
