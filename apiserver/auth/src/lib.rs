//! Who asks and what they may do: authenticators and authorizers, free of HTTP routing and of kinds.

pub mod authn;
pub mod authz;
pub mod cel;
pub mod jwt;
pub mod user;
pub mod webhook;
