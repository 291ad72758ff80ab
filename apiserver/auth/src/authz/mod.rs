//! Authorizers: may this user do that?
//!
//! [`Attributes`] say what is asked, an [`Authorizer`] answers, a [`Chain`] asks several in order. RBAC and Node answer
//! from memory, at once; a webhook answers later, and only it pays for that.

pub mod abac;
pub mod attributes;
pub mod builtin;
pub mod chain;
pub mod config;
pub mod decision;
pub mod message;
pub mod node;
pub mod policy;
pub mod rbac;
pub mod webhook;

pub use attributes::{Attributes, Operator, Requirement, Selector};
pub use chain::Chain;
pub use decision::{Answer, Authorizer, Decision, Reason, Refusal, RuleList, Verdict};
