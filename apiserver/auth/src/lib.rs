//! Who asks and what they may do: authenticators and authorizers, free of HTTP routing and of kinds.

pub mod authn;
pub mod authz;
pub mod user;
