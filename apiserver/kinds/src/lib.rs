//! Built-in kinds as data: one row each, plus hooks that are pure functions on an object.
//!
//! Routes, discovery, OpenAPI, storage keys, tables and the per-kind tests are all read from these rows. A
//! CustomResourceDefinition becomes the same runtime [`Kind`](kind::Kind): no verb asks where a kind came from.

pub mod builtin;
pub mod conditions;
mod descriptions;
mod diff;
pub mod expressions;
pub mod field;
pub mod hooks;
mod internal;
pub mod kind;
pub mod label_selector;
pub mod metadata;
pub mod path;
pub mod pod_template;
pub mod registry;
pub mod row;
pub mod rules;
pub mod scale;
pub mod table;
pub mod value;
