//! Settings by subject, flattened into [`crate::config::Config`].

pub mod audit;
pub mod authentication;
pub mod authorization;
pub mod serving;

pub use audit::AuditOptions;
pub use authentication::AuthenticationOptions;
pub use authorization::AuthorizationOptions;
pub use serving::ServingOptions;
