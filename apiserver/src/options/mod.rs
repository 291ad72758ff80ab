//! Settings by subject, flattened into [`crate::config::Config`].

pub mod audit;
pub mod serving;

pub use audit::AuditOptions;
pub use serving::ServingOptions;
