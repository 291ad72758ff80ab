//! Audit: who asked for what, when, and what came of it (`audit.k8s.io/v1`).
//!
//! - [`Policy`]: how much is recorded of which request.
//! - [`Auditor`]: the policy and the backends; [`Auditor::begin`] opens a request's [`Record`].
//! - [`backend`]: a log with rotation, and a webhook with batches and back-off.
//!
//! Takes plain data and knows no HTTP stack, no kinds and no cache.

mod auditor;
pub mod backend;
mod event;
mod json;
pub mod policy;
mod record;

pub use auditor::Auditor;
pub use event::{Event, ObjectReference, ResponseStatus, UserInfo};
pub use policy::{Level, Policy, PolicyError, Stage};
pub use record::{Facts, Record};
