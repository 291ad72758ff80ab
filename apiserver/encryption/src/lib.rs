//! Encryption at rest: values are sealed before they leave a front-end, in Kubernetes' formats.
//!
//! - [`Encryption`]: the configuration in use, with its reload and its health.
//! - [`config`]: `EncryptionConfiguration` v1.
//! - [`kms`]: plugins that hold keys.
//!
//! Knows store keys and bytes, no kinds. A sealed value is `k8s:enc:<algorithm>:v1:<key name>:` and what the algorithm
//! made; its store key is authenticated with it, so that a value that was moved to another key does not open.

pub mod cipher;
pub mod config;
mod encryption;
pub mod kms;
mod seal;
mod seed;
mod transformers;
#[cfg(test)]
mod vectors;

pub use config::ConfigError;
pub use encryption::Encryption;
pub use seal::Seal;
pub use transformers::{Opened, SEALED_PREFIX};
