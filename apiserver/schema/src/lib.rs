//! The schema model and what runs on it: decoding, encoding, patches, OpenAPI. Pure: no I/O, no clock.
//!
//! A compact catalog describes every built-in type; a CRD's OpenAPI schema compiles into the same model.

pub mod names;
pub mod patch;
pub mod quantity;
pub mod selector;
pub mod time;
pub mod yaml;

/// A type of the model: an object with fields, a list, a map or a scalar.
pub struct Schema {}
