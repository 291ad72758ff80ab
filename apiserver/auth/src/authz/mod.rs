//! Authorizers: may a user do this?
